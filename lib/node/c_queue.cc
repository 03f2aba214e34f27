// SPDX-License-Identifier: Apache-2.0
//
// The C API: completion queues.
#include <algorithm>
#include <cstdint>
#include <span>

#include "lib/node/c_api.h"

namespace clustix::c_api {
namespace {

// Harvested at once, whatever the caller has room for: that may be more than fits in memory twice.
constexpr size_t kHarvestMost = 4096;

int CheckQueue(const clustix_queue* queue, const char* function) {
  if (queue == nullptr) return Fail(CLUSTIX_INVALID, function, "queue is NULL");
  return CheckNode(queue->owner, function);
}

int CheckNext(const clustix_queue* queue, const clustix_completion* completions, size_t max,
              int64_t timeout_ms, const size_t* count) {
  constexpr const char* kFunction = "clustix_queue_next";
  if (const int result = CheckQueue(queue, kFunction)) return result;
  if (const int result = CheckMayTurn(queue->owner, kFunction)) return result;
  if (completions == nullptr || max == 0 || count == nullptr) {
    return Fail(CLUSTIX_INVALID, kFunction, "there is no room for completions or their count");
  }
  return CheckTimeout(timeout_ms, kFunction);
}

int Next(clustix_queue* queue, clustix_completion* completions, size_t max, int64_t timeout_ms,
         size_t* count) {
  *count = 0;
  max = std::min(max, kHarvestMost);
  if (queue->harvest.size() < max) queue->harvest.resize(max);
  bool stopped = false;
  *count = queue->queue.Next(std::span(queue->harvest).first(max), AsTimeout(timeout_ms), &stopped);
  if (*count == 0) return stopped ? CLUSTIX_STOPPED : CLUSTIX_TIMEOUT;
  for (size_t i = 0; i < *count; ++i) {
    const Completion& completion = queue->harvest[i];
    completions[i] = {.tag = completion.tag,
                      .result = AsResult(completion.outcome),
                      .status = completion.status,
                      .payload = completion.payload.data(),
                      .bytes = completion.payload.size()};
  }
  return CLUSTIX_OK;
}

}  // namespace
}  // namespace clustix::c_api

using namespace clustix::c_api;

int clustix_queue_open(clustix_node* node, clustix_queue** queue) {
  if (const int result = CheckNode(node, "clustix_queue_open")) return result;
  if (queue == nullptr) {
    return Fail(CLUSTIX_INVALID, "clustix_queue_open", "there is no room for a queue");
  }
  return Guarded([&]() -> int {
    *queue = &node->queues.emplace_back(node, ++node->queues_opened, *node->node);
    return CLUSTIX_OK;
  });
}

int clustix_queue_close(clustix_queue* queue) {
  if (queue == nullptr) return CLUSTIX_OK;
  if (const int result = CheckMayTurn(queue->owner, "clustix_queue_close")) return result;
  queue->owner->queues.remove_if([&](const clustix_queue& open) { return &open == queue; });
  return CLUSTIX_OK;
}

int clustix_queue_call(clustix_queue* queue, uint16_t to, uint16_t port, const void* payload,
                       size_t bytes, const clustix_call_options* options, uint64_t tag,
                       clustix_call_id* id) {
  constexpr const char* kFunction = "clustix_queue_call";
  clustix::CallOptions taken;
  if (const int result = CheckQueue(queue, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = TakeCallOptions(options, kFunction, &taken)) return result;
  return Guarded([&]() -> int {
    clustix::CallId made;
    const clustix::Outcome queued =
        queue->queue.Call(to, port, AsBytes(payload, bytes), taken, tag, &made);
    if (queued == clustix::Outcome::kOk && id != nullptr) {
      *id = {.request = made.request, .queue = queue->number, .node = made.node};
    }
    return AsResult(queued);
  });
}

int clustix_queue_send(clustix_queue* queue, uint16_t to, uint16_t port, const void* payload,
                       size_t bytes, int lane, uint64_t tag) {
  constexpr const char* kFunction = "clustix_queue_send";
  if (const int result = CheckQueue(queue, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = CheckLane(lane, kFunction)) return result;
  return Guarded([&]() -> int {
    return AsResult(queue->queue.Send(to, port, AsBytes(payload, bytes),
                                      static_cast<clustix::Lane>(lane), tag));
  });
}

int clustix_queue_send_in_place(clustix_queue* queue, uint16_t to, uint16_t port,
                                const void* payload, size_t bytes, int lane, uint64_t tag) {
  constexpr const char* kFunction = "clustix_queue_send_in_place";
  if (const int result = CheckQueue(queue, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = CheckLane(lane, kFunction)) return result;
  return Guarded([&]() -> int {
    return AsResult(queue->queue.SendInPlace(to, port, AsBytes(payload, bytes),
                                             static_cast<clustix::Lane>(lane), tag));
  });
}

int clustix_queue_next(clustix_queue* queue, clustix_completion* completions, size_t max,
                       int64_t timeout_ms, size_t* count) {
  if (const int result = CheckNext(queue, completions, max, timeout_ms, count)) return result;
  return Guarded([&]() -> int { return Next(queue, completions, max, timeout_ms, count); });
}

size_t clustix_queue_outstanding(clustix_queue* queue) {
  return CheckQueue(queue, "clustix_queue_outstanding") == CLUSTIX_OK ? queue->queue.outstanding()
                                                                      : SIZE_MAX;
}
