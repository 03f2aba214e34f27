#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kccm.ko in real kernels: delivers, survives what networks do, and comes and goes under traffic."""

import re

import kccm
import scenario

FOR_EVER = 10**12  # more messages than any test waits for
FOR_EVER_32 = 10**9  # the same for a number of 32 bits


class Unloads:
    def unload_under_traffic(self, rounds):
        """Each round loads the module, makes it a node that a node in user space connects to and talks to
        without end, and unloads it: in the midst of that or, when processes have just died with commands of
        theirs under way, while the two connect."""
        self.machine = self.kccm(self.KERNEL)
        places = self.two_places(self.machine)
        one, two = kccm.ModuleNode(places[0]), kccm.UserNode(places[1])
        two.start([one])
        # Never idle, and leaves the processors to the rest: faster, a round would cost ten times as much.
        two.place.disturb("rate 400kbit limit 40")
        two.count(one, 1, 1, FOR_EVER)
        self.unload(self.machine)
        # Programs are what a round's time goes into: few of them, and no module that it does not use.
        todo = ["insmod /modules/kccm.ko && insmod /modules/kccm_sample.ko",
                f"kccm-config node 1 {one.address} {kccm.PORT} , peer 2 {two.address} {kccm.PORT} , "
                f"peer 3 10.9.0.3 {kccm.PORT}",
                "if [ $((round % 3)) = 0 ]; then kccm-churn n1 2 3 3; "
                "else echo echo 2 0 5000 1 >/proc/net/kccm_sample; fi",
                # Refused as long as a file is open: see kccm.Kccm.UNLOAD_AFTER_IO_URING.
                "rmmod kccm_sample && until rmmod kccm; do :; done",
                "echo round $round"]
        # All of them in one visit to the namespace, because entering it costs more than loading the module.
        job = one.place.run(f"sh -c 'for round in $(seq {rounds}); do {' && '.join(todo)} || exit; done'")
        for number in range(1, rounds + 1):
            job.expect(f"^round {number}$")
            if number % 50 == 0:
                print(f"round {number}", flush=True)  # of hours
        job.succeed()
        two.expect_peer(one, "up")


