// SPDX-License-Identifier: Apache-2.0
//
// Streams and listeners over real sockets: what works when nothing fails.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/prng.h"
#include "lib/base/unique_fd.h"
#include "lib/io/address.h"
#include "tests/unit/io/uring_fixture.h"

namespace clustix::io {
namespace {

class UringIoTest : public UringFixture {};

// ---- Over each kind of address ----

class UringIoAddressTest : public UringFixture, public testing::WithParamInterface<const char*> {
 protected:
  std::string Address() {
    const std::string kind = GetParam();
    return kind == "unix" ? "unix:" + Directory() + "/s" : kind;
  }
};

TEST_P(UringIoAddressTest, Echoes) {
  Listen(Address());
  auto client = ConnectAndAccept();
  accepted().on_data = [&](auto) { Send(accepted().stream, accepted().data); };
  Send(client->stream, "hello");
  ASSERT_TRUE(RunUntil([&] { return client->data.size() == 5 && client->sends_done == 1; }));
  EXPECT_EQ(client->data, "hello");
  EXPECT_EQ(client->sent, 5u);
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed && accepted().closed; }));
  EXPECT_EQ(client->closed, 0);
  EXPECT_EQ(accepted().closed, 0);
}

std::string KindName(const testing::TestParamInfo<const char*>& kind) {
  const std::string address = kind.param;
  return address == "unix" ? "unix" : address[0] == '[' ? "IPv6" : "IPv4";
}

INSTANTIATE_TEST_SUITE_P(Kinds, UringIoAddressTest,
                         testing::Values("127.0.0.1:0", "[::1]:0", "unix"), KindName);

// ---- Addresses ----

TEST_F(UringIoTest, Tells_the_port_it_picked_and_who_connected) {
  Listen();
  EXPECT_EQ(address_.rfind("127.0.0.1:", 0), 0u);
  EXPECT_NE(address_, "127.0.0.1:0");
  Recorder client(Progress());
  ASSERT_TRUE(io_->Connect(address_, "127.0.0.9", {}, &client).ok());
  ASSERT_TRUE(RunUntil([&] { return acceptor_.peer_addresses.size() == 1 && client.connected; }));
  EXPECT_EQ(acceptor_.peer_addresses[0].rfind("127.0.0.9:", 0), 0u);
}

TEST_F(UringIoTest, Refuses_addresses_it_cannot_use_at_once) {
  Recorder client(Progress());
  EXPECT_EQ(io_->Connect("node2:7400", "", {}, &client).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(io_->Connect("127.0.0.1:1", "192.0.2.1", {}, &client).ok());
  EXPECT_FALSE(io_->Listen("192.0.2.1:0", {}, &acceptor_).ok());
  Listen();
  const auto taken = io_->Listen(address_, {}, &acceptor_);
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.status().message().find(address_), absl::string_view::npos);
}

