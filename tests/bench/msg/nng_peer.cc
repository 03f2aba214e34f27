// SPDX-License-Identifier: Apache-2.0
//
// The peer `nng`: REQ to REP for requests and replies, PUSH to PULL one way. In sync the client
// sends and receives; in async each request outstanding has a context and its asynchronous I/O, and
// so have the requests that the server works on, as in the library's own examples. Their callbacks
// run in the library's threads.
//
// The server's address is that of the REP and that of the PULL socket, with a comma between.
// Payloads are never empty, so that an empty message is free to mean: on the PUSH socket, that a
// stream is over; on the REQ socket, how many messages had the stream before that. As they travel
// by two connections, the server replies once it has seen both.
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {
namespace {

// Requests that the server takes before it has replied to one of them.
constexpr int kServerContexts = 64;
// Messages that the PUSH and the PULL socket each queue.
constexpr int kStreamQueue = 1024;

absl::Status NngStatus(const char* what, int error) {
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("nng: ", what, ": ", nng_strerror(error)));
}

class Socket {
 public:
  explicit Socket(int (*open)(nng_socket*)) {
    open(&socket_);
    nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, 0);  // no limit; the default is too small
    nng_socket_set_ms(socket_, NNG_OPT_RECVTIMEO, kPatienceMs);
    nng_socket_set_ms(socket_, NNG_OPT_SENDTIMEO, kPatienceMs);
  }
  ~Socket() { nng_close(socket_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  nng_socket get() const { return socket_; }
  void SetInt(const char* option, int value) { nng_socket_set_int(socket_, option, value); }

  // Listens; the address with the port that it got.
  absl::StatusOr<std::string> Listen(const std::string& address) {
    nng_listener listener;
    RETURN_IF_ERROR(
        NngStatus("listen", nng_listener_create(&listener, socket_, ("tcp://" + address).c_str())));
    RETURN_IF_ERROR(
        NngStatus("TCP_NODELAY", nng_listener_set_bool(listener, NNG_OPT_TCP_NODELAY, true)));
    int port = 0;
    RETURN_IF_ERROR(NngStatus("listen", nng_listener_start(listener, 0)));
    RETURN_IF_ERROR(
        NngStatus("port", nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port)));
    return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
  }

  // Returns when it is connected.
  absl::Status Connect(const std::string& address) {
    nng_dialer dialer;
    RETURN_IF_ERROR(
        NngStatus("connect", nng_dialer_create(&dialer, socket_, ("tcp://" + address).c_str())));
    RETURN_IF_ERROR(
        NngStatus("TCP_NODELAY", nng_dialer_set_bool(dialer, NNG_OPT_TCP_NODELAY, true)));
    return NngStatus("connect", nng_dialer_start(dialer, 0));
  }

 private:
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
};

// What the one-way stream and the question about it have come to.
class StreamCount {
 public:
  void Add() { ++count_; }

  // The stream is over, or somebody asks. Returns the count when both have happened.
  std::optional<uint64_t> Ended() { return Note(ended_); }
  std::optional<uint64_t> Asked() { return Note(asked_); }

 private:
  std::optional<uint64_t> Note(bool& what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    what = true;
    if (!ended_ || !asked_) return std::nullopt;
    ended_ = asked_ = false;
    return std::exchange(count_, 0);
  }

  std::mutex mutex_;
  bool ended_ = false;
  bool asked_ = false;
  uint64_t count_ = 0;  // only the stream's callback adds, and not between Ended() and its answer
};

// One request after the other, each replied to with the very message.
class RepContext {
 public:
  // `ask` is told of an empty request; its reply is then Reply()'s business.
  RepContext(const Socket& socket, std::function<void(RepContext*)> ask) : ask_(std::move(ask)) {
    nng_ctx_open(&context_, socket.get());
    nng_aio_alloc(&aio_, &RepContext::OnDone, this);
  }
  ~RepContext() {
    nng_aio_stop(aio_);
    nng_ctx_close(context_);
    nng_aio_free(aio_);
  }
  RepContext(const RepContext&) = delete;
  RepContext& operator=(const RepContext&) = delete;

  void Receive() {
    receiving_ = true;
    nng_ctx_recv(context_, aio_);
  }
  void Reply(nng_msg* message) {
    receiving_ = false;
    nng_aio_set_msg(aio_, message);
    nng_ctx_send(context_, aio_);
  }

 private:
  static void OnDone(void* self) { static_cast<RepContext*>(self)->OnDone(); }
  void OnDone() {
    const int error = nng_aio_result(aio_);
    if (error == NNG_ECLOSED || error == NNG_ECANCELED) return;
    if (!receiving_) {
      // The client that was replied to may be gone.
      if (error != 0) nng_msg_free(nng_aio_get_msg(aio_));
      return Receive();
    }
    if (error != 0) return Receive();
    nng_msg* request = nng_aio_get_msg(aio_);
    if (nng_msg_len(request) > 0) return Reply(request);
    nng_msg_free(request);
    ask_(this);
  }

  const std::function<void(RepContext*)> ask_;
  nng_ctx context_ = NNG_CTX_INITIALIZER;
  nng_aio* aio_ = nullptr;
  bool receiving_ = false;
};

class NngServer : public Server {
 public:
  ~NngServer() override {
    if (pull_aio_ == nullptr) return;
    nng_aio_stop(pull_aio_);
    nng_aio_free(pull_aio_);
  }

  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    pull_.SetInt(NNG_OPT_RECVBUF, kStreamQueue);
    ASSIGN_OR_RETURN(std::string calls, rep_.Listen(options.address));
    ASSIGN_OR_RETURN(std::string stream, pull_.Listen(options.address));
    RETURN_IF_ERROR(SetCongestionOfOpenSockets(options.congestion));
    return calls + "," + stream;
  }

  absl::Status Serve(int stop_fd) override {
    RETURN_IF_ERROR(NngStatus("stream", nng_aio_alloc(&pull_aio_, &NngServer::OnPushed, this)));
    nng_aio_set_timeout(pull_aio_, NNG_DURATION_INFINITE);
    nng_recv_aio(pull_.get(), pull_aio_);
    for (int i = 0; i < kServerContexts; ++i) {
      contexts_.emplace_back(rep_, [this](RepContext* asker) { OnAsked(asker); }).Receive();
    }
    pollfd stop = {stop_fd, POLLIN, 0};
    while (poll(&stop, 1, -1) < 0) {
    }
    return absl::OkStatus();
  }

 private:
  static void OnPushed(void* self) { static_cast<NngServer*>(self)->OnPushed(); }
  void OnPushed() {
    if (nng_aio_result(pull_aio_) != 0) return;
    nng_msg* message = nng_aio_get_msg(pull_aio_);
    const bool end = nng_msg_len(message) == 0;
    nng_msg_free(message);
    if (!end) {
      count_.Add();
    } else if (const auto count = count_.Ended()) {
      ReplyCount(*count);
    }
    nng_recv_aio(pull_.get(), pull_aio_);
  }

  void OnAsked(RepContext* asker) {
    asker_ = asker;
    if (const auto count = count_.Asked()) ReplyCount(*count);
  }

  void ReplyCount(uint64_t count) {
    nng_msg* reply = nullptr;
    if (nng_msg_alloc(&reply, 0) != 0) return;
    nng_msg_append(reply, &count, sizeof count);
    asker_->Reply(reply);
  }

  Socket rep_{nng_rep0_open};
  Socket pull_{nng_pull0_open};
  StreamCount count_;
  RepContext* asker_ = nullptr;  // handed over by StreamCount's lock
  std::deque<RepContext> contexts_;
  nng_aio* pull_aio_ = nullptr;
};

