// SPDX-License-Identifier: Apache-2.0
#include "clustix/node.h"

#include <utility>

#include "clustix/log.h"
#include "lib/base/cluster_key.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"
#include "lib/base/uuid.h"
#include "lib/node/core.h"
#include "lib/node/options.h"

namespace clustix {
namespace {

// Public headers know nothing of Abseil.
Error ToError(const absl::Status& status) {
  ErrorCode code = ErrorCode::kSystem;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      code = ErrorCode::kInvalidArgument;
      break;
    case absl::StatusCode::kPermissionDenied:
      code = ErrorCode::kPermissionDenied;
      break;
    case absl::StatusCode::kAlreadyExists:
      code = ErrorCode::kInUse;
      break;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      code = ErrorCode::kUnsupported;
      break;
    default:
      break;
  }
  return {.code = code, .message = std::string(base::ToStd(status.message()))};
}

template <typename T>
Result<T> ToResult(absl::StatusOr<T> value) {
  if (!value.ok()) return ToError(value.status());
  return *std::move(value);
}

absl::StatusOr<std::unique_ptr<NodeCore>> OpenCore(const NodeOptions& options) {
  ASSIGN_OR_RETURN(msg::MessengerConfig config, CheckOptions(options));
  config.incarnation = base::RandomId();
  return NodeCore::Open(config, {.spin_us = options.spin_us});
}

}  // namespace

void SetLog(LogLevel lowest, std::function<void(std::string_view line)> sink) {
  static_assert(static_cast<int>(LogLevel::kError) == static_cast<int>(base::LogLevel::kError));
  base::SetLogLevel(static_cast<base::LogLevel>(lowest));
  base::SetLogSink(std::move(sink));
}

Result<ClusterUuid> ParseUuid(std::string_view text) { return ToResult(base::ParseUuid(text)); }

Result<ClusterKey> LoadKey(const std::string& path) { return ToResult(base::LoadKey(path)); }

Result<std::unique_ptr<Node>> Node::Open(const NodeOptions& options) {
  absl::StatusOr<std::unique_ptr<NodeCore>> core = OpenCore(options);
  if (!core.ok()) return ToError(core.status());
  return std::unique_ptr<Node>(new Node(*std::move(core)));
}

Node::Node(std::unique_ptr<NodeCore> core) : core_(std::move(core)) {}
Node::~Node() { Close(); }
void Node::Close() { core_->Close(); }

Messenger& Node::messenger() { return core_->messenger(); }
const std::string& Node::address() const { return core_->address(); }

void Node::Run() { RunFor(kForever); }

bool Node::RunFor(uint64_t timeout_ms) {
  core_->CheckMayTurn("Node::RunFor()");
  const bool never = false;
  return core_->Turn(never, timeout_ms, NodeCore::OnStop::kEnd);
}

void Node::Stop() { core_->Stop(); }
void Node::Post(std::function<void()> task) { core_->Post(std::move(task)); }

Reply Node::CallAndWait(NodeId to, Port port, Bytes payload, const CallOptions& options) {
  return core_->CallAndWait(to, port, payload, options);
}

bool Node::OnOwnThread() const { return core_->OnOwnThread(); }
bool Node::InCallback() const { return core_->InCallback(); }

}  // namespace clustix
