// SPDX-License-Identifier: Apache-2.0
//
// The admin socket over a real one: what lib/client gets, and what strangers' bytes do.
#include "daemon/admin_service.h"

#include <endian.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <mutex>
#include <thread>

#include "lib/base/status.h"
#include "lib/client/client.h"
#include "lib/client/socket_path.h"
#include "lib/client/unix_socket.h"
#include "lib/io/uring_io.h"
#include "lib/proc/snapshot_codec.h"
#include "proto/message.h"
#include "tests/unit/daemon/temp_dir.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::daemon {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kTestDeadline{30};  // nothing takes as long unless it hangs

class RecordedView : public procview::ClusterView {
 public:
  std::shared_ptr<const proc::ClusterSnapshot> Snapshot() override { return snapshot_; }
  void Outdate() override {}
  static std::shared_ptr<const proc::ClusterSnapshot> Make() {
    auto cluster = std::make_shared<proc::ClusterSnapshot>();
    cluster->self = 1;
    cluster->nodes.push_back(
        {.node = 1,
         .name = "one",
         .address = "a:1",
         .state = "self",
         .stale = false,
         .age_ms = 7,
         .snapshot = std::make_shared<const proc::NodeSnapshot>(SampleSnapshot(1, 500, 2000))});
    cluster->nodes.push_back({.node = 2,
                              .name = "two",
                              .address = "b:1",
                              .state = "dead",
                              .stale = true,
                              .age_ms = 0,
                              .snapshot = nullptr});
    return cluster;
  }
  procview::FileResult ReadProcessFile(uint16_t, int32_t, int32_t, const std::string&,
                                       const procview::Asker&) override {
    return {};
  }
  procview::TaskList ListTasks(uint16_t, int32_t) override { return {}; }
  std::vector<procview::FileResult> ReadNodeFiles(const std::vector<uint16_t>& nodes,
                                                  const std::string&) override {
    return std::vector<procview::FileResult>(nodes.size());
  }
  bool HasNodeFile(const std::string&) override { return false; }

 private:
  const std::shared_ptr<const proc::ClusterSnapshot> snapshot_ = Make();
};

class AdminServiceTest : public ::testing::Test {
 protected:
  AdminServiceTest() : path_(dir_.File("admin.sock")), workers_(2, 16) {
    io_ = *io::UringIo::Create();
    service_ =
        *AdminService::Start(*io_, path_, view_, workers_,
                             {.fill_status =
                                  [this](proto::Status::Builder status) {
                                    status.setName("one");
                                    status.initPeers(1)[0].setState(peers_up_ ? "up" : "x");
                                    status.initCounters(1)[0].setName("refused.proof");
                                  },
                              .all_peers_up =
                                  [this] {
                                    ++times_asked_;
                                    times_asked_.notify_all();
                                    return peers_up_;
                                  },
                              .signal =
                                  [this](int32_t gpid, int signal, uint64_t start, uid_t uid) {
                                    std::lock_guard lock(signals_mutex_);
                                    signals_.push_back({gpid, signal, start, uid});
                                    return outcome_.load();
                                  }});
    loop_ = std::thread([this] { io_->Run(); });
  }
  ~AdminServiceTest() override {
    workers_.Stop();
    OnLoop([this] { service_->Stop(); });
    io_->Stop();
    loop_.join();
    io_.reset();
  }

