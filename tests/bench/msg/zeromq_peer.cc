// SPDX-License-Identifier: Apache-2.0
//
// The peer `zeromq`: DEALER to ROUTER for requests and replies, in async with as many as the window
// outstanding; PUSH to PULL one way. Each side is one application thread and the library's I/O
// thread, which sends and receives in batches.
//
// The server's address is that of the ROUTER and that of the PULL socket, with a comma between.
// Payloads are never empty, so that an empty message is free to mean: on the PUSH socket, that a
// stream is over; on the DEALER socket, how many messages had the stream before that. As they
// travel by two connections, the server replies once it has seen both.
#include <zmq.h>

#include <cerrno>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {
namespace {

// Messages that a PUSH and a PULL socket each queue. Ten times the default: as many messages per
// second, for a fifth less processor time.
constexpr int kStreamQueue = 10'000;
// Messages taken from one socket before the other, and the end, are looked at.
constexpr int kTurn = 1'000;

absl::Status ZmqStatus(const char* what) {
  return absl::UnavailableError(absl::StrCat("ZeroMQ: ", what, ": ", zmq_strerror(zmq_errno())));
}

class Context {
 public:
  Context() : context_(zmq_ctx_new()) {}
  ~Context() { zmq_ctx_term(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  void* get() const { return context_; }

 private:
  void* const context_;
};

class Socket {
 public:
  // `queue` messages are held on each way; 0: any number.
  Socket(const Context& context, int type, int queue) : socket_(zmq_socket(context.get(), type)) {
    Set(ZMQ_SNDHWM, queue);
    Set(ZMQ_RCVHWM, queue);
    Set(ZMQ_LINGER, 0);
  }
  ~Socket() { zmq_close(socket_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  void* get() const { return socket_; }
  void Set(int option, int value) { zmq_setsockopt(socket_, option, &value, sizeof value); }

  // Listens; the address with the port that it got.
  absl::StatusOr<std::string> Bind(const std::string& address) {
    char endpoint[128];
    size_t length = sizeof endpoint;
    if (zmq_bind(socket_, ("tcp://" + address).c_str()) != 0 ||
        zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, endpoint, &length) != 0) {
      return ZmqStatus("cannot listen");
    }
    return std::string(endpoint).substr(std::string("tcp://").size());
  }
  absl::Status Connect(const std::string& address) {
    if (zmq_connect(socket_, ("tcp://" + address).c_str()) != 0) return ZmqStatus("connect");
    return absl::OkStatus();
  }

 private:
  void* const socket_;
};

class Message {
 public:
  Message() { zmq_msg_init(&message_); }
  ~Message() { zmq_msg_close(&message_); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  void* data() { return zmq_msg_data(&message_); }
  size_t size() const { return zmq_msg_size(&message_); }
  // False: there is none at once, or, without ZMQ_DONTWAIT, not in time.
  bool Receive(const Socket& from, int flags) {
    return zmq_msg_recv(&message_, from.get(), flags) >= 0;
  }
  void MoveFrom(Message& other) { zmq_msg_move(&message_, &other.message_); }
  // Empty afterwards.
  bool Send(const Socket& to, int flags) { return zmq_msg_send(&message_, to.get(), flags) >= 0; }

 private:
  zmq_msg_t message_;
};

class ZeromqServer : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(std::string calls, router_.Bind(options.address));
    ASSIGN_OR_RETURN(std::string stream, pull_.Bind(options.address));
    RETURN_IF_ERROR(SetCongestionOfOpenSockets(options.congestion));
    return calls + "," + stream;
  }

  absl::Status Serve(int stop_fd) override {
    while (true) {
      zmq_pollitem_t items[] = {{router_.get(), 0, ZMQ_POLLIN, 0},
                                {pull_.get(), 0, ZMQ_POLLIN, 0},
                                {nullptr, stop_fd, ZMQ_POLLIN, 0}};
      if (zmq_poll(items, std::size(items), -1) < 0 && zmq_errno() != EINTR) {
        return ZmqStatus("poll");
      }
      if (items[2].revents != 0) return absl::OkStatus();
      for (int i = 0; i < kTurn && TakeCall(); ++i) {
      }
      for (int i = 0; i < kTurn && TakePushed(); ++i) {
      }
      RETURN_IF_ERROR(error_);
    }
  }

 private:
  // False when there is none.
  bool TakeCall() {
    if (!asker_.Receive(router_, ZMQ_DONTWAIT)) return false;
    if (!request_.Receive(router_, 0)) return Failed("receive");
    if (request_.size() == 0) {
      asked_ = true;
      // A message that is received into loses what it had, even if none comes.
      count_asker_.MoveFrom(asker_);
      return ReplyCount();
    }
    if (!asker_.Send(router_, ZMQ_SNDMORE) || !request_.Send(router_, 0)) return Failed("send");
    return true;
  }

  bool TakePushed() {
    if (!pushed_.Receive(pull_, ZMQ_DONTWAIT)) return false;
    if (pushed_.size() > 0) {
      ++count_;
      return true;
    }
    ended_ = true;
    return ReplyCount();
  }

  // Once both sockets have said so.
  bool ReplyCount() {
    if (!asked_ || !ended_) return true;
    if (!count_asker_.Send(router_, ZMQ_SNDMORE) ||
        zmq_send(router_.get(), &count_, sizeof count_, 0) < 0) {
      return Failed("send");
    }
    asked_ = ended_ = false;
    count_ = 0;
    return true;
  }

  bool Failed(const char* what) {
    error_ = ZmqStatus(what);
    return false;
  }

  Context context_;
  // A client has no more outstanding than its window: no limit of ours.
  Socket router_{context_, ZMQ_ROUTER, 0};
  Socket pull_{context_, ZMQ_PULL, kStreamQueue};
  Message asker_, count_asker_, request_, pushed_;
  bool asked_ = false;
  bool ended_ = false;
  uint64_t count_ = 0;
  absl::Status error_;
};

class ZeromqClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    const size_t comma = options.address.find(',');
    if (comma == std::string::npos) {
      return absl::InvalidArgumentError("the address is not that of two sockets");
    }
    RETURN_IF_ERROR(dealer_.Connect(options.address.substr(0, comma)));
    RETURN_IF_ERROR(push_.Connect(options.address.substr(comma + 1)));
    for (Socket* socket : {&dealer_, &push_}) {
      socket->Set(ZMQ_RCVTIMEO, kPatienceMs);
      socket->Set(ZMQ_SNDTIMEO, kPatienceMs);
    }
    // zmq_connect() only begins to. An empty stream proves that both are connected.
    RETURN_IF_ERROR(EndStream(0));
    return SetCongestionOfOpenSockets(options.congestion);
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    payload_.assign(what.size_bytes, 0);
    return what.mode == Mode::kOneway ? Stream(meter) : Calls(WindowOf(what), meter);
  }