class OneMachine(Unloads):
    """Two nodes in namespaces of one machine, whose kernel a class below names."""

    def two_modules(self, **options):
        self.machine = self.kccm(self.KERNEL)
        one, two = map(kccm.ModuleNode, self.two_places(self.machine))
        one.start(**options)
        two.start(**options)
        one.add(two)
        two.add(one)
        return one, two

    def test_modules_serve_each_other_and_are_unloaded(self):
        one, two = self.two_modules(tolerance_ms=30000)  # of a slow machine, which proves nothing here
        self.serve_each_other(one, two, self.MESSAGES)
        self.assertEqual(one.counter(two, "resent"), 0)
        one.stop()
        two.stop()
        self.unload(self.machine)

    def test_module_and_user_space_serve_each_other(self):
        self.machine = self.kccm(self.KERNEL)
        places = self.two_places(self.machine)
        # Each kind is once the lower node id, which dials.
        for kinds in ((kccm.ModuleNode, kccm.UserNode), (kccm.UserNode, kccm.ModuleNode)):
            one, two = (kind(place) for kind, place in zip(kinds, places))
            one.start([two])
            two.start([one])
            self.serve_each_other(one, two, self.MESSAGES)
            one.stop()
            two.stop()
            self.machine.do("rmmod kccm_sample && insmod /modules/kccm_sample.ko")  # counts anew

    def test_everything_arrives_once_and_in_order_over_a_cable_that_is_cut(self):
        one, two = self.two_modules(tolerance_ms=300)
        streams = [(node, other, lane, node.count(other, lane, 1, 20000))
                   for node, other in ((one, two), (two, one)) for lane in (0, 1)]
        for _ in range(3):
            one.place.cut()
            one.expect_peer(two, "suspect")
            one.place.heal()
            one.expect_peer(two, "up")
        for node, other, lane, stream in streams:
            stream.succeed()
            self.assert_delivered(node, other, lane, 20000)
        self.assertGreaterEqual(one.counter(two, "connects"), 4)

    def test_everything_arrives_once_and_in_order_over_a_bad_network(self):
        one, two = self.two_modules()
        for node in (one, two):
            node.place.disturb("delay 2ms 2ms loss 5% duplicate 5% reorder 20% corrupt 1%")
        streams = [(node, other, lane, node.count(other, lane, 1, 5000))
                   for node, other in ((one, two), (two, one)) for lane in (0, 1)]
        for node, other, lane, stream in streams:
            stream.succeed()
            self.assert_delivered(node, other, lane, 5000)

    def faults_are_survived(self, *commands, messages):
        one, two = self.two_modules()
        for node in (one, two):
            for command in commands:
                node.fault(command)
        calls = [node.echo(other, lane, 5000, 100)
                 for node, other in ((one, two), (two, one)) for lane in (0, 1)]
        streams = [(node, other, lane, node.count(other, lane, 1, messages))
                   for node, other in ((one, two), (two, one)) for lane in (0, 1)]
        for call in calls:
            call.succeed()
        for node, other, lane, stream in streams:
            stream.succeed()
            self.assert_delivered(node, other, lane, messages)
        for node in (one, two):
            self.assertGreater(node.faults(), 0)
        self.assertGreater(one.counter(two, "resent"), 0)

    def test_connections_that_are_reset_in_the_midst_of_frames_lose_nothing(self):
        self.faults_are_survived("reset 100001", messages=10000)

    def test_messages_that_find_no_memory_come_again(self):
        self.faults_are_survived("memory 5", messages=4000)

    def test_small_messages_go_on_when_there_is_no_memory_at_all(self):
        one, two = self.two_modules()
        pairs = ((one, two), (two, one))
        for node, other in pairs:
            node.echo(other, 0, 100, 1).succeed()
            node.echo(other, 1, 5000, 1).succeed()
        for node in (one, two):
            node.fault("memory 1")
        large = [node.echo(other, 1, 5000, 1) for node, other in pairs]
        for node, other in pairs:
            node.echo(other, 0, 100, 200).succeed()
            self.assertGreaterEqual(other.own_counter("reserve_drawn"), 200)
        for node in (one, two):
            node.fault("none")
        for call in large:  # has waited for it
            call.succeed()

    def test_a_peer_that_stands_still_is_noticed_and_found_again(self):
        one, two = self.two_modules(tolerance_ms=300)
        two.fault("stall")
        stream = one.count(two, 0, 1, 20000)
        one.expect_peer(two, "suspect")
        one.expect_peer(two, "dead")
        two.fault("none")
        one.expect_peer(two, "up")
        stream.succeed()
        two.fault("drop")
        self.assert_delivered(one, two, 0, 20000)

    def test_calls_end_in_every_way_they_can(self):
        one, two = self.two_modules()
        for node, other in ((one, two), (two, one)):
            node.exercise(f"ends {other.number}").succeed()
            node.exercise(f"cancel {other.number}").succeed()
            for lane in (0, 1):
                node.exercise(f"flood {other.number} {lane} 5000").succeed()
        # Two that timed out or were cancelled in each direction are still held.
        held = [one.exercise("call-held 2") for _ in range(5)]
        two.exercise(f"answer {len(held) + 2}").succeed()
        for call in held:
            call.succeed()
        self.assertEqual(one.counter(two, "replies_late"), 2)
        self.unload(self.machine)  # what two has sent is still held by one

    def test_a_peer_that_stands_still_takes_no_more_memory_than_its_queue(self):
        one, two = self.two_modules()
        two.fault("stall")
        one.exercise("fill 2 0").succeed()
        one.exercise("fill 2 1").succeed()
        self.assertLess(one.counter(two, "queue_memory_bytes"), 2 * 8 * 1024 * 1024)
        waiting = one.count(two, 0, 1, 1)
        killed = one.count(two, 1, 1, 1)
        killed.kill()
        self.assertEqual(killed.wait(), 128 + 9)
        two.fault("none")
        one.exercise("writable 2 0").succeed()
        one.exercise("writable 2 1").succeed()
        waiting.succeed()
        self.assert_delivered(one, two, 0, 1)

    def test_a_peer_that_is_slow_to_take_its_answers_is_not_served_further(self):
        one, two = self.two_modules(tolerance_ms=30000)  # for what it asks for takes long, too
        one.echo(two, 0, 8, 1).succeed()
        two.place.disturb("rate 2mbit")
        asked = one.exercise("ask 2 0 60 1000000")
        two.place.do("sh -c 'until kccm-config show queues | grep -q \"lane 0 .* held_up 1\"; do :; done'")
        # The queue and its room for answers; and what is kept behind it, of which the last may be too much.
        self.assertLessEqual(two.lane_counter(one, 0, "queue_memory_bytes"), (8 + 4) << 20)
        self.assertLessEqual(two.lane_counter(one, 0, "unanswered_bytes"), 5 << 20)
        self.assertGreater(two.lane_counter(one, 0, "waiting_messages"), 0)
        two.place.leave_in_peace()
        asked.succeed()
        one.echo(two, 0, 8, 1).succeed()
        self.assertEqual(two.lane_counter(one, 0, "held_up"), 0)
        self.unload(self.machine)

    def test_only_administrators_configure_it_and_namespaces_see_their_own_node(self):
        self.machine = self.kccm(self.KERNEL)
        one, two = map(kccm.ModuleNode, self.two_places(self.machine))
        one.start()

        def refused(job):
            self.assertNotEqual(job.wait(), 0)
            self.assertIn("Operation not permitted", job.lines[-1])

        for command in ("show node", "show peers", "node-del", "node 3 10.9.0.1 4001"):
            refused(one.place.run(f"su -s /bin/sh nobody -c 'kccm-config {command}'"))
        if self.USER_NAMESPACES:
            # The administrator of a user's namespace sees what is in there, and makes no node.
            refused(one.place.run("unshare -U -r kccm-config show node"))
            refused(one.place.run("unshare -U -r -n kccm-config node 3 127.0.0.1 4001"))
            job = one.place.run("unshare -U -r -n kccm-config show node")
            self.assertNotEqual(job.wait(), 0)
            self.assertIn("No such file", job.lines[-1])
        self.assertIn("node 1", one.place.do("kccm-config show node"))
        job = two.place.run("kccm-config show node")
        self.assertNotEqual(job.wait(), 0)
        self.assertIn("No such file", job.lines[-1])

    def test_strangers_disturb_nobody(self):
        one, two = self.two_modules()
        stream = two.count(one, 0, 1, 20000)
        stranger = two.place.run(f"kccm-hostile {one.address} {kccm.PORT} 1 {self.STRANGERS}")
        stranger.expect("^said all", patience=400)
        stream.succeed()
        self.assert_delivered(two, one, 0, 20000)
        one.stop()  # with connections that nobody has proven
        stranger.close_input()
        stranger.succeed()
        self.unload(self.machine)

    def test_a_peer_that_misbehaves_disturbs_nobody_else(self):
        self.machine = self.kccm(self.KERNEL)
        places = self.two_places(self.machine)
        places[0].number, places[1].number = 2, 3
        two, three = map(kccm.ModuleNode, places)
        two.start()
        three.start([two])
        two.add(three)
        one = kccm.Node(kccm.Place(self.machine, 1, three.address))  # which dials
        two.add(one)
        stream = three.count(two, 0, 1, 20000)
        peer = three.place.run(f"kccm-hostile {two.address} {kccm.PORT} 1 {self.STRANGERS} 2")
        peer.succeed(patience=400)
        self.assertRegex(peer.lines[-1], rf"listened to {self.STRANGERS} times")
        self.assertGreater(two.counter(one, "messages_received"), self.STRANGERS)
        stream.succeed()
        self.assert_delivered(three, two, 0, 20000)
        self.unload(self.machine)

    def test_netlink_takes_anything_and_does_what_it_may(self):
        self.machine = self.kccm(self.KERNEL)
        places = self.two_places(self.machine)
        node, fuzzed = kccm.ModuleNode(places[0]), places[1]
        node.start()
        before = node.place.do("kccm-config show node")
        unprivileged = fuzzed.run(f"su -s /bin/sh nobody -c 'kccm-netlink-fuzz 1 {self.COMMANDS}'")
        accepted = re.fullmatch("accepted (.*) refused .* not permitted .*", unprivileged.succeed())[1]
        self.assertEqual(accepted, "0")
        # Several, so that nodes come and go while others look at them.
        fuzzers = [fuzzed.run(f"kccm-netlink-fuzz {seed} {self.COMMANDS}") for seed in range(3)]
        for fuzzer in fuzzers:
            accepted = re.match("accepted (.*) refused", fuzzer.succeed(patience=400))[1]
            self.assertGreater(int(accepted), 0)
        self.assertEqual(node.place.do("kccm-config show node"), before)
        self.unload(self.machine)

    def test_outcome_is_unknown_when_the_peer_restarts(self):
        one, two = self.two_modules()
        one.echo(two, 0, 8, 1).succeed()
        one.place.cut()
        call = one.echo(two, 0, 8, 1)
        one.expect_peer(two, "suspect")
        two.stop()
        two.start([one])
        one.place.heal()
        one.expect_peer(two, "rebooted")
        self.assertNotEqual(call.wait(), 0)
        self.assertIn("Remote I/O error", "\n".join(call.lines))
        one.echo(two, 0, 8, 1).succeed()

    def test_another_key_is_refused(self):
        self.machine = self.kccm(self.KERNEL)
        one, two = map(kccm.ModuleNode, self.two_places(self.machine))
        one.start(key="k")
        two.start([one], key="x")
        one.add(two)
        self.machine.expect_log("connection with node . at .* refused: proof")
        two.stop()
        two.start([one])
        one.expect_peer(two, "up")

    def test_a_namespace_ends_under_traffic(self):
        one, two = self.two_modules()
        stream = one.count(two, 0, 1, FOR_EVER)
        back = two.count(one, 1, 1, FOR_EVER)
        two.expect_peer(one, "up")
        back.kill()
        back.wait()
        self.machine.do(f"{kccm.IP} netns delete n2")
        self.machine.expect_log("kccm: node 2: has stopped")
        one.expect_peer(two, "suspect")
        one.stop()
        self.assertNotEqual(stream.wait(), 0)  # nobody to send to any more
        self.unload(self.machine)

    def test_a_peer_is_removed_while_its_messages_are_handed_over(self):
        one, two = self.two_modules()
        two.fault("delay 20")  # so that handlers are always late for something
        streams = [one.count(two, lane, 1, FOR_EVER) for lane in (0, 1)]
        counts = "/proc/net/kccm_sample"
        job = two.place.run(
            f"sh -c 'for round in $(seq {self.ROUNDS}); do old=$(cat {counts}); "
            f'until [ "$(cat {counts})" != "$old" ]; do :; done; '
            f"kccm-config peer-del {one.number} , peer {one.number} {one.address} {kccm.PORT} || exit; done'")
        job.succeed()
        one.remove(two)
        for lane, stream in enumerate(streams):
            self.assertNotEqual(stream.wait(), 0)  # nobody to send to any more
            received, _, wrong = two.counts(one, lane)
            # What is sent while the peer is not known is lost; the rest is handed over in order.
            self.assertLessEqual(wrong, self.ROUNDS)
            self.assertGreater(received, 0)
        two.stop()
        self.unload(self.machine)

    def test_is_unloaded_under_traffic(self):
        self.unload_under_traffic(self.ROUNDS)


