// SPDX-License-Identifier: Apache-2.0
//
// Clients that write nonsense wherever they can. Only they may come to harm.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/unit/cache/nonsense.h"
#include "tests/unit/cache/test_daemon.h"

namespace clustix::cache {
namespace {

constexpr size_t kControlWords = offsetof(Region, staging) / sizeof(Word);

void Scribble(std::byte* region, base::Prng& prng) {
  // The words that count stand in the first lines; the others are many.
  const uint64_t words = prng.Chance(1, 2) ? 6 * kLineBytes / sizeof(Word) : kControlWords;
  WriteNonsense(prng, reinterpret_cast<Word*>(region)[prng.Below(words)]);
}

TEST(HostileClient, Harms_nobody_else_whatever_stands_in_its_region) {
  TestDaemon daemon;
  const auto good = daemon.node.Attach();
  const auto view = TestNode::View(*daemon.set);
  TestWorker worker(good->node.get(), good->region.get(), view.get(), 4);
  base::Prng prng(5);
  int broken = 0;
  for (int round = 0; round < 200; ++round) {
    HostRegion* region = Must(daemon.node.host->Attach());
    Mapping mapping = Must(Mapping::Map(region->fd_for_client(), sizeof(Region), Access::kWrite));
    bool alive = true;
    for (int step = 0; step < 300 && alive; ++step) {
      for (uint64_t writes = prng.Below(4); writes > 0; --writes) Scribble(mapping.data(), prng);
      alive = daemon.Serve(region);
      daemon.Change(prng);
      ASSERT_TRUE(worker.Turn(false));
    }
    if (!alive) ++broken;
    daemon.node.host->Detach(region);
  }
  EXPECT_GT(broken, 50);
}

// Keeps its region's descriptor, its socket and its memory busy in every way it can.
[[noreturn]] void Rage(const HostRegion& from, const Bell& bell, uint64_t seed) {
  base::Prng prng(seed);
  Mapping mapping = Must(Mapping::Map(from.fd_for_client(), sizeof(Region), Access::kWrite));
  const int memory = from.fd_for_client().get();
  const int socket = bell.fd().get();
  std::array<char, 4096> junk{};
  for (uint64_t turn = 0;; ++turn) {
    Scribble(mapping.data(), prng);
    if (prng.Chance(1, 50)) send(socket, junk.data(), prng.Below(junk.size()), MSG_DONTWAIT);
    if (prng.Chance(1, 500)) fcntl(socket, F_SETFL, 0);
    if (prng.Chance(1, 500))
      fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
    if (prng.Chance(1, 500)) (void)!ftruncate(memory, 0);
    if (prng.Chance(1, 500)) recv(socket, junk.data(), junk.size(), MSG_DONTWAIT);
  }
}

TEST(HostileClient, Harms_nobody_else_while_it_rages) {
  TestDaemon daemon;
  base::Prng prng(6);
  const ClientProcess good = ClientProcess::Start(
      daemon, [](const NodeView* node, ClientRegion* region, const SetView* view) {
        TestWorker worker(node, region, view, 7);
        for (int turn = 0; turn < 20'000; ++turn) {
          if (!worker.Turn(true)) _exit(3);
        }
        _exit(0);
      });
  HostRegion* bad_region = nullptr;
  pid_t bad = 0;
  const auto end_bad = [&] {
    kill(bad, SIGKILL);
    ASSERT_EQ(waitpid(bad, nullptr, 0), bad);
    daemon.node.host->Detach(bad_region);
  };
  int status = 0;
  int raged = 0;
  while (waitpid(good.pid, &status, WNOHANG) == 0) {
    if (bad == 0) {
      bad_region = Must(daemon.node.host->Attach());
      const Bell bell = bad_region->TakeClientBell();
      bad = fork();
      if (bad == 0) Rage(*bad_region, bell, prng.Next());
      ++raged;
    }
    for (int turn = 0; turn < 50; ++turn) {
      ASSERT_TRUE(daemon.Serve(good.region));
      const bool alive = daemon.Serve(bad_region) && bad_region->bell().Silence();
      bad_region->bell().Ring();
      daemon.Change(prng);
      if (alive) continue;
      end_bad();
      bad = 0;
      break;
    }
  }
  if (bad != 0) end_bad();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  EXPECT_GT(raged, 0);
}

}  // namespace
}  // namespace clustix::cache
