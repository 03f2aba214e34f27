// SPDX-License-Identifier: Apache-2.0
//
// The C API: sending, calling, handling and answering.
#include <algorithm>
#include <utility>

#include "lib/node/c_api.h"

namespace clustix::c_api {
namespace {

clustix_reply ToReply(const Reply& reply) {
  return {.result = AsResult(reply.outcome),
          .status = reply.status,
          .payload = reply.payload.data(),
          .bytes = reply.payload.size()};
}

clustix_message ToMessage(const Incoming& incoming) {
  return {.request = {.id = incoming.request,
                      .from = incoming.from,
                      .lane = static_cast<uint8_t>(incoming.lane),
                      .wants_answer = incoming.wants_reply},
          .port = incoming.port,
          .epoch = incoming.epoch,
          .payload = incoming.payload.data(),
          .bytes = incoming.payload.size()};
}

int CheckRequest(const clustix_request* request, uint16_t status) {
  constexpr const char* kFunction = "clustix_answer";
  if (request == nullptr) return Fail(CLUSTIX_INVALID, kFunction, "request is NULL");
  if (const int result = CheckLane(request->lane, kFunction)) return result;
  if (status == UINT16_MAX) {
    return Fail(CLUSTIX_INVALID, kFunction, "status is 65535, expected 0 to 65534");
  }
  return CLUSTIX_OK;
}

int CallAndWait(clustix_node* node, uint16_t to, uint16_t port, const void* payload, size_t bytes,
                const clustix_call_options* options, clustix_reply* reply) {
  constexpr const char* kFunction = "clustix_call";
  CallOptions taken;
  if (const int result = CheckMayTurn(node, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = TakeCallOptions(options, kFunction, &taken)) return result;
  return Guarded([&]() -> int {
    *reply = ToReply(node->node->CallAndWait(to, port, AsBytes(payload, bytes), taken));
    return reply->result;
  });
}

constexpr auto* kAnsweredOrOver = "the request was answered, was one-way, or its caller restarted";

}  // namespace
}  // namespace clustix::c_api

using namespace clustix::c_api;

int clustix_send(clustix_node* node, uint16_t to, uint16_t port, const void* payload, size_t bytes,
                 int lane, clustix_sent_fn* done, void* user) {
  constexpr const char* kFunction = "clustix_send";
  if (const int result = CheckNode(node, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = CheckLane(lane, kFunction)) return result;
  return Guarded([&]() -> int {
    clustix::Messenger::SentCallback callback;
    if (done != nullptr) {
      callback = [done, user](clustix::Outcome outcome) { done(AsResult(outcome), user); };
    }
    return AsResult(node->node->messenger().Send(
        to, port, AsBytes(payload, bytes), static_cast<clustix::Lane>(lane), std::move(callback)));
  });
}

int clustix_send_in_place(clustix_node* node, uint16_t to, uint16_t port, const void* payload,
                          size_t bytes, int lane, clustix_sent_fn* done, void* user) {
  constexpr const char* kFunction = "clustix_send_in_place";
  if (const int result = CheckNode(node, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = CheckLane(lane, kFunction)) return result;
  if (done == nullptr) return Fail(CLUSTIX_INVALID, kFunction, "done is NULL");
  return Guarded([&]() -> int {
    return AsResult(node->node->messenger().SendInPlace(
        to, port, AsBytes(payload, bytes), static_cast<clustix::Lane>(lane),
        [done, user](clustix::Outcome outcome) { done(AsResult(outcome), user); }));
  });
}

int clustix_call(clustix_node* node, uint16_t to, uint16_t port, const void* payload, size_t bytes,
                 const clustix_call_options* options, clustix_reply* reply) {
  clustix_reply answer = {};
  answer.result = CallAndWait(node, to, port, payload, bytes, options, &answer);
  if (reply != nullptr) *reply = answer;
  return answer.result;
}

int clustix_call_async(clustix_node* node, uint16_t to, uint16_t port, const void* payload,
                       size_t bytes, const clustix_call_options* options, clustix_reply_fn* done,
                       void* user, clustix_call_id* id) {
  constexpr const char* kFunction = "clustix_call_async";
  clustix::CallOptions taken;
  if (const int result = CheckNode(node, kFunction)) return result;
  if (const int result = CheckMessage(to, port, payload, bytes, kFunction)) return result;
  if (const int result = TakeCallOptions(options, kFunction, &taken)) return result;
  if (done == nullptr) return Fail(CLUSTIX_INVALID, kFunction, "done is NULL");
  return Guarded([&]() -> int {
    clustix::CallId made;
    const auto callback = [done, user](const clustix::Reply& reply) {
      const clustix_reply answer = ToReply(reply);
      done(&answer, user);
    };
    const clustix::Outcome queued =
        node->node->messenger().Call(to, port, AsBytes(payload, bytes), taken, callback, &made);
    if (queued == clustix::Outcome::kOk && id != nullptr) {
      *id = {.request = made.request, .queue = 0, .node = made.node};
    }
    return AsResult(queued);
  });
}

int clustix_cancel(clustix_node* node, const clustix_call_id* id) {
  constexpr const char* kFunction = "clustix_cancel";
  if (const int result = CheckNode(node, kFunction)) return result;
  if (id == nullptr) return Fail(CLUSTIX_INVALID, kFunction, "id is NULL");
  const clustix::CallId call = {.node = id->node, .request = id->request};
  bool cancelled;
  if (id->queue == 0) {
    cancelled = node->node->messenger().Cancel(call);
  } else {
    // By its number: one that was closed has no more to tell, and another may be at its address.
    const auto queue =
        std::find_if(node->queues.begin(), node->queues.end(),
                     [&](const clustix_queue& open) { return open.number == id->queue; });
    cancelled = queue != node->queues.end() && queue->queue.Cancel(call);
  }
  return cancelled ? CLUSTIX_OK : Fail(CLUSTIX_NOT_FOUND, kFunction, "the call has ended");
}

int clustix_handle(clustix_node* node, uint16_t port, clustix_handler_fn* handler, void* user) {
  if (const int result = CheckNode(node, "clustix_handle")) return result;
  if (const int result = CheckPort(port, "clustix_handle")) return result;
  return Guarded([&]() -> int {
    clustix::Messenger::Handler handle;
    if (handler != nullptr) {
      handle = [handler, user](const clustix::Incoming& incoming) {
        const clustix_message message = ToMessage(incoming);
        handler(&message, user);
      };
    }
    node->node->messenger().Handle(port, std::move(handle));
    return CLUSTIX_OK;
  });
}

int clustix_answer(clustix_node* node, const clustix_request* request, uint16_t status,
                   const void* payload, size_t bytes) {
  constexpr const char* kFunction = "clustix_answer";
  if (const int result = CheckNode(node, kFunction)) return result;
  if (const int result = CheckRequest(request, status)) return result;
  if (const int result = CheckPayload(payload, bytes, kFunction)) return result;
  return Guarded([&]() -> int {
    const clustix::Outcome answered =
        node->node->messenger().Answer(request->from, static_cast<clustix::Lane>(request->lane),
                                       request->id, status, AsBytes(payload, bytes));
    if (answered != clustix::Outcome::kNotDelivered) return AsResult(answered);
    return Fail(CLUSTIX_NOT_FOUND, kFunction, kAnsweredOrOver);
  });
}