// What the requests of one Run() share. The library calls back in several threads.
struct Window {
  Window(Meter& m, size_t bytes) : meter(m), size_bytes(bytes) {}

  std::mutex mutex;
  std::condition_variable idle;
  Meter& meter;
  const size_t size_bytes;
  uint64_t sent = 0;
  size_t active = 0;
  absl::Status result;
};

// One of the requests outstanding together: sends the next one when it has its reply.
class ReqContext {
 public:
  explicit ReqContext(const Socket& socket) {
    nng_ctx_open(&context_, socket.get());
    nng_aio_alloc(&aio_, &ReqContext::OnDone, this);
  }
  ~ReqContext() {
    nng_aio_stop(aio_);
    nng_ctx_close(context_);
    nng_aio_free(aio_);
  }
  ReqContext(const ReqContext&) = delete;
  ReqContext& operator=(const ReqContext&) = delete;

  void Start(Window& window) {
    window_ = &window;
    nng_msg* message = nullptr;
    const int error = nng_msg_alloc(&message, window.size_bytes);
    {
      const std::lock_guard<std::mutex> lock(window.mutex);
      ++window.active;
      window.result.Update(NngStatus("no memory for a message", error));
      if (!Next(message)) return;
    }
    Send(message);
  }

 private:
  static void OnDone(void* self) { static_cast<ReqContext*>(self)->OnDone(); }

  void OnDone() {
    const int error = nng_aio_result(aio_);
    if (error == 0 && sending_) {
      sending_ = false;
      return nng_ctx_recv(context_, aio_);
    }
    // A message that was not sent is still ours.
    nng_msg* message = error == 0 || sending_ ? nng_aio_get_msg(aio_) : nullptr;
    {
      const std::lock_guard<std::mutex> lock(window_->mutex);
      window_->result.Update(NngStatus("request", error));
      if (error == 0) {
        window_->result.Update(
            CheckEcho(nng_msg_body(message), nng_msg_len(message), window_->size_bytes, number_));
        window_->meter.End(begin_);
      }
      if (!Next(message)) return;
    }
    Send(message);
  }

