// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/objects/loopback.h"

#include <filesystem>
#include <optional>

namespace clustix {

void Switchboard::Plug(NodeId node, Loopback* messenger, io::Loop* loop) {
  const std::lock_guard lock(mutex_);
  nodes_[node] = {.messenger = messenger, .loop = loop, .life = next_life_++};
}

void Switchboard::Unplug(NodeId node) {
  const std::lock_guard lock(mutex_);
  nodes_.erase(node);
}

bool Switchboard::Run(NodeId node, std::function<void(Loopback&)> task) {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return false;
  found->second.loop->Post(
      [messenger = found->second.messenger, task = std::move(task)] { task(*messenger); });
  return true;
}

Outcome Loopback::Send(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) {
  if (payload.size() > max_payload()) return Outcome::kTooLarge;
  if (busy_every_ != 0 && ++sends_ % busy_every_ == 0) {
    loop_.Post([this, to, lane] {
      for (const WritableCallback& callback : writable_) callback(to, lane);
    });
    return Outcome::kBusy;
  }
  board_.Run(to, [from = self_, port, lane,
                  bytes = std::vector<std::byte>(payload.begin(), payload.end())](Loopback& peer) {
    peer.Deliver(from, port, lane, bytes);
  });
  if (done) loop_.Post([done = std::move(done)] { done(Outcome::kOk); });
  return Outcome::kOk;
}

void Loopback::Deliver(NodeId from, Port port, Lane lane, const std::vector<std::byte>& payload) {
  const auto found = handlers_.find(port);
  if (found == handlers_.end() || !found->second) return;
  found->second({.from = from,
                 .port = port,
                 .lane = lane,
                 .epoch = 0,
                 .wants_reply = false,
                 .request = 0,
                 .payload = payload});
}

LoopbackNode::LoopbackNode(NodeId self, std::vector<NodeId> nodes, member::Life life,
                           Switchboard& board, const std::string& dir, const NodeOptions& options)
    : self_(self),
      nodes_(std::move(nodes)),
      life_(life),
      board_(board),
      options_(options),
      socket_path_(dir + "/" + std::to_string(self) + "/sets.sock") {
  std::filesystem::create_directories(std::filesystem::path(socket_path_).parent_path());
  std::promise<absl::Status> started;
  std::future<absl::Status> status = started.get_future();
  thread_ = std::thread([this, &started] { RunLoop(std::move(started)); });
  const absl::Status result = status.get();
  EXPECT_TRUE(result.ok()) << result;
}

void LoopbackNode::RunLoop(std::promise<absl::Status> started) {
  absl::StatusOr<std::unique_ptr<io::UringIo>> io = io::UringIo::Create();
  if (!io.ok()) return started.set_value(io.status());
  io_ = *std::move(io);
  messenger_ = std::make_unique<Loopback>(self_, board_, io_->loop(), options_.busy_every);
  absl::StatusOr<std::unique_ptr<daemon::ObjectService>> service =
      daemon::ObjectService::Start(*io_, *messenger_,
                                   {.socket_path = socket_path_,
                                    .nodes = nodes_,
                                    .life = life_,
                                    .memory_bytes = options_.memory_bytes,
                                    .max_hold_ms = options_.max_hold_ms,
                                    .processes = options_.processes});
  if (!service.ok()) return started.set_value(service.status());
  service_ = *std::move(service);
  board_.Plug(self_, messenger_.get(), &io_->loop());
  started.set_value(absl::OkStatus());
  io_->Run();
  // Nothing new comes from others; what is in the loop's queue already finds everything alive.
  service_->Stop([this] { io_->Stop(); });
  io_->Run();
  service_.reset();
  messenger_.reset();
}

LoopbackNode::~LoopbackNode() {
  board_.Unplug(self_);
  if (io_ != nullptr) io_->Stop();
  thread_.join();
}

void LoopbackNode::Run(const std::function<void(daemon::ObjectService&)>& task) {
  std::promise<void> done;
  io_->loop().Post([&] {
    task(*service_);
    done.set_value();
  });
  done.get_future().wait();
}

void LoopbackNode::Tell(NodeId peer, PeerEvent event) {
  Run([=](daemon::ObjectService& service) { service.OnPeerEvent(peer, event); });
}

uint64_t LoopbackNode::Counter(const std::string& name) {
  std::optional<uint64_t> found;
  Run([&](daemon::ObjectService& service) {
    for (const auto& [counter, value] : service.Counters()) {
      if (counter == name) found = value;
    }
  });
  EXPECT_TRUE(found.has_value()) << name;
  return found.value_or(0);
}

void LoopbackCluster::StartNodes(NodeId count, const NodeOptions& options) {
  options_ = options;
  for (NodeId node = 1; node <= count; ++node) all_.push_back(node);
  for (NodeId node = 1; node <= count; ++node) StartNode(node);
}

void LoopbackCluster::StartNode(NodeId node) {
  nodes_[node] =
      std::make_unique<LoopbackNode>(node, all_, next_life_++, board_, dir_.path(), options_);
  // As a messenger says when two have connected.
  for (auto& [other, other_node] : nodes_) {
    if (other == node) continue;
    other_node->Tell(node, PeerEvent::kUp);
    nodes_[node]->Tell(other, PeerEvent::kUp);
  }
}

void LoopbackCluster::TellOthers(NodeId node, PeerEvent event) {
  for (auto& [other, other_node] : nodes_) {
    if (other != node) other_node->Tell(node, event);
  }
}

std::unique_ptr<RawProgram> LoopbackCluster::Program(NodeId node) {
  std::unique_ptr<RawProgram> program = RawProgram::Connect(nodes_.at(node)->socket_path());
  EXPECT_NE(program, nullptr);
  if (program != nullptr) {
    EXPECT_EQ(program->Attach(), "");
  }
  return program;
}

}  // namespace clustix
