// SPDX-License-Identifier: Apache-2.0
//
// What the files of the C API share: its objects, its checks and its error text. No exception and
// no misuse gets through: the checks come before the C++ functions that would end the process.
// Threads as in clustix/clustix.h.
#ifndef CLUSTIX_LIB_NODE_C_API_H_
#define CLUSTIX_LIB_NODE_C_API_H_

#include <cstring>
#include <list>
#include <memory>
#include <new>
#include <vector>

#include "clustix/clustix.h"
#include "clustix/completion_queue.h"
#include "clustix/node.h"

struct clustix_queue {
  clustix_queue(clustix_node* its_node, uint64_t its_number, clustix::Node& node)
      : owner(its_node), number(its_number), queue(node) {}
  clustix_node* const owner;
  const uint64_t number;  // of no other queue of the node, before or after
  clustix::CompletionQueue queue;
  std::vector<clustix::Completion> harvest;  // room for one clustix_queue_next()
};

struct clustix_node {
  explicit clustix_node(std::unique_ptr<clustix::Node> opened) : node(opened.release()) {}
  // Callbacks that the node's end runs may still use it and its queues.
  ~clustix_node() {
    node->Close();
    queues.clear();
    delete node;
  }
  clustix_node(const clustix_node&) = delete;
  clustix_node& operator=(const clustix_node&) = delete;

  clustix::Node* const node;
  std::list<clustix_queue> queues;
  uint64_t queues_opened = 0;
};

namespace clustix::c_api {

// Keeps the text for clustix_error() and returns `result`.
[[gnu::format(printf, 3, 4)]] int Fail(int result, const char* function, const char* format, ...);
int Fail(const Error& error, const char* function);

// Each is CLUSTIX_OK, or has failed in the name of `function`.
int CheckNode(const clustix_node* node, const char* function);
// As CheckNode(), and not within a callback.
int CheckMayTurn(const clustix_node* node, const char* function);
int CheckTimeout(int64_t timeout_ms, const char* function);
int CheckPayload(const void* payload, size_t bytes, const char* function);
int CheckLane(int lane, const char* function);
int CheckPort(uint16_t port, const char* function);
// Receiver, port and payload of a message.
int CheckMessage(uint16_t to, uint16_t port, const void* payload, size_t bytes,
                 const char* function);
int CheckSize(size_t size, size_t known, const void* structure, const char* type,
              const char* function);

// Takes in a structure that begins with `size`, as this or a later version of the library has it.
// One that is longer than known may only hold zeros there: what it asks for is not understood.
template <typename T>
int TakeIn(const T* from, const char* type, const char* function, T* to) {
  if (from == nullptr) return Fail(CLUSTIX_INVALID, function, "struct %s is NULL", type);
  if (const int result = CheckSize(from->size, sizeof(T), from, type, function)) return result;
  std::memcpy(to, from, sizeof(T));
  return CLUSTIX_OK;
}

// `options` may be null.
int TakeCallOptions(const clustix_call_options* options, const char* function, CallOptions* to);

inline Bytes AsBytes(const void* data, size_t bytes) {
  return {static_cast<const std::byte*>(data), bytes};
}
// The names of the outcomes have the same numbers in both languages.
inline int AsResult(Outcome outcome) { return static_cast<int>(outcome); }
inline uint64_t AsTimeout(int64_t timeout_ms) {
  return timeout_ms == CLUSTIX_FOREVER ? Node::kForever : static_cast<uint64_t>(timeout_ms);
}

// Runs `body` and turns want of memory into a result.
template <typename Body>
int Guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return CLUSTIX_OUT_OF_MEMORY;
  }
}

}  // namespace clustix::c_api

#endif  // CLUSTIX_LIB_NODE_C_API_H_