class On_6_1(OneMachine, kccm.Sharing):
    KERNEL, ROUNDS, MESSAGES, STRANGERS, COMMANDS, USER_NAMESPACES = "6.1", 10, 1000, 500, 2000, True


class On_6_12(OneMachine, kccm.Sharing):
    KERNEL, ROUNDS, MESSAGES, STRANGERS, COMMANDS, USER_NAMESPACES = "6.12", 10, 1000, 2000, 5000, True


class On_debug(OneMachine, kccm.Sharing):
    KERNEL, ROUNDS, MESSAGES, STRANGERS, COMMANDS, USER_NAMESPACES = "debug", 20, 300, 1000, 3000, False

    def test_leaks_nothing(self):
        one, two = self.two_modules(tolerance_ms=300)
        two.fault("reset 20001")
        two.fault("memory 50")
        one.exercise("cancel 2").succeed()
        one.exercise("flood 2 0 500").succeed()
        one.echo(two, 1, 10000, 5).succeed()
        call = one.exercise("call-held 2")
        one.place.cut()
        one.expect_peer(two, "suspect")
        two.stop()  # with a call and with messages on their way
        two.start([one])
        one.place.heal()
        one.expect_peer(two, "rebooted")
        self.assertNotEqual(call.wait(), 0)
        one.stop()
        two.stop()
        self.unload(self.machine)
        self.assertNotIn("kccm", self.machine.leaks())

    def test_failing_allocations_lose_nothing(self):
        one, two = self.two_modules()
        streams = [(node, other, lane, node.count(other, lane, 1, 20000))
                   for node, other in ((one, two), (two, one)) for lane in (0, 1)]
        for *_, stream in streams:
            stream.expect("^open")
        # In one shell, because a new one would need memory, too. `times` counts down.
        failing = self.machine.run(
            "cd /sys/kernel/debug/failslab && echo 0 >verbose && echo N >ignore-gfp-wait && "
            f"echo {FOR_EVER_32} >times && echo 5 >probability && echo failing && read -r end; "
            "until echo 0 >probability; do :; done; read -r left <times; echo left $left")
        failing.expect("^failing")
        for *_, stream in streams:
            stream.succeed()
        failing.close_input()
        failed = FOR_EVER_32 - int(failing.expect(r"^left (\d+)$")[1])
        failing.succeed()
        self.assertGreater(failed, 1000)
        self.assertGreater(one.own_counter("reserve_drawn") + two.own_counter("reserve_drawn"), 0)
        for node, other, lane, _ in streams:
            self.assert_delivered(node, other, lane, 20000)
        self.unload(self.machine)


