// SPDX-License-Identifier: Apache-2.0
//
// The peer `grpc-stream`: one bidirectional stream for requests and replies, blocking in sync, with
// a completion queue in async; and a client stream, ended by the server's count, one way.
#include <deque>

#include "tests/bench/msg/grpc_server.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {
namespace {

using grpc_echo::Count;
using grpc_echo::Echo;
using grpc_echo::Payload;

void Fill(Payload& payload, size_t size_bytes, uint64_t number) {
  payload.mutable_data()->resize(size_bytes);
  StampPayload(payload.mutable_data()->data(), size_bytes, number);
}

absl::Status Check(const Payload& payload, size_t size_bytes, uint64_t number) {
  return CheckEcho(payload.data().data(), payload.data().size(), size_bytes, number);
}

// A Chat() stream with up to `window` requests outstanding: one thread, one completion queue, one
// read and one write in progress.
class WindowChat {
 public:
  WindowChat(Echo::Stub& stub, const Case& what, Meter& meter)
      : what_(what), window_(WindowOf(what)), meter_(meter) {
    stream_ = stub.AsyncChat(&context_, &queue_, &started_);
  }

  absl::Status Run() {
    void* tag = nullptr;
    bool ok = false;
    while (!over_ && queue_.Next(&tag, &ok)) (*static_cast<GrpcStep*>(tag))(ok);
    // What is still in progress has pointers to this object.
    context_.TryCancel();
    queue_.Shutdown();
    while (queue_.Next(&tag, &ok)) {
    }
    result_.Update(FromGrpc(status_));
    return result_;
  }

 private:
  void WriteNext() {
    if (writing_ || closed_) return;
    if (!meter_.running()) {
      // The server replies to everything it has before it ends its side.
      closed_ = writing_ = true;
      stream_->WritesDone(&written_);
      return;
    }
    if (begins_.size() >= window_) return;
    begins_.push_back(meter_.Begin());
    Fill(request_, what_.size_bytes, sent_++);
    // While the window has room another write follows at once, so that gRPC may gather them.
    grpc::WriteOptions options;
    if (begins_.size() < window_) options.set_buffer_hint();
    writing_ = true;
    stream_->Write(request_, options, &written_);
  }

  void Finish(absl::Status result) {
    result_.Update(result);
    stream_->Finish(&status_, &finished_);
  }

  const Case what_;
  const size_t window_;
  Meter& meter_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<Payload, Payload>> stream_;
  Payload request_, reply_;
  grpc::Status status_;
  absl::Status result_;
  std::deque<uint64_t> begins_;  // of the requests outstanding, in their order
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  bool writing_ = false;
  bool closed_ = false;
  bool over_ = false;

  GrpcStep started_ = [this](bool ok) {
    if (!ok) return Finish(absl::UnavailableError("gRPC cannot open a stream"));
    stream_->Read(&reply_, &read_);
    WriteNext();
  };
  GrpcStep written_ = [this](bool ok) {
    writing_ = false;
    // A write that failed is told of by the read, which fails too.
    if (ok) WriteNext();
  };
  GrpcStep read_ = [this](bool ok) {
    if (!ok) {
      const bool complete = closed_ && begins_.empty();
      return Finish(complete ? absl::OkStatus()
                             : absl::UnavailableError("gRPC ended a stream before its replies"));
    }
    absl::Status right = begins_.empty() ? absl::DataLossError("a reply to nothing")
                                         : Check(reply_, what_.size_bytes, received_++);
    if (!right.ok()) {
      context_.TryCancel();
      return Finish(right);
    }
    meter_.End(begins_.front());
    begins_.pop_front();
    stream_->Read(&reply_, &read_);
    WriteNext();
  };
  GrpcStep finished_ = [this](bool) { over_ = true; };
};

class GrpcStreamClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(auto channel, ConnectGrpc(options));
    stub_ = Echo::NewStub(channel);
    return absl::OkStatus();
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    switch (what.mode) {
      case Mode::kSync:
        return Blocking(what.size_bytes, meter);
      case Mode::kAsync:
        return WindowChat(*stub_, what, meter).Run();
      case Mode::kOneway:
        return Push(what.size_bytes, meter);
    }
    return absl::InternalError("unknown mode");
  }

 private:
  absl::Status Blocking(size_t size_bytes, Meter& meter) {
    grpc::ClientContext context;
    const auto stream = stub_->Chat(&context);
    Payload request, reply;
    for (uint64_t number = 0; meter.running(); ++number) {
      const uint64_t begin = meter.Begin();
      Fill(request, size_bytes, number);
      if (!stream->Write(request) || !stream->Read(&reply)) return FromGrpc(stream->Finish());
      RETURN_IF_ERROR(Check(reply, size_bytes, number));
      meter.End(begin);
    }
    stream->WritesDone();
    return FromGrpc(stream->Finish());
  }

  absl::Status Push(size_t size_bytes, Meter& meter) {
    grpc::ClientContext context;
    Count counted;
    const auto stream = stub_->Push(&context, &counted);
    Payload request;
    uint64_t sent = 0;
    while (meter.running()) {
      const uint64_t begin = meter.Begin();
      Fill(request, size_bytes, sent);
      // Another follows, or the end of the stream, which sends what is left.
      if (!stream->Write(request, grpc::WriteOptions().set_buffer_hint())) break;
      ++sent;
      meter.End(begin);
    }
    stream->WritesDone();
    RETURN_IF_ERROR(FromGrpc(stream->Finish()));
    return CheckCount(counted.messages(), sent);
  }

  std::unique_ptr<Echo::Stub> stub_;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "grpc-stream";
  peer.title = "gRPC, stream";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<GrpcServer>(); };
  peer.make_client = [] { return std::make_unique<GrpcStreamClient>(); };
  return PeerMain(argc, argv, peer);
}
