// SPDX-License-Identifier: Apache-2.0
//
// The peer `grpc`: unary calls, blocking ones in sync, and in async as many as the window on one
// channel with a completion queue.
#include <deque>
#include <optional>
#include <vector>

#include "tests/bench/msg/grpc_server.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {
namespace {

using grpc_echo::Echo;
using grpc_echo::Payload;

class GrpcClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(auto channel, ConnectGrpc(options));
    stub_ = Echo::NewStub(channel);
    return absl::OkStatus();
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    return what.mode == Mode::kSync ? Blocking(what.size_bytes, meter) : Window(what, meter);
  }

 private:
  // One of the outstanding calls; its objects serve the next call.
  struct Call {
    Payload request, reply;
    grpc::Status status;
    std::optional<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Payload>> reader;
    uint64_t number = 0;
    uint64_t begin = 0;
  };

  absl::Status Blocking(size_t size_bytes, Meter& meter) {
    Payload request, reply;
    request.mutable_data()->resize(size_bytes);
    for (uint64_t number = 0; meter.running(); ++number) {
      const uint64_t begin = meter.Begin();
      StampPayload(request.mutable_data()->data(), size_bytes, number);
      grpc::ClientContext context;
      RETURN_IF_ERROR(FromGrpc(stub_->Call(&context, request, &reply)));
      RETURN_IF_ERROR(CheckEcho(reply.data().data(), reply.data().size(), size_bytes, number));
      meter.End(begin);
    }
    return absl::OkStatus();
  }

  void Start(Call& call, size_t size_bytes, Meter& meter) {
    call.number = next_number_++;
    call.begin = meter.Begin();
    call.request.mutable_data()->resize(size_bytes);
    StampPayload(call.request.mutable_data()->data(), size_bytes, call.number);
    call.context.emplace();
    call.reader = stub_->AsyncCall(&*call.context, call.request, &queue_);
    call.reader->Finish(&call.reply, &call.status, &call);
  }

  absl::Status Window(const Case& what, Meter& meter) {
    std::deque<Call> calls(WindowOf(what));
    for (Call& call : calls) Start(call, what.size_bytes, meter);
    absl::Status result;
    // Every call is waited for, whatever became of the others: the queue holds pointers to them.
    for (size_t outstanding = calls.size(); outstanding > 0;) {
      void* tag = nullptr;
      bool ok = false;
      if (!queue_.Next(&tag, &ok)) return absl::InternalError("gRPC ended its completion queue");
      Call& call = *static_cast<Call*>(tag);
      result.Update(FromGrpc(call.status));
      if (result.ok()) {
        const std::string& data = call.reply.data();
        result.Update(CheckEcho(data.data(), data.size(), what.size_bytes, call.number));
        meter.End(call.begin);
      }
      if (result.ok() && meter.running()) {
        Start(call, what.size_bytes, meter);
      } else {
        --outstanding;
      }
    }
    return result;
  }

  std::unique_ptr<Echo::Stub> stub_;
  grpc::CompletionQueue queue_;
  uint64_t next_number_ = 0;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "grpc";
  peer.title = "gRPC, unary";
  peer.modes = {Mode::kSync, Mode::kAsync};
  peer.make_server = [] { return std::make_unique<GrpcServer>(); };
  peer.make_client = [] { return std::make_unique<GrpcClient>(); };
  return PeerMain(argc, argv, peer);
}