  void OnLoop(std::function<void()> task) {
    std::promise<void> done;
    io_->loop().Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  uint64_t BadRequests() {
    uint64_t count = 0;
    OnLoop([&] { count = service_->bad_requests(); });
    return count;
  }
  base::UniqueFd Connect() {
    base::UniqueFd fd = *client::ConnectUnix(path_);
    timeval timeout{30, 0};  // a test that hangs fails
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return fd;
  }

  struct Sent {
    int32_t gpid;
    int signal;
    uint64_t start_ticks;
    uid_t uid;
  };
  std::mutex signals_mutex_;
  std::vector<Sent> signals_;
  std::atomic<proc::SignalOutcome> outcome_ = proc::SignalOutcome::kDelivered;

  // On the loop's thread, except for waiting.
  bool peers_up_ = false;
  std::atomic<int> times_asked_ = 0;

  TempDir dir_;
  std::string path_;
  RecordedView view_;
  WorkerPool workers_;
  std::unique_ptr<io::UringIo> io_;
  std::unique_ptr<AdminService> service_;
  std::thread loop_;
};

std::string Framed(const std::string& body) {
  uint32_t length = htole32(static_cast<uint32_t>(body.size()));
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + body;
}

// An AdminRequest for the status: a segment table, a root pointer, the discriminant 0.
std::string StatusRequest() {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::AdminRequest>().setStatus();
  std::vector<std::byte> bytes = proto::WriteMessage(message);
  return Framed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void Send(const base::UniqueFd& fd, const std::string& bytes) {
  // May fail with EPIPE when the daemon has hung up already, which the reader then sees.
  if (send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
}

// Everything until the daemon hangs up.
std::string ReadToEnd(const base::UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    // A receive with a timeout is not taken up again by the kernel after io_uring's interruptions.
    ssize_t got = TEMP_FAILURE_RETRY(recv(fd.get(), buffer, sizeof(buffer), 0));
    if (got <= 0) return got == 0 || errno == ECONNRESET ? text : text + "(timeout)";
    text.append(buffer, static_cast<size_t>(got));
  }
}

TEST_F(AdminServiceTest, Answers_several_questions_on_one_connection) {
  absl::StatusOr<client::Client> client = client::Client::Connect(path_);
  ASSERT_TRUE(client.ok()) << client.status();
  absl::StatusOr<client::Status> status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->name, "one");
  EXPECT_EQ(status->counters.at(0).name, "refused.proof");
  absl::StatusOr<proc::ClusterSnapshot> snapshot = client->GetSnapshot();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  ASSERT_EQ(snapshot->nodes.size(), 2u);
  ASSERT_NE(snapshot->nodes[0].snapshot, nullptr);
  EXPECT_EQ(snapshot->nodes[0].snapshot->processes.size(), 500u);
  EXPECT_EQ(snapshot->nodes[0].snapshot->processes[499].cmdline,
            SampleSnapshot(1, 500, 2000).processes[499].cmdline);
  EXPECT_EQ(snapshot->nodes[1].snapshot, nullptr);
  EXPECT_TRUE(snapshot->nodes[1].stale);
  absl::StatusOr<std::vector<proc::NodeSummary>> nodes = client->GetNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  EXPECT_EQ(nodes->at(0).process_count, 500u);
  EXPECT_TRUE(nodes->at(0).view.snapshot->processes.empty());
}

TEST_F(AdminServiceTest, Sends_signals_as_the_user_who_asks_and_tells_every_outcome) {
  absl::StatusOr<client::Client> client = client::Client::Connect(path_);
  ASSERT_TRUE(client.ok()) << client.status();
  using proc::SignalOutcome;
  for (SignalOutcome outcome :
       {SignalOutcome::kDelivered, SignalOutcome::kNoSuchProcess, SignalOutcome::kDenied,
        SignalOutcome::kInvalid, SignalOutcome::kUnreachable, SignalOutcome::kUnknown}) {
    outcome_ = outcome;
    const absl::StatusOr<SignalOutcome> told = client->Signal(8388630, SIGHUP, 77);
    ASSERT_TRUE(told.ok()) << told.status();
    EXPECT_EQ(*told, outcome);
  }
  std::lock_guard lock(signals_mutex_);
  ASSERT_EQ(signals_.size(), 6u);
  EXPECT_EQ(signals_[0].gpid, 8388630);
  EXPECT_EQ(signals_[0].signal, SIGHUP);
  EXPECT_EQ(signals_[0].start_ticks, 77u);
  EXPECT_EQ(signals_[0].uid, geteuid());
}

TEST_F(AdminServiceTest, Does_not_ask_twice_for_a_signal_when_the_daemon_goes_away) {
  absl::StatusOr<client::Client> client = client::Client::Connect(path_);
  ASSERT_TRUE(client.ok()) << client.status();
  OnLoop([this] { service_->Stop(); });
  const absl::StatusOr<proc::SignalOutcome> told = client->Signal(8388630, SIGHUP, 0);
  EXPECT_EQ(told.status().code(), absl::StatusCode::kUnknown) << told.status();
}

TEST_F(AdminServiceTest, Takes_requests_in_any_pieces) {
  base::UniqueFd fd = Connect();
  for (char byte : StatusRequest()) Send(fd, std::string(1, byte));
  char length[4];
  EXPECT_EQ(TEMP_FAILURE_RETRY(recv(fd.get(), length, sizeof(length), MSG_WAITALL)), 4);
  base::UniqueFd pipelined = Connect();
  Send(pipelined, StatusRequest() + StatusRequest());
  shutdown(pipelined.get(), SHUT_WR);
  EXPECT_EQ(BadRequests(), 0u);
}

TEST_F(AdminServiceTest, Explains_counts_and_hangs_up_on_bad_requests) {
  const std::string bad[] = {
      std::string(4, '\0'),            // no length
      std::string(4, '\xff'),          // 4 GiB
      Framed("seven b"),               // no whole words
      Framed(std::string(8, '\xff')),  // more segments than bytes
      Framed(std::string(64, '\xff')),
  };
  uint64_t count = 0;
  for (const std::string& bytes : bad) {
    base::UniqueFd fd = Connect();
    Send(fd, bytes);
    EXPECT_THAT(ReadToEnd(fd), ::testing::AnyOf(HasSubstr("malformed"), HasSubstr("bytes")));
    EXPECT_EQ(BadRequests(), ++count);
  }
  EXPECT_TRUE(client::Client::Connect(path_)->GetStatus().ok());  // nobody else is disturbed
}

TEST_F(AdminServiceTest, Bounds_what_a_client_can_make_it_keep) {
  base::UniqueFd fd = Connect();
  // Incomplete at first, then far too much of it.
  Send(fd, Framed(std::string(proto::ADMIN_REQUEST_BYTES_MAX, 'x')).substr(0, 1000));
  Send(fd, std::string(4 << 20, 'x'));
  EXPECT_THAT(ReadToEnd(fd), ::testing::Not(HasSubstr("(timeout)")));
  EXPECT_GE(BadRequests(), 1u);
}

TEST_F(AdminServiceTest, Survives_clients_that_leave_before_the_answer) {
  for (int i = 0; i < 20; ++i) {
    base::UniqueFd fd = Connect();
    Send(fd, StatusRequest());
  }
  EXPECT_TRUE(client::Client::Connect(path_)->GetStatus().ok());
}

TEST_F(AdminServiceTest, Answers_who_waits_for_peers_as_soon_as_all_are_up) {
  std::future<absl::StatusOr<client::Status>> waiting = std::async(std::launch::async, [this] {
    return client::Client::Connect(path_)->AwaitPeers(std::chrono::milliseconds(20'000));
  });
  times_asked_.wait(0);                         // the question has arrived
  OnLoop([this] { service_->OnPeerState(); });  // one of several
  OnLoop([this] {
    EXPECT_EQ(service_->connections(), 1u);
    peers_up_ = true;
    service_->OnPeerState();
  });
  absl::StatusOr<client::Status> status = waiting.get();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->peers.at(0).state, "up");
  // And at once when there is nothing to wait for.
  status = client::Client::Connect(path_)->AwaitPeers(std::chrono::milliseconds(20'000));
  EXPECT_TRUE(status.ok()) << status.status();
}

TEST_F(AdminServiceTest, Answers_who_waits_for_peers_in_vain_when_the_time_is_over) {
  absl::StatusOr<client::Client> client = client::Client::Connect(path_);
  ASSERT_TRUE(client.ok()) << client.status();
  absl::StatusOr<client::Status> status = client->AwaitPeers(std::chrono::milliseconds(20));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->peers.at(0).state, "x");
  EXPECT_TRUE(client->GetStatus().ok());
}

TEST_F(AdminServiceTest, Ends_while_somebody_waits_for_peers) {
  std::future<absl::Status> waiting = std::async(std::launch::async, [this] {
    return client::Client::Connect(path_)->AwaitPeers(std::chrono::milliseconds(20'000)).status();
  });
  times_asked_.wait(0);
  OnLoop([this] { service_->Stop(); });
  EXPECT_TRUE(absl::IsUnavailable(waiting.get()));
}

// A daemon that takes connections and does nothing about them.
base::UniqueFd ListenAt(const std::string& path) {
  base::UniqueFd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(listener.get(), 1), 0);
  return listener;
}

TEST(Client, Waits_for_a_daemon_that_is_only_starting) {
  TempDir dir;
  const std::string path = dir.File("late.sock");
  EXPECT_TRUE(absl::IsNotFound(client::Client::Await(path, std::chrono::milliseconds(1)).status()));
  std::future<absl::Status> waiting = std::async(
      std::launch::async, [&path] { return client::Client::Await(path, kTestDeadline).status(); });
  base::UniqueFd listener = ListenAt(path);
  ASSERT_EQ(chmod(path.c_str(), 0666), 0);  // as AdminService does
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(AdminServiceTest, Is_asked_again_by_a_client_whose_daemon_ended_under_the_question) {
  // The client's daemon ends, unanswered, and the one of this test takes its place.
  const std::string path = dir_.File("place.sock");
  base::UniqueFd ending = ListenAt(path);
  absl::StatusOr<client::Client> client = client::Client::Connect(path);
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_EQ(rename(path_.c_str(), path.c_str()), 0);
  ending.Reset();
  absl::StatusOr<client::Status> status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->name, "one");
}

TEST(Client, Names_the_process_of_a_daemon_that_hangs) {
  TempDir dir;
  base::UniqueFd listener = ListenAt(dir.File("hangs.sock"));
  auto client = client::Client::Connect(dir.File("hangs.sock"), std::chrono::milliseconds(20));
  ASSERT_TRUE(client.ok()) << client.status();
  absl::Status hangs = client->GetStatus().status();
  EXPECT_THAT(std::string(base::ToStd(hangs.message())),
              HasSubstr("kill -CONT " + std::to_string(getpid())));
}

TEST_F(AdminServiceTest, Keeps_one_reply_for_any_number_of_clients_that_do_not_read_it) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::AdminRequest>().setSnapshot();
  std::vector<std::byte> bytes = proto::WriteMessage(message);
  const std::string question = Framed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const size_t reply = proc::EncodeClusterReply(*view_.Snapshot()).size();
  std::vector<base::UniqueFd> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(Connect());
    Send(clients.back(), question);
    char byte;
    ASSERT_EQ(TEMP_FAILURE_RETRY(recv(clients.back().get(), &byte, 1, 0)),
              1);  // the reply has begun
    EXPECT_EQ(service_->reply_bytes(), reply);
  }
  clients.clear();
  EXPECT_TRUE(client::Client::Connect(path_)->GetStatus().ok());
}

TEST_F(AdminServiceTest, Reports_when_the_last_connection_has_closed) {
  base::UniqueFd fd = Connect();
  Send(fd, StatusRequest());
  char byte;
  ASSERT_EQ(TEMP_FAILURE_RETRY(recv(fd.get(), &byte, 1, 0)), 1);  // accepted
  std::promise<size_t> left;
  OnLoop([&] { service_->Stop([&] { left.set_value(service_->connections()); }); });
  EXPECT_EQ(left.get_future().get(), 0u);
  EXPECT_THAT(ReadToEnd(fd), ::testing::Not(HasSubstr("(timeout)")));
}

TEST(Client, Tells_a_daemon_that_is_not_there_from_one_that_hangs) {
  TempDir dir;
  absl::Status none = client::Client::Connect(dir.File("none.sock")).status();
  EXPECT_TRUE(absl::IsNotFound(none)) << none;
  base::UniqueFd listener = ListenAt(dir.File("hangs.sock"));
  auto client = client::Client::Connect(dir.File("hangs.sock"), std::chrono::milliseconds(20));
  ASSERT_TRUE(client.ok()) << client.status();
  absl::Status hangs = client->GetStatus().status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(hangs)) << hangs;
  // Once its queue of connections is full, even connecting would wait for ever.
  std::vector<client::Client> waiting;
  absl::Status full;
  while (full.ok() && waiting.size() < 100) {
    auto next = client::Client::Connect(dir.File("hangs.sock"), std::chrono::milliseconds(20));
    full = next.status();
    if (next.ok()) waiting.push_back(*std::move(next));
  }
  EXPECT_TRUE(absl::IsDeadlineExceeded(full)) << full;
  listener.Reset();
  EXPECT_FALSE(client::Client::Connect(dir.File("hangs.sock")).ok());
}

TEST_F(AdminServiceTest, Is_not_found_in_a_folder_of_somebody_else) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to be another user";
  std::filesystem::create_directories(dir_.File("clustix"));
  ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0);
  std::filesystem::create_symlink(path_, dir_.File("clustix/") + client::kSocketName);
  setenv("XDG_RUNTIME_DIR", dir_.path().c_str(), 1);
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(seteuid(kNobody), 0);
  EXPECT_NE(client::FindSocket("").value_or(""), dir_.File("clustix/") + client::kSocketName);
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_EQ(chown(dir_.File("clustix").c_str(), kNobody, 0), 0);
  ASSERT_EQ(seteuid(kNobody), 0);
  EXPECT_EQ(client::FindSocket("").value_or(""), dir_.File("clustix/") + client::kSocketName);
  ASSERT_EQ(seteuid(0), 0);
  unsetenv("XDG_RUNTIME_DIR");
}

}  // namespace
}  // namespace clustix::daemon
