// SPDX-License-Identifier: Apache-2.0
//
// Streams and listeners over real sockets: failures, and closing at every awkward moment.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "lib/base/log.h"
#include "lib/base/unique_fd.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"
#include "tests/unit/io/uring_fixture.h"

namespace clustix::io {
namespace {

using base::UniqueFd;

class UringIoFaultsTest : public UringFixture {
 protected:
  // A plain blocking client, for what an Io never does.
  UniqueFd RawConnect(const std::string& address) {
    const SocketAddress peer = ParseAddress(address).value();
    UniqueFd fd(socket(peer.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), peer.get(), peer.bytes), 0) << errno;
    return fd;
  }
  static void Reset(UniqueFd fd) {
    const linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
};

TEST_F(UringIoFaultsTest, A_refused_connect_reports_and_then_closes) {
  const ListenerId listener = Listen();
  io_->CloseListener(listener);
  RunTurns(3);
  auto client = Connect(address_);
  client->on_connected = [&] {
    EXPECT_FALSE(client->closed);
    Send(client->stream, "into the void");  // does nothing
    io_->Close(client->stream);
  };
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->connected, ECONNREFUSED);
  EXPECT_EQ(client->closed, ECONNREFUSED);
  EXPECT_EQ(client->sends_done, 0);
}

TEST_F(UringIoFaultsTest, A_unix_socket_that_is_not_there_reports_and_then_closes) {
  auto client = Connect("unix:" + Directory() + "/none");
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->connected, ENOENT);
}

TEST_F(UringIoFaultsTest, A_connect_that_never_finishes_can_be_closed) {
  // A listener whose queue is full drops further SYNs.
  UniqueFd full(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress any = ParseAddress("127.0.0.1:0").value();
  ASSERT_EQ(bind(full.get(), any.get(), any.bytes), 0);
  ASSERT_EQ(listen(full.get(), 0), 0);
  const std::string address = FormatAddress(LocalAddressOf(full.get()).value());
  UniqueFd filler = RawConnect(address);
  auto client = Connect(address);
  RunTurns(10);
  ASSERT_FALSE(client->connected);
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->closed, 0);
  EXPECT_FALSE(client->connected);
}

TEST_F(UringIoFaultsTest, A_connect_that_has_not_been_submitted_can_be_closed) {
  Listen();
  auto client = Connect(address_);
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->closed, 0);
  EXPECT_FALSE(client->connected);
}

TEST_F(UringIoFaultsTest, A_reset_by_the_peer_is_reported) {
  Listen();
  UniqueFd client = RawConnect(address_);
  ASSERT_TRUE(RunUntil([&] { return acceptor_.streams.size() == 1; }));
  Reset(std::move(client));
  ASSERT_TRUE(RunUntil([&] { return accepted().closed.has_value(); }));
  EXPECT_EQ(accepted().closed, ECONNRESET);
}

TEST_F(UringIoFaultsTest, A_send_in_flight_ends_with_a_reset) {
  Listen();
  UniqueFd client = RawConnect(address_);
  ASSERT_TRUE(RunUntil([&] { return acceptor_.streams.size() == 1; }));
  const std::string bytes(64 * kMiB, 'x');
  Send(accepted().stream, bytes);
  RunTurns(10);
  EXPECT_EQ(accepted().sends_done, 0);
  Reset(std::move(client));
  ASSERT_TRUE(RunUntil([&] { return accepted().closed.has_value(); }));
}

TEST_F(UringIoFaultsTest, A_send_to_a_peer_that_is_gone_fails_and_raises_no_signal) {
  Listen();
  acceptor_.on_accept = [&](Recorder& stream) { io_->PauseReceive(stream.stream); };
  UniqueFd client = RawConnect(address_);
  ASSERT_TRUE(RunUntil([&] { return acceptor_.streams.size() == 1; }));
  Reset(std::move(client));
  RunTurns(3);
  Send(accepted().stream, "a");
  ASSERT_TRUE(RunUntil([&] { return accepted().sends_done == 1; }));
  EXPECT_TRUE(accepted().send_error == ECONNRESET || accepted().send_error == EPIPE)
      << accepted().send_error;
  Send(accepted().stream, "b");
  ASSERT_TRUE(RunUntil([&] { return accepted().sends_done == 2; }));
  EXPECT_EQ(accepted().send_error, EPIPE);
  EXPECT_FALSE(accepted().closed) << "a failed send must not end the stream";
  io_->Close(accepted().stream);
  ASSERT_TRUE(RunUntil([&] { return accepted().closed.has_value(); }));
}

