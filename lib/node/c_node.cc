// SPDX-License-Identifier: Apache-2.0
//
// The C API: opening and closing a node, its loop and its peers.
#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "clustix/log.h"
#include "lib/node/c_api.h"

namespace clustix::c_api {
namespace {

static_assert(CLUSTIX_EVENT_REBOOTED == static_cast<int>(PeerEvent::kRebooted));
static_assert(CLUSTIX_PEER_DEAD == static_cast<int>(PeerState::kDead));

std::string Text(const char* text) { return text == nullptr ? "" : text; }

NodeOptions ToOptions(const clustix_options& from) {
  NodeOptions to;
  to.node = from.node;
  std::copy(std::begin(from.cluster), std::end(from.cluster), to.cluster.begin());
  std::copy(std::begin(from.key), std::end(from.key), to.key.begin());
  to.listen_address = Text(from.listen_address);
  for (size_t i = 0; i < from.peer_count; ++i) {
    to.peers.push_back({from.peers[i].node, Text(from.peers[i].address)});
  }
  to.bind_address = Text(from.bind_address);
  to.congestion = Text(from.congestion);
  to.tolerance_ms = from.tolerance_ms;
  to.queue_messages = from.queue_messages;
  to.queue_bytes = from.queue_bytes;
  to.window_messages = from.window_messages;
  to.window_bytes = from.window_bytes;
  to.spin_us = from.spin_us;
  to.payload_crc = from.payload_crc;
  return to;
}

int Open(const clustix_options* options, clustix_node** node) {
  clustix_options taken = {};
  if (const int result = TakeIn(options, "clustix_options", "clustix_open", &taken)) return result;
  if (node == nullptr) return Fail(CLUSTIX_INVALID, "clustix_open", "there is no room for a node");
  if (taken.peers == nullptr && taken.peer_count > 0) {
    return Fail(CLUSTIX_INVALID, "clustix_open", "peers is NULL, and peer_count is %zu",
                taken.peer_count);
  }
  Result<std::unique_ptr<Node>> opened = Node::Open(ToOptions(taken));
  if (!opened) return Fail(opened.error(), "clustix_open");
  *node = new clustix_node(*std::move(opened));
  return CLUSTIX_OK;
}

// Copies a parsed value out, or fails.
template <typename Bytes>
int PutOut(Result<Bytes> parsed, uint8_t* to, const char* function) {
  if (!parsed.ok()) return Fail(parsed.error(), function);
  std::copy(parsed->begin(), parsed->end(), to);
  return CLUSTIX_OK;
}

}  // namespace
}  // namespace clustix::c_api

using namespace clustix::c_api;

int clustix_parse_uuid(const char* text, uint8_t uuid[CLUSTIX_UUID_BYTES]) {
  return Guarded([&]() -> int {
    if (text == nullptr || uuid == nullptr) {
      return Fail(CLUSTIX_INVALID, "clustix_parse_uuid", "an argument is NULL");
    }
    return PutOut(clustix::ParseUuid(text), uuid, "clustix_parse_uuid");
  });
}

int clustix_load_key(const char* path, uint8_t key[CLUSTIX_KEY_BYTES]) {
  return Guarded([&]() -> int {
    if (path == nullptr || key == nullptr) {
      return Fail(CLUSTIX_INVALID, "clustix_load_key", "an argument is NULL");
    }
    return PutOut(clustix::LoadKey(path), key, "clustix_load_key");
  });
}

int clustix_set_log(int lowest, clustix_log_fn* sink, void* user) {
  if (lowest < CLUSTIX_LOG_DEBUG || lowest > CLUSTIX_LOG_ERROR) {
    return Fail(CLUSTIX_INVALID, "clustix_set_log", "lowest is %d, expected %d to %d", lowest,
                CLUSTIX_LOG_DEBUG, CLUSTIX_LOG_ERROR);
  }
  return Guarded([&]() -> int {
    std::function<void(std::string_view)> to;
    if (sink != nullptr) {
      to = [sink, user](std::string_view line) { sink(std::string(line).c_str(), user); };
    }
    clustix::SetLog(static_cast<clustix::LogLevel>(lowest), std::move(to));
    return CLUSTIX_OK;
  });
}

