// SPDX-License-Identifier: Apache-2.0
#include "lib/node/c_api.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace clustix::c_api {
namespace {

static_assert(CLUSTIX_NOT_DELIVERED == static_cast<int>(Outcome::kNotDelivered));
static_assert(CLUSTIX_UNKNOWN == static_cast<int>(Outcome::kUnknown));
static_assert(CLUSTIX_DEADLINE == static_cast<int>(Outcome::kDeadline));
static_assert(CLUSTIX_BUSY == static_cast<int>(Outcome::kBusy));
static_assert(CLUSTIX_TOO_LARGE == static_cast<int>(Outcome::kTooLarge));
static_assert(CLUSTIX_NO_SUCH_PEER == static_cast<int>(Outcome::kNoSuchPeer));
static_assert(CLUSTIX_NO_SUCH_PORT == static_cast<int>(Outcome::kNoSuchPort));
static_assert(CLUSTIX_HANDLER_ERROR == static_cast<int>(Outcome::kHandlerError));
static_assert(CLUSTIX_OUT_OF_MEMORY == static_cast<int>(Outcome::kOutOfMemory));

constexpr int kNodeMax = 511;

// As errno: what one thread did wrong is no other's business.
thread_local char last_error[512] = "";

int ResultOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return CLUSTIX_INVALID;
    case ErrorCode::kPermissionDenied:
      return CLUSTIX_PERMISSION;
    case ErrorCode::kInUse:
      return CLUSTIX_IN_USE;
    case ErrorCode::kUnsupported:
      return CLUSTIX_UNSUPPORTED;
    case ErrorCode::kSystem:
      return CLUSTIX_SYSTEM;
    case ErrorCode::kNotFound:
      return CLUSTIX_NOT_FOUND;
    case ErrorCode::kExists:
      return CLUSTIX_EXISTS;
    case ErrorCode::kNoSpace:
      return CLUSTIX_NO_SPACE;
    case ErrorCode::kUnavailable:
      return CLUSTIX_UNAVAILABLE;
    case ErrorCode::kUnknown:
      return CLUSTIX_UNKNOWN;
  }
  return CLUSTIX_SYSTEM;
}

}  // namespace

int Fail(int result, const char* function, const char* format, ...) {
  const int written = std::snprintf(last_error, sizeof last_error, "%s: ", function);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error + written, sizeof last_error - static_cast<size_t>(written), format,
                 arguments);
  va_end(arguments);
  return result;
}

int Fail(const Error& error, const char* function) {
  return Fail(ResultOf(error.code), function, "%s", error.message.c_str());
}

int CheckNode(const clustix_node* node, const char* function) {
  if (node == nullptr) return Fail(CLUSTIX_INVALID, function, "node is NULL");
  if (!node->node->OnOwnThread()) {
    return Fail(CLUSTIX_WRONG_THREAD, function,
                "the node belongs to the thread that opened it (clustix_post reaches it)");
  }
  return CLUSTIX_OK;
}

int CheckMayTurn(const clustix_node* node, const char* function) {
  if (const int result = CheckNode(node, function)) return result;
  if (node->node->InCallback()) {
    return Fail(CLUSTIX_IN_CALLBACK, function, "not from within a callback");
  }
  return CLUSTIX_OK;
}

int CheckTimeout(int64_t timeout_ms, const char* function) {
  if (timeout_ms >= 0 || timeout_ms == CLUSTIX_FOREVER) return CLUSTIX_OK;
  return Fail(CLUSTIX_INVALID, function,
              "timeout_ms is %" PRId64 ", expected 0 or more, or CLUSTIX_FOREVER", timeout_ms);
}

int CheckPayload(const void* payload, size_t bytes, const char* function) {
  if (payload != nullptr || bytes == 0) return CLUSTIX_OK;
  return Fail(CLUSTIX_INVALID, function, "payload is NULL, and bytes is %zu", bytes);
}