TEST_F(UringIoTest, Knows_the_process_at_the_other_end_of_a_unix_socket) {
  Listen("unix:" + Directory() + "/s");
  auto client = ConnectAndAccept();
  const auto credentials = io_->PeerCredentials(accepted().stream);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_EQ(credentials->pid, getpid());
  EXPECT_EQ(credentials->uid, getuid());
  EXPECT_EQ(credentials->gid, getgid());
  EXPECT_EQ(io_->PeerCredentials(12345).status().code(), absl::StatusCode::kNotFound);
  Listen();
  auto tcp = ConnectAndAccept();
  EXPECT_EQ(io_->PeerCredentials(tcp->stream).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(UringIoTest, Removes_its_unix_socket_file_with_the_listener_but_no_other) {
  const std::string path = Directory() + "/s";
  const ListenerId first = Listen("unix:" + path);
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
  io_->CloseListener(first);
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  const ListenerId second = Listen("unix:" + path);
  ASSERT_EQ(unlink(path.c_str()), 0);
  const ListenerId third = Listen("unix:" + path);
  io_->CloseListener(second);
  EXPECT_EQ(access(path.c_str(), F_OK), 0) << "removed the third listener's file";
  io_->CloseListener(third);
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

// ---- Transfer ----

std::string RandomBytes(size_t bytes) {
  std::string text(bytes, '\0');
  base::Prng(bytes).Fill(text.data(), bytes);
  return text;
}

TEST_F(UringIoTest, Counts_its_writes_and_entries_into_the_kernel) {
  Listen();
  auto client = ConnectAndAccept();
  const UringCounters before = io_->counters();
  for (int i = 1; i <= 3; ++i) {
    Send(client->stream, "x");
    ASSERT_TRUE(RunUntil([&] { return client->sends_done == i; }));
  }
  EXPECT_EQ(io_->counters().writes, before.writes + 3);
  const uint64_t entries = io_->counters().entries;
  RunTurns(2);
  EXPECT_EQ(io_->counters().entries, entries + 2);
}

TEST_F(UringIoTest, Carries_a_large_send_whole_and_in_order) {
  Listen();
  auto client = ConnectAndAccept();
  const std::string bytes = RandomBytes(24 * kMiB + 7);
  accepted().keep_data = false;
  uint32_t crc = 0;
  accepted().on_data = [&](std::span<const std::byte> data) {
    crc = base::Crc32cExtend(crc, data.data(), data.size());
  };
  Send(client->stream, bytes);
  ASSERT_TRUE(
      RunUntil([&] { return accepted().received == bytes.size() && client->sends_done == 1; }));
  EXPECT_EQ(client->sent, bytes.size());
  EXPECT_EQ(crc, base::Crc32c(bytes.data(), bytes.size()));
}

class UringIoSpinTest : public UringFixture {
 protected:
  // Looks out for as long as it takes, so that what comes is seen before the loop sleeps.
  UringIoSpinTest() : UringFixture({.spin_us = 60'000'000, .cores_idle = [] { return true; }}) {}
};

TEST_F(UringIoSpinTest, Reads_past_the_ring_what_comes_while_it_looks_out_and_keeps_the_order) {
  Listen();
  const std::string bytes = RandomBytes(100'000);
  std::string echo;  // received, and not yet sent
  bool sending = false;
  acceptor_.on_accept = [&](Recorder& stream) {
    stream.keep_data = false;
    auto send = [&] {
      sending = !echo.empty();
      if (sending) Send(stream.stream, std::exchange(echo, {}));
    };
    stream.on_sent = send;
    stream.on_data = [&, send](std::span<const std::byte> data) {
      echo.append(reinterpret_cast<const char*>(data.data()), data.size());
      if (!sending) send();
    };
  };
  // Requests of many sizes, of which the largest are more than one read takes.
  std::atomic<bool> enough = false;
  std::thread peer([&, address = *ParseAddress(address_)] {
    const base::UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(connect(fd.get(), address.get(), address.bytes), 0);
    for (size_t round = 0; !enough; ++round) {
      const size_t size = round % 10 == 9 ? 12'000 : 1 + round % 300;
      const char* sent = bytes.data() + round % 80'000;
      std::string back(size, '\0');
      EXPECT_EQ(send(fd.get(), sent, size, 0), static_cast<ssize_t>(size));
      EXPECT_EQ(recv(fd.get(), back.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
      EXPECT_TRUE(back == std::string(sent, size)) << "round " << round;
    }
  });
  EXPECT_TRUE(RunUntil([&] { return io_->counters().reads >= 50; }));
  enough = true;
  EXPECT_TRUE(RunUntil([&] { return accepted().closed.has_value(); }));
  peer.join();
}

class UringIoLaneTest : public UringIoTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Lanes, UringIoLaneTest, testing::Bool(),
                         [](const auto& lane) { return lane.param ? "Bulk" : "Ordinary"; });

// So that others, and whoever waits for the answers to the first bytes, do not wait for the last.
TEST_P(UringIoLaneTest, A_stream_receives_all_of_it_but_not_in_one_turn) {
  Listen("unix:" + Directory() + "/socket");  // whose buffer does not depend on the path's speed
  auto client = ConnectAndAccept();
  Recorder& stream = accepted();
  if (GetParam()) io_->SetBulk(stream.stream);
  const std::string bytes = RandomBytes(8 * kMiB);
  size_t most = 0;
  size_t before = 0;
  std::function<void()> look = [&] {
    most = std::max(most, stream.received - before);
    before = stream.received;
    if (stream.received < bytes.size()) io_->loop().AtEndOfTurn(look);
  };
  Send(client->stream, bytes);
  look();
  ASSERT_TRUE(RunUntil([&] { return stream.received == bytes.size(); }));
  EXPECT_EQ(stream.data, bytes);
  EXPECT_LE(most, 64u * 1024);
}

TEST_F(UringIoTest, A_bulk_stream_that_never_runs_dry_does_not_starve_the_others) {
  Listen();
  constexpr size_t kStreams = 4;
  const std::string bytes(4 * kMiB, 'x');
  std::vector<std::unique_ptr<Recorder>> clients;
  for (size_t i = 0; i < kStreams; ++i) {
    clients.push_back(ConnectAndAccept());
    Recorder& client = *clients.back();
    accepted().keep_data = false;
    io_->SetBulk(accepted().stream);
    client.on_sent = [&, stream = client.stream] {  // never runs out of bytes
      const iovec vec = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
      io_->Send(stream, {&vec, 1});
    };
    io_->PauseReceive(accepted().stream);
    client.on_sent();
  }
  RunTurns(100);  // the sockets fill
  for (const auto& stream : acceptor_.streams) io_->ResumeReceive(stream->stream);
  size_t most = 0;
  ASSERT_TRUE(RunUntil([&] {
    most = 0;
    size_t least = SIZE_MAX;
    for (const auto& stream : acceptor_.streams) {
      most = std::max(most, stream->received);
      least = std::min(least, stream->received);
    }
    return most >= 256 * kMiB || least >= 4 * kMiB;
  }));
  for (const auto& stream : acceptor_.streams) EXPECT_GE(stream->received, 4 * kMiB);
}

TEST_F(UringIoTest, Carries_as_many_stretches_as_the_contract_allows) {
  Listen();
  auto client = ConnectAndAccept();
  std::vector<std::string> stretches;
  std::vector<iovec> vecs;
  std::string whole;
  for (size_t i = 0; i < Io::kMaxVecs; ++i) {
    stretches.push_back(RandomBytes(i * 37));
    whole += stretches.back();
  }
  for (std::string& stretch : stretches) vecs.push_back({stretch.data(), stretch.size()});
  io_->Send(client->stream, vecs);
  vecs.clear();  // only the stretches must stay
  ASSERT_TRUE(RunUntil([&] { return accepted().received == whole.size(); }));
  EXPECT_EQ(accepted().data, whole);
}

TEST_F(UringIoTest, Both_directions_run_at_once) {
  Listen();
  auto client = ConnectAndAccept();
  const std::string bytes = RandomBytes(8 * kMiB);
  Send(client->stream, bytes);
  Send(accepted().stream, bytes);
  ASSERT_TRUE(RunUntil(
      [&] { return client->received == bytes.size() && accepted().received == bytes.size(); }));
  EXPECT_TRUE(client->data == bytes && accepted().data == bytes);
}

TEST_F(UringIoTest, A_sender_stands_still_while_the_receiver_is_paused) {
  Listen();
  acceptor_.on_accept = [&](Recorder& stream) {
    stream.keep_data = false;
    io_->PauseReceive(stream.stream);
  };
  auto client = ConnectAndAccept();
  // More than the socket buffers of both sides can hold, so the send cannot end without the
  // receiver.
  constexpr size_t kTotal = 96 * kMiB;
  const std::string bytes(kTotal, 'x');
  Send(client->stream, bytes);
  RunTurns(50);
  EXPECT_EQ(accepted().received, 0u);
  EXPECT_EQ(client->sends_done, 0);
  size_t received_when_sent = 0;
  client->on_sent = [&] { received_when_sent = accepted().received; };
  io_->ResumeReceive(accepted().stream);
  ASSERT_TRUE(RunUntil([&] { return accepted().received == kTotal && client->sends_done == 1; }));
  EXPECT_EQ(client->sent, kTotal);
  EXPECT_GT(received_when_sent, kTotal / 2);
}

TEST_F(UringIoTest, Pausing_and_resuming_at_every_step_loses_nothing) {
  Listen();
  auto client = ConnectAndAccept();
  Recorder& server = accepted();
  size_t pauses = 0;
  server.on_data = [&](auto) {
    io_->PauseReceive(server.stream);
    switch (++pauses % 4) {
      case 0:  // in the same turn, while the cancellation is not even submitted
        io_->ResumeReceive(server.stream);
        break;
      case 1:
        io_->loop().Post([&] { io_->ResumeReceive(server.stream); });
        break;
      case 2:
        io_->ResumeReceive(server.stream);
        io_->PauseReceive(server.stream);
        io_->loop().AtEndOfTurn([&] { io_->ResumeReceive(server.stream); });
        break;
      default:
        io_->loop().RunAt(io_->loop().Now() + 100'000, [&] { io_->ResumeReceive(server.stream); });
    }
  };
  const std::string bytes = RandomBytes(16 * kMiB);
  Send(client->stream, bytes);
  ASSERT_TRUE(RunUntil([&] { return server.received == bytes.size(); }));
  EXPECT_TRUE(server.data == bytes);
  EXPECT_GT(pauses, 10u);
}

TEST_F(UringIoTest, A_paused_stream_reports_its_end_after_it_resumes) {
  Listen();
  acceptor_.on_accept = [&](Recorder& stream) { io_->PauseReceive(stream.stream); };
  auto client = ConnectAndAccept();
  Send(client->stream, "last words");
  ASSERT_TRUE(RunUntil([&] { return client->sends_done == 1; }));
  io_->Close(client->stream);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  RunTurns(5);
  EXPECT_FALSE(accepted().closed);
  EXPECT_EQ(accepted().received, 0u);
  io_->ResumeReceive(accepted().stream);
  ASSERT_TRUE(RunUntil([&] { return accepted().closed.has_value(); }));
  EXPECT_EQ(accepted().data, "last words");
}

TEST_F(UringIoTest, Serves_many_streams_that_together_outrun_the_receive_buffers) {
  Listen();
  constexpr size_t kStreams = 200;
  const std::string bytes = RandomBytes(128 * 1024);
  acceptor_.on_accept = [&](Recorder& stream) { io_->PauseReceive(stream.stream); };
  std::vector<std::unique_ptr<Recorder>> clients;
  for (size_t i = 0; i < kStreams; ++i) clients.push_back(Connect(address_));
  for (auto& client : clients) {
    client->on_connected = [&, stream = client->stream] { Send(stream, bytes); };
  }
  ASSERT_TRUE(RunUntil([&] {
    return acceptor_.streams.size() == kStreams &&
           std::all_of(clients.begin(), clients.end(), [](auto& c) { return c->sends_done == 1; });
  }));
  // Now 25 MiB wait in the kernel for 4 MiB of buffers.
  for (auto& stream : acceptor_.streams) io_->ResumeReceive(stream->stream);
  ASSERT_TRUE(RunUntil([&] {
    return std::all_of(acceptor_.streams.begin(), acceptor_.streams.end(),
                       [&](auto& s) { return s->received == bytes.size(); });
  }));
  for (auto& stream : acceptor_.streams) EXPECT_TRUE(stream->data == bytes);
}

// ---- Listeners ----

TEST_F(UringIoTest, Accepts_more_connections_than_the_submission_queue_holds) {
  Listen();
  constexpr size_t kStreams = 3000;
  std::vector<std::unique_ptr<Recorder>> clients;
  for (size_t i = 0; i < kStreams; ++i) clients.push_back(Connect(address_));
  ASSERT_TRUE(RunUntil([&] {
    return acceptor_.streams.size() == kStreams &&
           std::all_of(clients.begin(), clients.end(), [](auto& c) { return c->connected; });
  }));
  for (auto& client : clients) EXPECT_EQ(client->connected, 0);
}

TEST_F(UringIoTest, A_refused_connection_is_closed) {
  Listen();
  acceptor_.refuse = true;
  auto client = Connect(address_);
  ASSERT_TRUE(RunUntil([&] { return client->closed.has_value(); }));
  EXPECT_EQ(client->connected, 0);
  EXPECT_TRUE(acceptor_.streams.empty());
}

TEST_F(UringIoTest, A_closed_listener_accepts_no_more_and_frees_its_address) {
  const ListenerId listener = Listen();
  auto before = ConnectAndAccept();
  io_->CloseListener(listener);
  io_->CloseListener(listener);
  EXPECT_EQ(io_->LocalAddress(listener + 1), "");
  RunTurns(3);
  EXPECT_EQ(io_->LocalAddress(listener), "");
  auto after = Connect(address_);
  ASSERT_TRUE(RunUntil([&] { return after->closed.has_value(); }));
  EXPECT_EQ(after->connected, ECONNREFUSED);
  EXPECT_FALSE(before->closed);
  const auto again = io_->Listen(address_, {}, &acceptor_);
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(UringIoTest, A_listener_can_be_closed_from_within_its_own_callback) {
  const ListenerId listener = Listen();
  acceptor_.on_accept = [&](Recorder&) { io_->CloseListener(listener); };
  auto first = Connect(address_), second = Connect(address_);
  ASSERT_TRUE(RunUntil([&] { return first->closed || second->closed; }));
  EXPECT_EQ(acceptor_.streams.size(), 1u);
}

// ---- Descriptors ----

TEST_F(UringIoTest, Two_thousand_connections_leave_no_descriptor) {
  Listen();
  {
    auto warm = ConnectAndAccept();
    io_->Close(warm->stream);
    ASSERT_TRUE(RunUntil([&] { return warm->closed && accepted().closed; }));
  }
  acceptor_.streams.clear();
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 2000; ++i) {
    auto client = ConnectAndAccept();
    Send(client->stream, "x");
    Recorder& closer = i % 2 == 0 ? *client : accepted();
    io_->Close(closer.stream);
    ASSERT_TRUE(RunUntil([&] { return client->closed && accepted().closed; })) << i;
    acceptor_.streams.clear();
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(UringIoTest, Destroying_it_releases_every_descriptor_and_calls_nobody) {
  const size_t before = OpenDescriptors();
  auto own = UringIo::Create();
  ASSERT_TRUE(own.ok()) << own.status();
  std::swap(io_, *own);
  Listen("unix:" + Directory() + "/s");
  Listen();
  auto client = ConnectAndAccept();
  io_->PauseReceive(accepted().stream);
  const std::string bytes(64 * kMiB, 'x');
  Send(client->stream, bytes);  // stays in flight
  auto connecting = Connect(address_);
  io_->loop().RunAt(io_->loop().Now() + 1'000'000'000'000, [] { FAIL(); });
  RunTurns(5);
  EXPECT_GT(OpenDescriptors(), before);
  io_.reset();
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_FALSE(client->closed || accepted().closed);
  EXPECT_EQ(client->sends_done, 0);
  EXPECT_NE(access((Directory() + "/s").c_str(), F_OK), 0);
  std::swap(io_, *own);
}

}  // namespace
}  // namespace clustix::io
