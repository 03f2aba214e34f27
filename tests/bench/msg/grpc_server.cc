// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/grpc_server.h"

#include <netinet/in.h>
#include <poll.h>

#include <chrono>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "lib/io/address.h"
#include "tests/bench/msg/library_peer.h"

namespace clustix::bench {
namespace {

using grpc_echo::Count;
using grpc_echo::Echo;
using grpc_echo::Payload;

// Unary calls that can be taken before one of them has been replied to.
constexpr int kUnarySlots = 256;
// A stream is not read on while so much waits to be written back: a client that sends and does not
// read is held up by flow control, not stored.
constexpr size_t kMaxPendingBytes = 4u << 20;

// One unary call after the other, in objects that are used again.
class UnarySlot {
 public:
  UnarySlot(Echo::AsyncService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    Accept();
  }

 private:
  void Accept() {
    responder_.reset();
    context_.emplace();
    responder_.emplace(&*context_);
    service_.RequestCall(&*context_, &payload_, &*responder_, &queue_, &queue_, &accepted_);
  }

  Echo::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  Payload payload_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<Payload>> responder_;
  GrpcStep accepted_ = [this](bool ok) {
    // Not ok: the server is shutting down.
    if (ok) responder_->Finish(payload_, grpc::Status::OK, &replied_);
  };
  GrpcStep replied_ = [this](bool) { Accept(); };
};

// Takes one Chat() stream after the other. Reads on while a reply is being written, so that replies
// gather; of several, gRPC is told that more follow, and sends them together.
class ChatSlot {
 public:
  ChatSlot(Echo::AsyncService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    Accept();
  }

 private:
  void Accept() {
    stream_.reset();
    context_.emplace();
    stream_.emplace(&*context_);
    pending_.clear();
    pending_bytes_ = 0;
    reading_ = writing_ = no_more_ = broken_ = false;
    service_.RequestChat(&*context_, &*stream_, &queue_, &queue_, &accepted_);
  }

  void Read() {
    reading_ = true;
    stream_->Read(&request_, &read_);
  }

  void GoOn() {
    if (!writing_ && !pending_.empty() && !broken_) {
      reply_ = std::move(pending_.front());
      pending_.pop_front();
      pending_bytes_ -= reply_.data().size();
      writing_ = true;
      grpc::WriteOptions options;
      if (!pending_.empty()) options.set_buffer_hint();
      stream_->Write(reply_, options, &written_);
    }
    if (!reading_ && !no_more_ && pending_bytes_ < kMaxPendingBytes) Read();
    if (no_more_ && !reading_ && !writing_ && (pending_.empty() || broken_)) {
      stream_->Finish(grpc::Status::OK, &finished_);
    }
  }

  Echo::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncReaderWriter<Payload, Payload>> stream_;
  Payload request_, reply_;
  std::deque<Payload> pending_;
  size_t pending_bytes_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool no_more_ = false;  // to read
  bool broken_ = false;   // nothing can be written any more
  GrpcStep accepted_ = [this](bool ok) {
    if (ok) Read();
  };
  GrpcStep read_ = [this](bool ok) {
    reading_ = false;
    if (ok) {
      pending_bytes_ += request_.data().size();
      pending_.push_back(std::move(request_));
    } else {
      no_more_ = true;
    }
    GoOn();
  };
  GrpcStep written_ = [this](bool ok) {
    writing_ = false;
    if (!ok) broken_ = true;
    GoOn();
  };
  GrpcStep finished_ = [this](bool) { Accept(); };
};

// Takes one Push() stream after the other.
class PushSlot {
 public:
  PushSlot(Echo::AsyncService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    Accept();
  }

 private:
  void Accept() {
    stream_.reset();
    context_.emplace();
    stream_.emplace(&*context_);
    counted_.set_messages(0);
    service_.RequestPush(&*context_, &*stream_, &queue_, &queue_, &accepted_);
  }

  Echo::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncReader<Count, Payload>> stream_;
  Payload request_;
  Count counted_;
  GrpcStep accepted_ = [this](bool ok) {
    if (ok) stream_->Read(&request_, &read_);
  };
  GrpcStep read_ = [this](bool ok) {
    if (ok) {
      counted_.set_messages(counted_.messages() + 1);
      stream_->Read(&request_, &read_);
    } else {
      stream_->Finish(counted_, grpc::Status::OK, &finished_);
    }
  };
  GrpcStep finished_ = [this](bool) { Accept(); };
};

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("gRPC: ", status.error_message()));
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> ConnectGrpc(const PeerOptions& options) {
  auto channel = grpc::CreateChannel(options.address, grpc::InsecureChannelCredentials());
  if (!channel->WaitForConnected(std::chrono::system_clock::now() +
                                 std::chrono::milliseconds(kPatienceMs))) {
    return absl::UnavailableError("gRPC cannot connect to " + options.address);
  }
  RETURN_IF_ERROR(SetCongestionOfOpenSockets(options.congestion));
  return channel;
}

GrpcServer::~GrpcServer() {
  if (server_ == nullptr) return;
  server_->Shutdown();
  queue_->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
  }
}

absl::StatusOr<std::string> GrpcServer::Listen(const PeerOptions& options) {
  ASSIGN_OR_RETURN(io::SocketAddress bound, io::ParseAddress(options.address));
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service_);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError("gRPC cannot listen on " + options.address);
  }
  RETURN_IF_ERROR(SetCongestionOfOpenSockets(options.congestion));
  reinterpret_cast<sockaddr_in*>(bound.get())->sin_port = htons(static_cast<uint16_t>(port));
  return io::FormatAddress(bound);
}

absl::Status GrpcServer::Serve(int stop_fd) {
  std::deque<UnarySlot> unary;
  for (int i = 0; i < kUnarySlots; ++i) unary.emplace_back(service_, *queue_);
  ChatSlot chat(service_, *queue_);
  PushSlot push(service_, *queue_);

  // Shutting the server down completes every operation, and the queue then ends.
  std::thread stopper([this, stop_fd] {
    pollfd stop = {stop_fd, POLLIN, 0};
    while (poll(&stop, 1, -1) < 0) {
    }
    server_->Shutdown(std::chrono::system_clock::now());
    queue_->Shutdown();
  });
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) (*static_cast<GrpcStep*>(tag))(ok);
  stopper.join();
  server_.reset();
  return absl::OkStatus();
}

}  // namespace clustix::bench
