// SPDX-License-Identifier: Apache-2.0
//
// Nodes of one process: each has a loop on a thread of its own, a messenger that hands messages to
// the others' loops, and the daemon's object service on it. A lane can be made to answer "busy"
// every so often. The test's thread makes and ends nodes; everything else runs on the loops.
#ifndef CLUSTIX_TESTS_UNIT_OBJECTS_LOOPBACK_H_
#define CLUSTIX_TESTS_UNIT_OBJECTS_LOOPBACK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clustix/messenger.h"
#include "daemon/objects/object_service.h"
#include "gtest/gtest.h"
#include "lib/io/uring_io.h"
#include "tests/unit/daemon/temp_dir.h"
#include "tests/unit/objects/raw_program.h"

namespace clustix {

class Loopback;

// The network between them. Any thread.
class Switchboard {
 public:
  void Plug(NodeId node, Loopback* messenger, io::Loop* loop);
  // What is on the way to it is lost.
  void Unplug(NodeId node);
  // Runs `task` on the node's loop with its messenger; false: it is not there.
  bool Run(NodeId node, std::function<void(Loopback&)> task);

 private:
  struct Plugged {
    Loopback* messenger;
    io::Loop* loop;
    uint64_t life;
  };
  std::mutex mutex_;
  std::map<NodeId, Plugged> nodes_;
  uint64_t next_life_ = 1;
};

class Loopback final : public Messenger {
 public:
  // Refuses one of `busy_every` sends; 0: none.
  Loopback(NodeId self, Switchboard& board, io::Loop& loop, unsigned busy_every)
      : self_(self), board_(board), loop_(loop), busy_every_(busy_every) {}

  NodeId self() const override { return self_; }
  size_t max_payload() const override { return (1 << 20) + 4096; }
  std::string address() const override { return ""; }
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) override;
  Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) override {
    return Send(to, port, payload, lane, std::move(done));
  }
  Outcome Call(NodeId, Port, Bytes, const CallOptions&, ReplyCallback, CallId*) override {
    return Outcome::kNoSuchPeer;
  }
  bool Cancel(const CallId&) override { return false; }
  Outcome Answer(NodeId, Lane, uint64_t, uint16_t, Bytes) override { return Outcome::kNoSuchPeer; }
  void Handle(Port port, Handler handler) override { handlers_[port] = std::move(handler); }
  void OnEvent(EventCallback) override {}
  void OnWritable(WritableCallback callback) override { writable_.push_back(std::move(callback)); }
  std::vector<PeerInfo> Peers() const override { return {}; }
  std::vector<MessengerCounter> Counters() const override { return {}; }

  void Deliver(NodeId from, Port port, Lane lane, const std::vector<std::byte>& payload);

 private:
  const NodeId self_;
  Switchboard& board_;
  io::Loop& loop_;
  const unsigned busy_every_;
  unsigned sends_ = 0;
  std::map<Port, Handler> handlers_;
  std::vector<WritableCallback> writable_;
};

struct NodeOptions {
  uint64_t memory_bytes = 64 << 20;
  unsigned busy_every = 0;
  uint64_t max_hold_ms = 10'000;
  const procview::ProcReader* processes = nullptr;
};

// One node. Its socket is in a folder of its own in `dir`.
class LoopbackNode {
 public:
  LoopbackNode(NodeId self, std::vector<NodeId> nodes, member::Life life, Switchboard& board,
               const std::string& dir, const NodeOptions& options);
  ~LoopbackNode();

  const std::string& socket_path() const { return socket_path_; }
  // On the node's loop, and waits for it.
  void Run(const std::function<void(daemon::ObjectService&)>& task);
  void Tell(NodeId peer, PeerEvent event);
  uint64_t Counter(const std::string& name);

 private:
  void RunLoop(std::promise<absl::Status> started);

  const NodeId self_;
  const std::vector<NodeId> nodes_;
  const member::Life life_;
  Switchboard& board_;
  const NodeOptions options_;
  const std::string socket_path_;
  std::unique_ptr<io::UringIo> io_;
  std::unique_ptr<Loopback> messenger_;
  std::unique_ptr<daemon::ObjectService> service_;
  std::thread thread_;
};

class LoopbackCluster : public testing::Test {
 protected:
  void StartNodes(NodeId count, const NodeOptions& options = {});
  void StartNode(NodeId node);
  // As a crash: the others are not told.
  void EndNode(NodeId node) { nodes_.erase(node); }
  void TellOthers(NodeId node, PeerEvent event);
  LoopbackNode& node(NodeId node) { return *nodes_.at(node); }
  // A program of the node, attached.
  std::unique_ptr<RawProgram> Program(NodeId node);

  TempDir dir_;
  Switchboard board_;
  std::vector<NodeId> all_;
  NodeOptions options_;
  member::Life next_life_ = 100;
  std::map<NodeId, std::unique_ptr<LoopbackNode>> nodes_;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_OBJECTS_LOOPBACK_H_