class Unloading(Unloads, kccm.Sharing):
    KERNEL, ROUNDS = "debug", 1000

    def test_leaves_nothing_behind(self):
        self.unload_under_traffic(self.ROUNDS)
        self.assertNotIn("kccm", self.machine.leaks())


class BetweenMachines:
    """A module on each of two machines, and a node in user space on a third; a class below names their
    kernels."""

    def nodes(self):
        kinds = (kccm.ModuleNode, kccm.ModuleNode, kccm.UserNode)
        nodes = [kind(kccm.Place(machine, number, machine.address))
                 for number, (kind, machine) in enumerate(zip(kinds, self.kccm(*self.KERNELS)), 1)]
        for node in nodes:
            node.start([other for other in nodes if other is not node])
        return nodes

    @staticmethod
    def pairs(nodes):
        return [(one, two, lane) for one in nodes for two in nodes if one is not two for lane in (0, 1)]

    def test_all_arrives_once_and_in_order_on_a_network_that_does_its_worst(self):
        nodes = one, two, three = self.nodes()
        for node in nodes:
            node.place.disturb("delay 3ms 3ms loss 3% duplicate 3% reorder 20% corrupt 1%")
        for module in (one, two):
            module.fault("reset 200001")
        streams = [stream for node, other, lane in self.pairs(nodes) for stream in (
            node.count(other, lane, 1, self.MESSAGES), node.echo(other, lane, 30000, self.MESSAGES // 100))]
        one.place.cut()  # its own card goes down
        three.expect_peer(one, "suspect")
        one.place.heal()
        self.network.cut(2)  # the switch fails, and no card notices
        three.expect_peer(two, "suspect")
        self.network.heal(2)
        for stream in streams:
            stream.succeed()
        for node, other, lane in self.pairs(nodes):
            self.assert_delivered(node, other, lane, self.MESSAGES)
        for module, other in ((one, two), (two, one)):
            self.assertGreater(module.faults(), 0)
            self.assertGreater(module.counter(other, "resent"), 0)

    def test_power_fails_on_one_of_them(self):
        nodes = one, two, three = self.nodes()
        for node, other, lane in self.pairs(nodes):
            node.count(other, lane, 1, 100).succeed()
            self.assert_delivered(node, other, lane, 100)
        held = one.exercise(f"call-held {two.number}")
        two.exercise("held 1").succeed()
        self.network.cut(two.number)
        calls = [one.echo(two, 0, 8, 1), three.echo(two, 0, 8, 1)]
        for node in (one, three):
            node.expect_peer(two, "suspect")
        two.machine.kill()
        self.network.heal(two.number)
        # The others are not disturbed by it.
        streams = [node.count(other, lane, 101, self.MESSAGES)
                   for node, other, lane in self.pairs((one, three))]
        for node in (one, three):
            node.expect_peer(two, "dead")
        machine = self.boot_again(two.machine)
        self.load(machine)
        two = kccm.ModuleNode(kccm.Place(machine, two.number, machine.address))
        two.start([one, three])
        for node in (one, three):
            node.expect_peer(two, "rebooted")
        for call in (held, calls[0]):
            self.assertNotEqual(call.wait(), 0)
            self.assertIn("Remote I/O error", "\n".join(call.lines))
        self.assertEqual(calls[1].wait(), "failed: outcome unknown")
        for stream in streams:
            stream.succeed()
        for node, other, lane in self.pairs((one, three)):
            self.assert_delivered(node, other, lane, self.MESSAGES)
        for node, lane in ((node, lane) for node in (one, three) for lane in (0, 1)):
            node.count(two, lane, 1, 100).succeed()  # it counts anew ...
            self.assert_delivered(node, two, lane, 100)
            two.count(node, lane, 101, 200).succeed()  # ... and the others go on
            two.echo(node, lane, 8, 1).succeed()
            self.assertEqual(node.counts(two, lane), (200, 200, 0))
        self.unload(machine)

    def test_a_call_ends_when_the_other_machine_does_not_come_back(self):
        one, two, _ = self.nodes()
        one.echo(two, 0, 8, 1).succeed()
        self.network.cut(two.number)
        call = one.echo(two, 0, 8, 1)
        one.expect_peer(two, "dead")
        one.remove(two)
        self.assertNotEqual(call.wait(), 0)
        self.network.heal(two.number)
        self.unload(one.machine)


class Between_6_1_and_6_12(BetweenMachines, kccm.Sharing):
    KERNELS, MESSAGES = ("6.1", "6.12", "6.1"), 2000


class Between_6_12_and_6_1(BetweenMachines, kccm.Sharing):
    KERNELS, MESSAGES = ("6.12", "6.1", "6.12"), 20000


class Between_6_12_and_6_12(BetweenMachines, kccm.Sharing):
    KERNELS, MESSAGES = ("6.12", "6.12", "6.1"), 20000


class Between_6_1_and_6_1(BetweenMachines, kccm.Sharing):
    KERNELS, MESSAGES = ("6.1", "6.1", "6.12"), 20000


class Between_debug_and_debug(BetweenMachines, kccm.Sharing):
    KERNELS, MESSAGES = ("debug", "debug", "debug"), 5000


if __name__ == "__main__":
    scenario.main()
