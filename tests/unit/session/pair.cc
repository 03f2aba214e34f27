// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/session/pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lib/base/blake2s.h"
#include "lib/base/crc32c.h"

namespace clustix::session_test {
namespace {

Node& NodeOf(void* ctx) { return *static_cast<Node*>(ctx); }
Socket& SocketOf(kccm_conn* conn) { return *static_cast<Socket*>(kccm_conn_user(conn)); }
std::string Text(const kccm_message& message) {
  return {static_cast<const char*>(message.payload), message.length};
}

}  // namespace

const kccm_ops& Pair::Ops() {
  static const kccm_ops ops = {
      .alloc = [](void* ctx, size_t bytes) -> void* {
        Node& node = NodeOf(ctx);
        if (node.allocations_left == 0) return nullptr;
        if (node.allocations_left > 0) --node.allocations_left;
        node.allocated_bytes += bytes;
        return std::malloc(bytes);
      },
      .free =
          [](void* ctx, void* memory, size_t bytes) {
            NodeOf(ctx).allocated_bytes -= bytes;
            std::free(memory);
          },
      .random =
          [](void* ctx, void* to, size_t bytes) {
            uint64_t& state = NodeOf(ctx).pair->random_state_;
            for (size_t i = 0; i < bytes; ++i) {
              state = state * 6364136223846793005u + 1442695040888963407u;
              static_cast<uint8_t*>(to)[i] = static_cast<uint8_t>(state >> 56);
            }
          },
      .crc32c = base::Crc32c,
      .mac = [](void*, const uint8_t key[KCCM_KEY_BYTES], const void* data, size_t bytes,
                uint8_t mac[KCCM_PROOF_BYTES]) -> int {
        auto digest = base::Blake2sMac(
            std::span<const uint8_t, KCCM_KEY_BYTES>(key, KCCM_KEY_BYTES), data, bytes);
        if (!digest.ok()) return -EIO;
        std::copy(digest->begin(), digest->end(), mac);
        return 0;
      },
      .dial =
          [](void* ctx, kccm_peer* peer, unsigned lane, bool knock) {
            NodeOf(ctx).pair->dials_.push_back({NodeOf(ctx).id, peer, lane, knock});
          },
      .close = [](void*, kccm_conn* conn) { SocketOf(conn).closing = true; },
      .output_ready = [](void*, kccm_conn* conn) { SocketOf(conn).output_ready = true; },
      .deliver = [](void* ctx, kccm_peer* peer, const kccm_message* message) -> int {
        Node& node = NodeOf(ctx);
        if (node.refuse_delivery) return -ENOMEM;
        node.delivered.push_back(
            {message->type, message->lane, message->port, message->request, Text(*message)});
        if (node.auto_consume) {
          kccm_peer_consume(peer, message->lane, 1, message->length, node.pair->now);
        }
        if (node.on_deliver) node.on_deliver(node.delivered.back());
        return 0;
      },
      .sent =
          [](void* ctx, kccm_peer*, uint64_t cookie, int error) {
            NodeOf(ctx).sent.push_back({cookie, error, ""});
            NodeOf(ctx).order.push_back("sent");
          },
      .released =
          [](void* ctx, uint64_t cookie) {
            NodeOf(ctx).released.push_back(cookie);
            NodeOf(ctx).order.push_back("released");
          },
      .called =
          [](void* ctx, kccm_peer*, uint64_t cookie, int error, const kccm_message* reply) {
            NodeOf(ctx).called.push_back({cookie, error, reply ? Text(*reply) : ""});
          },
      .writable =
          [](void* ctx, kccm_peer*, unsigned lane) {
            NodeOf(ctx).writable.push_back(lane);
            NodeOf(ctx).order.push_back("writable");
          },
      .event =
          [](void* ctx, kccm_peer*, kccm_event event) {
            NodeOf(ctx).events.push_back(event);
            NodeOf(ctx).order.push_back(kccm_event_name(event));
          },
      .refused =
          [](void* ctx, kccm_conn*, uint16_t, kccm_refusal reason, bool by_peer) {
            if (by_peer) NodeOf(ctx).told_refused.push_back(reason);
          },
  };
  return ops;
}

Node::Node(Pair* owner, int node_id, kccm_config config) : pair(owner), id(node_id) {
  EXPECT_EQ(kccm_endpoint_create(&config, &Pair::Ops(), this, pair->now, &endpoint), 0);
}

Node::~Node() {
  kccm_endpoint_destroy(endpoint);
  EXPECT_EQ(allocated_bytes, 0u) << "node " << id << " leaks";
}

kccm_peer* Node::AddPeer(uint16_t node) {
  kccm_peer* added = nullptr;
  EXPECT_EQ(kccm_peer_add(endpoint, node, this, pair->now, &added), 0);
  return added;
}

int Node::Send(const std::string& payload, uint64_t cookie, uint8_t lane) {
  const kccm_message message = {
      KCCM_FRAME_MESSAGE, lane, 7, 0, 0, payload.data(), static_cast<uint32_t>(payload.size())};
  return kccm_peer_send(peer, &message, cookie, pair->now);
}

int Node::SendInPlace(const std::string& payload, uint64_t cookie, uint8_t lane) {
  const kccm_message message = {
      KCCM_FRAME_MESSAGE, lane, 7, 0, 0, payload.data(), static_cast<uint32_t>(payload.size())};
  return kccm_peer_send_in_place(peer, &message, cookie, pair->now);
}

int Node::Call(const std::string& payload, uint64_t cookie, uint64_t deadline_ns,
               uint64_t* request) {
  const kccm_message message = {KCCM_FRAME_REQUEST,
                                KCCM_LANE_CONTROL,
                                7,
                                0,
                                0,
                                payload.data(),
                                static_cast<uint32_t>(payload.size())};
  uint64_t unused;
  return kccm_peer_call(peer, &message, cookie, deadline_ns, pair->now,
                        request ? request : &unused);
}

int Node::Reply(const Delivered& request, const std::string& payload) {
  const kccm_message message = {KCCM_FRAME_REPLY,
                                request.lane,
                                0,
                                0,
                                request.request,
                                payload.data(),
                                static_cast<uint32_t>(payload.size())};
  return kccm_peer_reply(peer, &message, pair->now);
}

void Node::Consume(uint32_t messages, uint64_t bytes, uint8_t lane) {
  kccm_peer_consume(peer, lane, messages, bytes, pair->now);
}

std::vector<std::string> Node::Payloads(uint8_t lane) const {
  std::vector<std::string> payloads;
  for (const Delivered& message : delivered) {
    if (message.lane == lane) payloads.push_back(message.payload);
  }
  return payloads;
}

Pair::Pair() {
  Start(1);
  Start(2);
}

Pair::~Pair() {
  Stop(1);
  Stop(2);
}

kccm_config Pair::Config(uint16_t node) {
  kccm_config config = {};
  std::memset(config.cluster, 0xc1, sizeof(config.cluster));
  std::memset(config.key, 0x5e, sizeof(config.key));
  config.node = node;
  return config;
}

void Pair::Start(int id, const std::function<void(kccm_config&)>& change) {
  Stop(id);
  kccm_config config = Config(static_cast<uint16_t>(id));
  config.incarnation = next_incarnation_++;
  if (change) change(config);
  nodes[id] = std::make_unique<Node>(this, id, config);
  nodes[id]->peer = nodes[id]->AddPeer(static_cast<uint16_t>(3 - id));
}

void Pair::Stop(int id) {
  if (!nodes[id]) return;
  for (auto& socket : sockets_) {
    if (socket->node != id || socket->conn == nullptr) continue;
    kccm_conn_closed(std::exchange(socket->conn, nullptr), now);
    if (socket->other != nullptr) socket->other->gone = true;
  }
  std::erase_if(dials_, [id](const Dial& dial) { return dial.node == id; });
  nodes[id].reset();
}

Socket* Pair::NewSocket(int node) {
  sockets_.push_back(std::make_unique<Socket>());
  sockets_.back()->node = node;
  return sockets_.back().get();
}

bool Pair::RunDials() {
  if (dials_.empty()) return false;
  const Dial dial = dials_.front();
  dials_.pop_front();
  const int other = 3 - dial.node;
  if (refuse_dials || !nodes[other]) {
    kccm_dial_failed(dial.peer, dial.lane, dial.knock, now);
    return true;
  }
  Socket* from = NewSocket(dial.node);
  Socket* to = NewSocket(other);
  from->other = to;
  to->other = from;
  to->conn = kccm_conn_accepted(nodes[other]->endpoint, to, now);
  if (to->conn == nullptr) from->gone = true;
  from->conn = kccm_conn_dialed(dial.peer, dial.lane, dial.knock, from, now);
  if (from->conn == nullptr) to->gone = true;
  return true;
}

Socket* Pair::Connect(int id) {
  Socket* socket = NewSocket(id);
  Socket* stranger = NewSocket(0);
  socket->other = stranger;
  stranger->other = socket;
  socket->conn = kccm_conn_accepted(nodes[id]->endpoint, socket, now);
  return socket;
}

bool Pair::Inject(int id, const std::string& bytes) {
  for (auto& socket : sockets_) {
    if (socket->node != id || socket->conn == nullptr || !kccm_conn_peer(socket->conn)) continue;
    socket->inbox += bytes;
    return true;
  }
  return false;
}

bool Pair::Move(Socket& socket) {
  if (socket.conn == nullptr || !socket.output_ready) return false;
  socket.output_ready = false;
  kccm_vec vecs[16];
  const unsigned count = kccm_conn_output(socket.conn, vecs, 16, now);
  if (count == 0) return false;
  std::string bytes;
  for (unsigned i = 0; i < count; ++i) {
    bytes.append(static_cast<const char*>(vecs[i].data), vecs[i].bytes);
  }
  bytes.resize(std::min(bytes.size(), write_limit));
  socket.written += bytes;
  if (!swallow && !socket.gone) {
    const size_t arrives = cut_after < 0
                               ? bytes.size()
                               : std::min<size_t>(bytes.size(), static_cast<size_t>(cut_after));
    socket.other->inbox += bytes.substr(0, arrives);
    if (cut_after >= 0) cut_after -= static_cast<int64_t>(arrives);
  }
  kccm_conn_sent(socket.conn, bytes.size(), now);
  return true;
}

bool Pair::Feed(Socket& socket) {
  if (socket.conn == nullptr || socket.inbox.empty()) return false;
  if (hold && hold(socket)) return false;
  const std::string bytes = socket.inbox.substr(socket.taken, chunk);
  socket.taken += bytes.size();
  if (socket.taken == socket.inbox.size()) {
    socket.inbox.clear();
    socket.taken = 0;
  }
  // A copy of its own, so that a read past the end is seen.
  auto copy = std::make_unique<char[]>(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  if (!socket.closing) kccm_conn_input(socket.conn, copy.get(), bytes.size(), now);
  return true;
}

// Closes what either side has given up.
bool Pair::Reap() {
  for (auto& socket : sockets_) {
    if (socket->conn == nullptr) continue;
    if (!socket->closing && !(socket->gone && socket->inbox.empty())) continue;
    if (socket->closing) {
      socket->output_ready = true;
      while (Move(*socket)) socket->output_ready = true;
    }
    kccm_conn_closed(std::exchange(socket->conn, nullptr), now);
    if (socket->other != nullptr) socket->other->gone = true;
    return true;
  }
  return false;
}

bool Pair::Tick() {
  bool ran = false;
  for (auto& node : nodes) {
    if (!node || kccm_next_tick(node->endpoint) > now) continue;
    kccm_tick(node->endpoint, now);
    ran = true;
  }
  return ran;
}

void Pair::Settle() {
  for (bool busy = true; busy;) {
    busy = Tick();
    busy |= RunDials();
    for (size_t i = 0; i < sockets_.size(); ++i) {
      busy |= Move(*sockets_[i]);
      busy |= Feed(*sockets_[i]);
    }
    if (cut_after == 0) {
      cut_after = -1;
      Cut();
      busy = true;
    }
    busy |= Reap();
  }
}

void Pair::Advance(uint64_t ns) {
  const uint64_t end = now + ns;
  Settle();
  while (now < end) {
    uint64_t next = end;
    for (auto& node : nodes) {
      if (node) next = std::min(next, kccm_next_tick(node->endpoint));
    }
    now = std::max(next, now + 1);
    Settle();
  }
}

void Pair::Cut() {
  CutIf([](const Socket&) { return true; });
}

void Pair::CutProven() {
  CutIf([](const Socket& socket) { return socket.conn && kccm_conn_peer(socket.conn); });
}

void Pair::CutIf(const std::function<bool(const Socket&)>& condition) {
  for (auto& socket : sockets_) {
    if (socket->node == 0 || !condition(*socket)) continue;
    socket->inbox.clear();
    socket->taken = 0;
    socket->gone = true;
  }
  while (Reap()) {
  }
}

}  // namespace clustix::session_test
