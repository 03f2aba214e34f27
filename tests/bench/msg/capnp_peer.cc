// SPDX-License-Identifier: Apache-2.0
//
// The peer `capnp`: Cap'n Proto RPC, one two-party connection, one event loop on each side. In sync
// each call is waited for; in async as many promises as the window call again when they resolve;
// one way, `push` is a streaming method, with the library's own flow control.
//
// The library throws; nothing of that leaves this file.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/async-unix.h>

#include <memory>
#include <optional>

#include "tests/bench/msg/capnp_echo.capnp.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {
namespace {

using capnp_echo::Echo;

constexpr auto kOwned = kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP;

// The room that a message with such a payload takes, with some for what RPC puts around it: the
// library then needs one segment.
capnp::MessageSize SizeOf(size_t payload_bytes) {
  constexpr uint64_t kAround = 16;
  return {payload_bytes / sizeof(capnp::word) + kAround, 0};
}

// Runs `body`, and makes a status of what it throws.
template <class Body>
absl::Status Catch(const Body& body) {
  absl::Status status;
  auto thrown = kj::runCatchingExceptions([&] { status = body(); });
  KJ_IF_MAYBE (exception, thrown) {
    return absl::UnavailableError(
        absl::StrCat("Cap'n Proto: ", exception->getDescription().cStr()));
  }
  return status;
}

class EchoService final : public Echo::Server {
 protected:
  kj::Promise<void> call(CallContext context) override {
    const capnp::Data::Reader data = context.getParams().getData();
    context.getResults(SizeOf(data.size())).setData(data);
    return kj::READY_NOW;
  }
  kj::Promise<void> push(PushContext) override {
    ++pushed_;
    return kj::READY_NOW;
  }
  kj::Promise<void> count(CountContext context) override {
    context.getResults().setMessages(pushed_);
    pushed_ = 0;
    return kj::READY_NOW;
  }

 private:
  uint64_t pushed_ = 0;
};

class CapnpServer : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(listener_, ListenTcp(options));
    return BoundAddress(listener_.get());
  }

  absl::Status Serve(int stop_fd) override {
    return Catch([&] {
      kj::AsyncIoContext io = kj::setupAsyncIo();
      auto listener = io.lowLevelProvider->wrapListenSocketFd(listener_.Release(), kOwned);
      capnp::TwoPartyServer server(kj::heap<EchoService>());
      kj::UnixEventPort::FdObserver stop(io.unixEventPort, stop_fd,
                                         kj::UnixEventPort::FdObserver::OBSERVE_READ);
      server.listen(*listener).exclusiveJoin(stop.whenBecomesReadable()).wait(io.waitScope);
      return absl::OkStatus();
    });
  }

 private:
  base::UniqueFd listener_;
};

class CapnpClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(base::UniqueFd fd, ConnectTcp(options));
    return Catch([&] {
      connection_ = std::make_unique<Connection>(fd.Release());
      return absl::OkStatus();
    });
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    return Catch([&] {
      payload_ = kj::heapArray<kj::byte>(what.size_bytes);
      switch (what.mode) {
        case Mode::kSync:
          return Blocking(meter);
        case Mode::kAsync:
          return Window(WindowOf(what), meter);
        case Mode::kOneway:
          return Push(meter);
      }
      return absl::InternalError("unknown mode");
    });
  }

 private:
  // In the order in which the library wants them destroyed, last first.
  struct Connection {
    explicit Connection(int fd)
        : stream(io.lowLevelProvider->wrapSocketFd(fd, kOwned)),
          client(*stream),
          echo(client.bootstrap().castAs<Echo>()) {}
    kj::AsyncIoContext io = kj::setupAsyncIo();
    kj::Own<kj::AsyncIoStream> stream;
    capnp::TwoPartyClient client;
    Echo::Client echo;
  };
  using CallRequest = capnp::Request<Echo::CallParams, Echo::CallResults>;
  using CallReply = capnp::Response<Echo::CallResults>;

  CallRequest Request(uint64_t number) {
    CallRequest request = connection_->echo.callRequest(SizeOf(payload_.size()));
    StampPayload(payload_.begin(), payload_.size(), number);
    request.setData(payload_);
    return request;
  }

  absl::Status Check(const CallReply& reply, uint64_t number) const {
    const capnp::Data::Reader data = reply.getData();
    return CheckEcho(data.begin(), data.size(), payload_.size(), number);
  }

  absl::Status Blocking(Meter& meter) {
    for (uint64_t number = 0; meter.running(); ++number) {
      const uint64_t begin = meter.Begin();
      const CallReply reply = Request(number).send().wait(connection_->io.waitScope);
      RETURN_IF_ERROR(Check(reply, number));
      meter.End(begin);
    }
    return absl::OkStatus();
  }

  // One of the calls outstanding together; makes the next one when its reply comes.
  kj::Promise<void> KeepCalling(Meter& meter, absl::Status& result) {
    if (!meter.running() || !result.ok()) return kj::READY_NOW;
    const uint64_t begin = meter.Begin();
    const uint64_t number = next_number_++;
    return Request(number).send().then([this, &meter, &result, begin, number](CallReply&& reply) {
      result.Update(Check(reply, number));
      meter.End(begin);
      return KeepCalling(meter, result);
    });
  }

  absl::Status Window(size_t window, Meter& meter) {
    absl::Status result;
    auto calls = kj::heapArrayBuilder<kj::Promise<void>>(window);
    for (size_t i = 0; i < window; ++i) calls.add(KeepCalling(meter, result));
    kj::joinPromises(calls.finish()).wait(connection_->io.waitScope);
    return result;
  }

  absl::Status Push(Meter& meter) {
    uint64_t sent = 0;
    while (meter.running()) {
      const uint64_t begin = meter.Begin();
      auto request = connection_->echo.pushRequest(SizeOf(payload_.size()));
      StampPayload(payload_.begin(), payload_.size(), sent);
      request.setData(payload_);
      // Resolves when the flow control has room for another.
      request.send().wait(connection_->io.waitScope);
      ++sent;
      meter.End(begin);
    }
    const auto counted = connection_->echo.countRequest().send().wait(connection_->io.waitScope);
    return CheckCount(counted.getMessages(), sent);
  }

  std::unique_ptr<Connection> connection_;
  kj::Array<kj::byte> payload_;
  uint64_t next_number_ = 0;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "capnp";
  peer.title = "Cap'n Proto RPC";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<CapnpServer>(); };
  peer.make_client = [] { return std::make_unique<CapnpClient>(); };
  return PeerMain(argc, argv, peer);
}