int clustix_open(const clustix_options* options, clustix_node** node) {
  return Guarded([&]() -> int { return Open(options, node); });
}

int clustix_close(clustix_node* node) {
  if (node == nullptr) return CLUSTIX_OK;
  if (const int result = CheckMayTurn(node, "clustix_close")) return result;
  return Guarded([&]() -> int {
    delete node;
    return CLUSTIX_OK;
  });
}

const char* clustix_address(clustix_node* node) {
  return node != nullptr ? node->node->address().c_str() : nullptr;
}

size_t clustix_max_payload(clustix_node* node) {
  return CheckNode(node, "clustix_max_payload") == CLUSTIX_OK
             ? node->node->messenger().max_payload()
             : 0;
}

int clustix_run(clustix_node* node, int64_t timeout_ms) {
  if (const int result = CheckMayTurn(node, "clustix_run")) return result;
  if (const int result = CheckTimeout(timeout_ms, "clustix_run")) return result;
  return Guarded([&]() -> int {
    return node->node->RunFor(AsTimeout(timeout_ms)) ? CLUSTIX_STOPPED : CLUSTIX_TIMEOUT;
  });
}

int clustix_stop(clustix_node* node) {
  if (node == nullptr) return Fail(CLUSTIX_INVALID, "clustix_stop", "node is NULL");
  node->node->Stop();
  return CLUSTIX_OK;
}

int clustix_post(clustix_node* node, void (*task)(void* user), void* user) {
  if (node == nullptr || task == nullptr) {
    return Fail(CLUSTIX_INVALID, "clustix_post", "%s is NULL", node == nullptr ? "node" : "task");
  }
  return Guarded([&]() -> int {
    node->node->Post([task, user] { task(user); });
    return CLUSTIX_OK;
  });
}

int clustix_on_event(clustix_node* node, clustix_event_fn* listener, void* user) {
  if (const int result = CheckNode(node, "clustix_on_event")) return result;
  if (listener == nullptr) return Fail(CLUSTIX_INVALID, "clustix_on_event", "listener is NULL");
  return Guarded([&]() -> int {
    node->node->messenger().OnEvent([=](clustix::NodeId peer, clustix::PeerEvent event) {
      listener(peer, static_cast<clustix_event>(event), user);
    });
    return CLUSTIX_OK;
  });
}

int clustix_on_writable(clustix_node* node, clustix_writable_fn* listener, void* user) {
  if (const int result = CheckNode(node, "clustix_on_writable")) return result;
  if (listener == nullptr) return Fail(CLUSTIX_INVALID, "clustix_on_writable", "listener is NULL");
  return Guarded([&]() -> int {
    node->node->messenger().OnWritable([=](clustix::NodeId peer, clustix::Lane lane) {
      listener(peer, static_cast<clustix_lane>(lane), user);
    });
    return CLUSTIX_OK;
  });
}

int clustix_get_peer_info(clustix_node* node, uint16_t peer, struct clustix_peer_info* info) {
  constexpr const char* kFunction = "clustix_get_peer_info";
  if (const int result = CheckNode(node, kFunction)) return result;
  struct clustix_peer_info known = {};
  if (const int result = TakeIn(info, "clustix_peer_info", kFunction, &known)) return result;
  return Guarded([&]() -> int {
    for (const clustix::PeerInfo& found : node->node->messenger().Peers()) {
      if (found.node != peer) continue;
      info->state = static_cast<clustix_peer_state>(found.state);
      info->incarnation = found.incarnation;
      info->queued_messages = found.queued_messages;
      info->queue_memory_bytes = found.queue_memory_bytes;
      return CLUSTIX_OK;
    }
    return CLUSTIX_NO_SUCH_PEER;
  });
}