TEST_F(UringIoFaultsTest, Closing_with_a_send_in_flight_ends_by_OnClosed_alone) {
  Listen();
  acceptor_.on_accept = [&](Recorder& stream) {
    stream.keep_data = false;
    io_->PauseReceive(stream.stream);
  };
  auto client = ConnectAndAccept();
  auto bytes = std::make_unique<std::string>(64 * kMiB, 'x');
  const iovec vec = {.iov_base = bytes->data(), .iov_len = bytes->size()};
  io_->Send(client->stream, {&vec, 1});
  RunTurns(5);
  ASSERT_EQ(client->sends_done, 0);
  client->on_closed = [&] { bytes.reset(); };  // nothing is in flight, so it may go
  io_->Close(client->stream);
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->closed, 0);
  EXPECT_EQ(client->sends_done, 0);
  io_->ResumeReceive(accepted().stream);
  ASSERT_TRUE(RunUntil([&] { return accepted().closed.has_value(); }));
}

TEST_F(UringIoFaultsTest, Closing_in_the_turn_of_the_send_is_safe) {
  Listen();
  auto client = ConnectAndAccept();
  Send(client->stream, std::string(kMiB, 'x'));
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->sends_done, 0);
}

TEST_F(UringIoFaultsTest, Streams_can_be_closed_from_within_every_callback) {
  Listen();
  acceptor_.on_accept = [&](Recorder& stream) { io_->Close(stream.stream); };
  auto in_accept = ConnectAndAccept();
  ASSERT_TRUE(RunUntil([&] { return accepted().closed && in_accept->closed; }));

  acceptor_.on_accept = nullptr;
  auto in_connected = Connect(address_);
  in_connected->on_connected = [&] { io_->Close(in_connected->stream); };
  ASSERT_TRUE(RunUntil([&] { return in_connected->closed.has_value(); }));

  auto in_data = ConnectAndAccept();
  Recorder& server = accepted();
  server.on_data = [&](auto) {
    io_->Close(server.stream);
    EXPECT_FALSE(server.closed) << "called back from within Close()";
  };
  const std::string bytes(kMiB, 'x');
  Send(in_data->stream, bytes);
  ASSERT_TRUE(RunUntil([&] { return server.closed && in_data->closed; }));
  EXPECT_LT(server.received, bytes.size()) << "data came after Close()";

  auto in_sent = ConnectAndAccept();
  in_sent->on_sent = [&] { io_->Close(in_sent->stream); };
  Send(in_sent->stream, "x");
  ASSERT_TRUE(RunUntil([&] { return in_sent->closed && accepted().closed; }));

  auto in_closed = ConnectAndAccept();
  in_closed->on_closed = [&] {
    io_->Close(in_closed->stream);
    io_->PauseReceive(in_closed->stream);
    io_->ResumeReceive(in_closed->stream);
    Send(in_closed->stream, "x");
  };
  io_->Close(in_closed->stream);
  ASSERT_TRUE(RunUntil([&] { return in_closed->closed && accepted().closed; }));
  RunTurns(3);
}

// The usual way for a server to own its connections.
class SelfOwned : public StreamHandler {
 public:
  explicit SelfOwned(std::function<void()> gone) : gone_(std::move(gone)) {}
  void OnConnected(int) override {}
  void OnData(std::span<const std::byte>) override {}
  void OnSent(size_t, int) override {}
  void OnClosed(int) override {
    const auto gone = std::move(gone_);
    delete this;
    gone();
  }

 private:
  std::function<void()> gone_;
};