  // The reply's message becomes the next request, unless it was the last. Under the window's lock.
  bool Next(nng_msg* message) {
    if (!window_->result.ok() || !window_->meter.running()) {
      if (message != nullptr) nng_msg_free(message);
      if (--window_->active == 0) window_->idle.notify_one();
      return false;
    }
    number_ = window_->sent++;
    begin_ = window_->meter.Begin();
    return true;
  }

  void Send(nng_msg* message) {
    StampPayload(nng_msg_body(message), window_->size_bytes, number_);
    sending_ = true;
    nng_aio_set_msg(aio_, message);
    nng_ctx_send(context_, aio_);
  }

  Window* window_ = nullptr;
  nng_ctx context_ = NNG_CTX_INITIALIZER;
  nng_aio* aio_ = nullptr;
  bool sending_ = false;
  uint64_t number_ = 0;
  uint64_t begin_ = 0;
};

class NngClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    const size_t comma = options.address.find(',');
    if (comma == std::string::npos) {
      return absl::InvalidArgumentError("the address is not that of two sockets");
    }
    push_.SetInt(NNG_OPT_SENDBUF, kStreamQueue);
    RETURN_IF_ERROR(req_.Connect(options.address.substr(0, comma)));
    RETURN_IF_ERROR(push_.Connect(options.address.substr(comma + 1)));
    return SetCongestionOfOpenSockets(options.congestion);
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    switch (what.mode) {
      case Mode::kSync:
        return Blocking(what.size_bytes, meter);
      case Mode::kAsync:
        return Contexts(what, meter);
      case Mode::kOneway:
        return Stream(what.size_bytes, meter);
    }
    return absl::InternalError("unknown mode");
  }

 private:
  absl::Status Blocking(size_t size_bytes, Meter& meter) {
    nng_msg* message = nullptr;
    RETURN_IF_ERROR(NngStatus("no memory for a message", nng_msg_alloc(&message, size_bytes)));
    absl::Status result;
    for (uint64_t number = 0; result.ok() && meter.running(); ++number) {
      const uint64_t begin = meter.Begin();
      StampPayload(nng_msg_body(message), size_bytes, number);
      if (const int error = nng_sendmsg(req_.get(), message, 0); error != 0) {
        result = NngStatus("send", error);
        break;
      }
      // The message is the library's now; the reply is ours, and the next request.
      if (const int error = nng_recvmsg(req_.get(), &message, 0); error != 0) {
        return NngStatus("receive", error);
      }
      result = CheckEcho(nng_msg_body(message), nng_msg_len(message), size_bytes, number);
      meter.End(begin);
    }
    nng_msg_free(message);
    return result;
  }

  absl::Status Contexts(const Case& what, Meter& meter) {
    Window window(meter, what.size_bytes);
    std::deque<ReqContext> contexts;
    for (size_t i = 0; i < WindowOf(what); ++i) contexts.emplace_back(req_).Start(window);
    std::unique_lock<std::mutex> lock(window.mutex);
    window.idle.wait(lock, [&window] { return window.active == 0; });
    return window.result;
  }

  absl::Status Stream(size_t size_bytes, Meter& meter) {
    uint64_t sent = 0;
    while (meter.running()) {
      const uint64_t begin = meter.Begin();
      RETURN_IF_ERROR(Push(size_bytes, sent++));
      meter.End(begin);
    }
    RETURN_IF_ERROR(Push(0, 0));
    uint64_t counted = 0;
    size_t length = sizeof counted;
    RETURN_IF_ERROR(NngStatus("send", nng_send(req_.get(), &counted, 0, 0)));
    RETURN_IF_ERROR(NngStatus("receive", nng_recv(req_.get(), &counted, &length, 0)));
    return CheckCount(counted, sent);
  }

  absl::Status Push(size_t size_bytes, uint64_t number) {
    nng_msg* message = nullptr;
    RETURN_IF_ERROR(NngStatus("no memory for a message", nng_msg_alloc(&message, size_bytes)));
    StampPayload(nng_msg_body(message), size_bytes, number);
    const int error = nng_sendmsg(push_.get(), message, 0);
    if (error != 0) nng_msg_free(message);
    return NngStatus("send", error);
  }

  Socket req_{nng_req0_open};
  Socket push_{nng_push0_open};
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "nng";
  peer.title = "nng";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<NngServer>(); };
  peer.make_client = [] { return std::make_unique<NngClient>(); };
  return PeerMain(argc, argv, peer);
}