 private:
  absl::Status Send(const Socket& to, uint64_t number) {
    StampPayload(payload_.data(), payload_.size(), number);
    if (zmq_send(to.get(), payload_.data(), payload_.size(), 0) < 0) return ZmqStatus("send");
    return absl::OkStatus();
  }

  absl::Status Calls(size_t window, Meter& meter) {
    std::deque<uint64_t> begins;  // of the requests outstanding; replies come in their order
    uint64_t sent = 0, received = 0;
    Message reply;
    while (true) {
      while (begins.size() < window && meter.running()) {
        begins.push_back(meter.Begin());
        RETURN_IF_ERROR(Send(dealer_, sent++));
      }
      if (begins.empty()) return absl::OkStatus();
      // Waits for one reply, and takes what has come with it.
      for (int flags = 0; !begins.empty() && reply.Receive(dealer_, flags); flags = ZMQ_DONTWAIT) {
        RETURN_IF_ERROR(CheckEcho(reply.data(), reply.size(), payload_.size(), received++));
        meter.End(begins.front());
        begins.pop_front();
      }
      if (begins.size() == window) return ZmqStatus("receive");
    }
  }

  absl::Status Stream(Meter& meter) {
    uint64_t sent = 0;
    while (meter.running()) {
      const uint64_t begin = meter.Begin();
      RETURN_IF_ERROR(Send(push_, sent++));
      meter.End(begin);
    }
    return EndStream(sent);
  }

  absl::Status EndStream(uint64_t sent) {
    if (zmq_send(push_.get(), nullptr, 0, 0) < 0 || zmq_send(dealer_.get(), nullptr, 0, 0) < 0) {
      return ZmqStatus("send");
    }
    uint64_t counted = 0;
    if (zmq_recv(dealer_.get(), &counted, sizeof counted, 0) != sizeof counted) {
      return ZmqStatus("receive");
    }
    return CheckCount(counted, sent);
  }

  Context context_;
  Socket dealer_{context_, ZMQ_DEALER, 0};
  Socket push_{context_, ZMQ_PUSH, kStreamQueue};
  std::vector<char> payload_;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "zeromq";
  peer.title = "ZeroMQ";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<ZeromqServer>(); };
  peer.make_client = [] { return std::make_unique<ZeromqClient>(); };
  return PeerMain(argc, argv, peer);
}