TEST_F(UringIoFaultsTest, A_handler_may_delete_itself_when_it_is_closed) {
  Listen();
  bool gone = false;
  const auto stream = io_->Connect(address_, "", {}, new SelfOwned([&] {
                                     gone = true;
                                     Check();
                                   }));
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(RunUntil([&] { return acceptor_.streams.size() == 1; }));
  io_->Close(*stream);
  EXPECT_TRUE(RunUntil([&] { return gone && accepted().closed; }));
}

TEST_F(UringIoFaultsTest, A_stream_can_close_another_in_the_same_turn) {
  Listen();
  auto a = ConnectAndAccept();
  Recorder& server_a = accepted();
  auto b = ConnectAndAccept();
  Recorder& server_b = accepted();
  // Both have data ready when the turn begins; whichever comes first closes the other.
  server_a.on_data = [&](auto) { io_->Close(server_b.stream); };
  server_b.on_data = [&](auto) { io_->Close(server_a.stream); };
  Send(a->stream, "a");
  Send(b->stream, "b");
  ASSERT_TRUE(RunUntil([&] { return server_a.closed || server_b.closed; }));
  RunTurns(3);
  EXPECT_NE(server_a.closed.has_value(), server_b.closed.has_value());
  EXPECT_EQ(server_a.received + server_b.received, 1u);
}

TEST_F(UringIoFaultsTest, A_listener_rests_while_descriptors_are_short_and_then_goes_on) {
  std::vector<std::string> lines;
  base::SetLogSink([&](std::string_view line) {
    lines.emplace_back(line);
    Check();
  });
  // The kernel notes the limit when the accept is submitted, and applies it when a client comes.
  // The test itself (and the sanitizers) can use descriptors in between.
  Listen();
  rlimit limit, none;
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  RunTurns(1);
  setrlimit(RLIMIT_NOFILE, &limit);
  UniqueFd first = RawConnect(address_), second = RawConnect(address_);
  ASSERT_TRUE(RunUntil([&] { return lines.size() == 1; }));
  EXPECT_NE(lines[0].find("accept failed"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("Too many open files"), std::string::npos) << lines[0];
  EXPECT_TRUE(RunUntil([&] { return acceptor_.streams.size() == 2; }));
  EXPECT_EQ(lines.size(), 1u);
  base::SetLogSink(nullptr);
}

TEST_F(UringIoFaultsTest, A_listener_that_rests_can_be_closed) {
  std::vector<std::string> lines;
  base::SetLogSink([&](std::string_view line) {
    lines.emplace_back(line);
    Check();
  });
  const ListenerId listener = Listen();
  rlimit limit, none;
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  RunTurns(1);
  setrlimit(RLIMIT_NOFILE, &limit);
  UniqueFd client = RawConnect(address_);
  ASSERT_TRUE(RunUntil([&] { return lines.size() == 1; }));
  io_->CloseListener(listener);
  bool later = false;
  io_->loop().RunAt(io_->loop().Now() + 200'000'000, [&] {
    later = true;
    Check();
  });
  EXPECT_TRUE(RunUntil([&] { return later; }));
  EXPECT_TRUE(acceptor_.streams.empty());
  base::SetLogSink(nullptr);
}

TEST_F(UringIoFaultsTest, A_client_that_is_gone_before_it_is_accepted_harms_nobody) {
  Listen();
  for (int i = 0; i < 20; ++i) Reset(RawConnect(address_));
  UniqueFd live = RawConnect(address_);
  ASSERT_EQ(write(live.get(), "x", 1), 1);
  ASSERT_TRUE(RunUntil([&] {
    return std::any_of(acceptor_.streams.begin(), acceptor_.streams.end(),
                       [](auto& stream) { return stream->received == 1; });
  }));
}

TEST_F(UringIoFaultsTest, A_unix_connect_waits_for_room_in_the_listeners_queue_and_can_be_closed) {
  const std::string address = "unix:" + Directory() + "/full";
  const SocketAddress path = ParseAddress(address).value();
  UniqueFd full(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(full.get(), path.get(), path.bytes), 0);
  ASSERT_EQ(listen(full.get(), 0), 0);
  UniqueFd filler = RawConnect(address);
  auto client = Connect(address);
  RunTurns(10);
  EXPECT_FALSE(client->connected);
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_FALSE(client->connected);
}

}  // namespace
}  // namespace clustix::io
