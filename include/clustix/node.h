// SPDX-License-Identifier: Apache-2.0
//
// This program as a node of a cluster: a messenger (clustix/messenger.h) over TCP in user space,
// and the loop that turns it. Needs no daemon, no kernel module and no root.
//
//   NodeOptions options;
//   options.node = 1;
//   options.cluster = *ParseUuid("6ba7b810-9dad-41d1-80b4-00c04fd430c8");
//   options.key = *LoadKey("/etc/clustix/cluster.key");
//   options.listen_address = "10.0.0.1:7500";
//   options.peers = {{2, "10.0.0.2:7500"}};
//   Result<std::unique_ptr<Node>> node = Node::Open(options);
//   if (!node) ...node.error().message...
//   Reply answer = (*node)->CallAndWait(2, 1000, payload);
//
// Threads: a node belongs to the thread that opens it. Its functions, its messenger's functions,
// its queues and its destructor are for that thread, which is also the one that callbacks run on;
// only Stop() and Post() are for any. Nothing is sent, received or timed but while the loop turns,
// in Run(), RunFor(), CallAndWait() or CompletionQueue::Next(): a node that is not turned for
// longer than `tolerance_ms` is suspected by its peers. A program that is busy elsewhere gives its
// node a thread of its own. Several nodes in one program are independent of each other.
//
// Misuse of a node or a queue (another thread; to turn the loop from within a callback) is a broken
// invariant: it ends the process with a message that names the function. The messenger's functions,
// which may be called millions of times a second, do not check.
#ifndef CLUSTIX_NODE_H_
#define CLUSTIX_NODE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clustix/messenger.h"
#include "clustix/result.h"

namespace clustix {

using ClusterUuid = std::array<uint8_t, 16>;
using ClusterKey = std::array<uint8_t, 32>;

// The uuid of a cluster.toml: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", in either case.
// kInvalidArgument. Any thread.
Result<ClusterUuid> ParseUuid(std::string_view text);

// The key that `clustix init` wrote. kPermissionDenied: others than its owner can use the file, or
// this user may not read it; kInvalidArgument: it holds no key; kSystem: it is not there, or cannot
// be read. Any thread.
Result<ClusterKey> LoadKey(const std::string& path);

struct PeerAddress {
  NodeId node = 0;
  // "IPv4:port" or "[IPv6]:port"; names are not resolved. The lower node id dials, so that the
  // address of a peer with a lower id may be left empty: it will come.
  std::string address = {};
};

// What has a 0 or empty default may be left alone.
struct NodeOptions {
  NodeId node = 0;                      // this node: 1 to 511, used by no other node of the cluster
  ClusterUuid cluster = {};             // tells clusters apart
  ClusterKey key = {};                  // who has it is part of the cluster; all zeros is refused
  std::string listen_address = {};      // as PeerAddress::address; port 0: the system chooses one
  std::vector<PeerAddress> peers = {};  // the nodes to speak with: each must know the other

  std::string bind_address = {};  // local IP of outgoing connections; empty: the system's choice
  std::string congestion = {};    // TCP congestion control ("bbr"); empty: the system's
  // Silence in milliseconds after which a path is given up, 50 to 60000; the larger of both sides'
  // holds. 0: 1500.
  uint32_t tolerance_ms = 0;

  // Limits per peer and lane. What a node keeps for a peer that it sends to: 1 to 1048576 messages
  // (0: 16384) and 2 MiB to 1 GiB (0: 8 MiB); beyond these it answers kBusy.
  uint32_t queue_messages = 0;
  uint32_t queue_bytes = 0;
  // What a peer may have under way to this node, handled or not: 1 to 1048576 messages (0: 4096)
  // and 2 MiB to 1 GiB (0: 4 MiB).
  uint32_t window_messages = 0;
  uint32_t window_bytes = 0;

  // Microseconds that the loop looks out for messages before it sleeps, while that pays and cores
  // are idle: up to 1000. A sleeping thread takes some 30 us to wake. 0: it sleeps at once.
  uint32_t spin_us = 50;

  // Send a CRC32C with each payload (headers always have one). TCP's checksum is weak; switches and
  // network cards with bad memory do exist.
  bool payload_crc = false;
};

class CompletionQueue;
class NodeCore;

class Node {
 public:
  static constexpr uint64_t kForever = UINT64_MAX;

  // Starts to listen, and to connect to the peers as soon as the loop turns. Messages may be sent
  // at once: they wait for their connection. kInvalidArgument: an option; kPermissionDenied,
  // kInUse: of the address to listen on; kUnsupported: no io_uring; kSystem.
  static Result<std::unique_ptr<Node>> Open(const NodeOptions& options);

  // Close(), unless that was called.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Leaves the cluster: what is pending ends with kNotDelivered or kUnknown (callbacks run, and may
  // still use the node and its queues), then connections are closed, which takes a turn or two of
  // the loop. Posted tasks that have not run never will. Nothing is sent or received afterwards.
  // Not from within a callback.
  void Close();

  Messenger& messenger();
  // Where it listens, with the port. Any thread.
  const std::string& address() const;

  // Turns the loop until Stop(). Not from within a callback.
  void Run();
  // Turns the loop for at most `timeout_ms`; true: because of Stop(). 0 handles what is ready and
  // does not wait. Not from within a callback.
  bool RunFor(uint64_t timeout_ms);
  // Ends the Run(), RunFor() or CompletionQueue::Next() that runs, after what is ready has been
  // handled, or else the next one. Any thread, and callbacks.
  void Stop();
  // Runs `task` on the node's thread when the loop turns, in the order of posting. Any thread.
  void Post(std::function<void()> task);

  // Messenger::Call() that waits for the answer, and turns the loop meanwhile, so that handlers and
  // other callbacks run. Ends with the answer or the deadline, not by Stop(). The answer's payload
  // is valid until the node's next CallAndWait(). Not from within a callback.
  Reply CallAndWait(NodeId to, Port port, Bytes payload, const CallOptions& options = {});

  // For those who must answer misuse in another way than by the end of the process.
  bool OnOwnThread() const;  // any thread
  bool InCallback() const;   // the node's thread

 private:
  friend class CompletionQueue;
  explicit Node(std::unique_ptr<NodeCore> core);
  const std::unique_ptr<NodeCore> core_;
};

}  // namespace clustix

#endif  // CLUSTIX_NODE_H_
