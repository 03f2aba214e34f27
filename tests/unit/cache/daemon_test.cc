// SPDX-License-Identifier: Apache-2.0
//
// Daemons as processes: stopped, and killed in the middle of a change.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/unit/cache/test_daemon.h"

namespace clustix::cache {
namespace {

constexpr size_t kFds = 4;  // node page, arena, region, bell

// A byte with room for the descriptors beside it.
struct FdMessage {
  FdMessage() {
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  FdMessage(const FdMessage&) = delete;
  FdMessage& operator=(const FdMessage&) = delete;

  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFds)> control{};
  char byte = 0;
  iovec data = {&byte, 1};
  msghdr message{};
};

void SendFds(int socket, const std::array<int, kFds>& fds) {
  FdMessage carrier;
  msghdr& message = carrier.message;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof fds);
  if (sendmsg(socket, &message, 0) != 1) _exit(4);
}

std::array<base::UniqueFd, kFds> ReceiveFds(int socket) {
  std::array<int, kFds> fds;
  fds.fill(-1);
  FdMessage carrier;
  msghdr& message = carrier.message;
  EXPECT_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  EXPECT_NE(header, nullptr);
  if (header != nullptr) std::memcpy(fds.data(), CMSG_DATA(header), sizeof fds);
  std::array<base::UniqueFd, kFds> owned;
  for (size_t i = 0; i < kFds; ++i) owned[i] = base::UniqueFd(fds[i]);
  return owned;
}

// A daemon in a child process, and this process as its client.
class DaemonProcess {
 public:
  explicit DaemonProcess(const std::function<void(TestDaemon&)>& body) {
    std::array<int, 2> ends;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const base::UniqueFd ours(ends[0]), its(ends[1]);
    pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      TestDaemon daemon;
      HostRegion* its_region = Must(daemon.node.host->Attach());
      {
        const Bell bell = its_region->TakeClientBell();
        SendFds(its.get(),
                {daemon.node.host->node_fd_for_clients().get(), daemon.set->fd_for_clients().get(),
                 its_region->fd_for_client().get(), bell.fd().get()});
      }
      body(daemon);
      _exit(0);
    }
    std::array<base::UniqueFd, kFds> fds = ReceiveFds(ours.get());
    node = Must(NodeView::Map(fds[0]));
    view = Must(SetView::Map(fds[1]));
    region = Must(ClientRegion::Map(fds[2], Bell(std::move(fds[3])), node.get(), 0));
    reader = Reader::Create(node.get(), region.get());
  }
  ~DaemonProcess() {
    kill(pid, SIGKILL);
    EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  }

  pid_t pid = 0;
  std::unique_ptr<NodeView> node;
  std::unique_ptr<SetView> view;
  std::unique_ptr<ClientRegion> region;
  std::unique_ptr<Reader> reader;
};

constexpr uint64_t kId = uint64_t{1} << 50;

// Reads until the result is `wanted`; another one than that and `meanwhile` is a failure.
void AwaitLookup(DaemonProcess& daemon, Lookup wanted, Lookup meanwhile) {
  const uint64_t deadline = MonotonicNs() + 60 * kNsPerSecond;
  for (;;) {
    Pinned pinned;
    const Lookup result = daemon.reader->Get(*daemon.view, kId, &pinned);
    if (result == wanted) return;
    ASSERT_EQ(result, meanwhile);
    ASSERT_LT(MonotonicNs(), deadline);
  }
}

TEST(StoppedDaemon, Has_its_clients_served_until_its_lease_runs_out_and_again_when_it_goes_on) {
  DaemonProcess daemon([](TestDaemon& self) {
    // The lease first: once the object is there, this process may be stopped.
    for (bool put = false;; put = true) {
      self.node.host->lease().ExtendUntil(MonotonicNs() + 100'000'000);
      if (!put && !self.set->Put(kId, 1, Pattern(kId, 1)).ok()) _exit(4);
      poll(nullptr, 0, 10);
    }
  });
  AwaitLookup(daemon, Lookup::kHit, Lookup::kMiss);  // until it has put the object
  // From the hour that the test's daemon begins with to the lease proper takes one turn of its
  // loop.
  ASSERT_EQ(kill(daemon.pid, SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(waitpid(daemon.pid, &status, WUNTRACED), daemon.pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  AwaitLookup(daemon, Lookup::kNoLease, Lookup::kHit);
  for (int again = 0; again < 1000; ++again) {
    AwaitLookup(daemon, Lookup::kNoLease, Lookup::kNoLease);
  }
  ASSERT_EQ(kill(daemon.pid, SIGCONT), 0);
  AwaitLookup(daemon, Lookup::kHit, Lookup::kNoLease);
}

TEST(KilledDaemon, Leaves_every_object_in_its_old_or_new_version) {
  base::Prng prng(10);
  std::array<std::byte, kPatternBytesMax> to;
  for (int kills = 0; kills < 50; ++kills) {
    const uint64_t seed = prng.Next();
    DaemonProcess daemon([seed](TestDaemon& self) {
      base::Prng mine(seed);
      for (;;) self.Change(mine);
    });
    for (uint64_t reads = prng.Below(20'000); reads > 0; --reads) {
      ObjectInfo info;
      const uint64_t id = reads % kObjects;
      if (daemon.reader->Read(*daemon.view, id, to, &info) != Lookup::kHit) continue;
      ASSERT_TRUE(IsWhole(id, info.object_version, std::span(to.data(), info.bytes)));
    }
    ASSERT_EQ(kill(daemon.pid, SIGKILL), 0);
    siginfo_t dead;
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(daemon.pid), &dead, WEXITED | WNOWAIT), 0);
    for (uint64_t id = 0; id < kObjects; ++id) {
      ObjectInfo info;
      if (daemon.reader->Read(*daemon.view, id, to, &info) != Lookup::kHit) continue;
      ASSERT_TRUE(IsWhole(id, info.object_version, std::span(to.data(), info.bytes)));
    }
    const absl::Status gone = daemon.region->AwaitReply(MonotonicNs() + 60 * kNsPerSecond).status();
    ASSERT_TRUE(absl::IsUnavailable(gone)) << gone;
  }
}

}  // namespace
}  // namespace clustix::cache