int CheckLane(int lane, const char* function) {
  if (lane == CLUSTIX_LANE_CONTROL || lane == CLUSTIX_LANE_BULK) return CLUSTIX_OK;
  return Fail(CLUSTIX_INVALID, function,
              "lane is %d, expected CLUSTIX_LANE_CONTROL or CLUSTIX_LANE_BULK", lane);
}

int CheckPort(uint16_t port, const char* function) {
  if (port != 0) return CLUSTIX_OK;
  return Fail(CLUSTIX_INVALID, function, "port is 0, expected 1 to 65535");
}

int CheckMessage(uint16_t to, uint16_t port, const void* payload, size_t bytes,
                 const char* function) {
  if (to < 1 || to > kNodeMax) {
    return Fail(CLUSTIX_INVALID, function, "node is %d, expected 1 to %d", to, kNodeMax);
  }
  if (const int result = CheckPort(port, function)) return result;
  return CheckPayload(payload, bytes, function);
}

int CheckSize(size_t size, size_t known, const void* structure, const char* type,
              const char* function) {
  if (size < known) {
    return Fail(CLUSTIX_INVALID, function,
                "size of struct %s is %zu, expected at least %zu (initialise it with its _INIT)",
                type, size, known);
  }
  const auto* bytes = static_cast<const char*>(structure);
  if (std::any_of(bytes + known, bytes + size, [](char byte) { return byte != 0; })) {
    return Fail(CLUSTIX_INVALID, function,
                "struct %s asks for something that this version of libclustix does not know", type);
  }
  return CLUSTIX_OK;
}

int TakeCallOptions(const clustix_call_options* options, const char* function, CallOptions* to) {
  if (options == nullptr) return CLUSTIX_OK;
  clustix_call_options taken = {};
  if (const int result = TakeIn(options, "clustix_call_options", function, &taken)) return result;
  if (const int result = CheckLane(taken.lane, function)) return result;
  *to = {
      .lane = static_cast<Lane>(taken.lane), .timeout_ms = taken.timeout_ms, .epoch = taken.epoch};
  return CLUSTIX_OK;
}

}  // namespace clustix::c_api

const char* clustix_error() { return clustix::c_api::last_error; }

const char* clustix_result_name(int result) {
  switch (result) {
    case CLUSTIX_TIMEOUT:
      return "time is over";
    case CLUSTIX_STOPPED:
      return "stopped";
    case CLUSTIX_NO_OBJECT:
      return "no such object";
    case CLUSTIX_CANCELLED:
      return "cancelled";
    case CLUSTIX_LOST:
      return "lost";
    case CLUSTIX_REVOKED:
      return "revoked";
    case CLUSTIX_NO_SPACE:
      return "no space";
    case CLUSTIX_SET_REMOVED:
      return "set removed";
    case CLUSTIX_UNAVAILABLE:
      return "unavailable";
    case CLUSTIX_EXISTS:
      return "exists";
    case CLUSTIX_INVALID:
      return "invalid argument";
    case CLUSTIX_WRONG_THREAD:
      return "wrong thread";
    case CLUSTIX_IN_CALLBACK:
      return "in a callback";
    case CLUSTIX_NOT_FOUND:
      return "not found";
    case CLUSTIX_PERMISSION:
      return "permission denied";
    case CLUSTIX_IN_USE:
      return "in use";
    case CLUSTIX_UNSUPPORTED:
      return "unsupported";
    case CLUSTIX_SYSTEM:
      return "refused by the system";
    default:
      return result < 0 || result > CLUSTIX_OUT_OF_MEMORY
                 ? "?"
                 : clustix::OutcomeName(static_cast<clustix::Outcome>(result));
  }
}

const char* clustix_event_name(int event) {
  return event < 0 || event > CLUSTIX_EVENT_REBOOTED
             ? "?"
             : clustix::PeerEventName(static_cast<clustix::PeerEvent>(event));
}

const char* clustix_peer_state_name(int state) {
  return state < 0 || state > CLUSTIX_PEER_DEAD
             ? "?"
             : clustix::PeerStateName(static_cast<clustix::PeerState>(state));
}
