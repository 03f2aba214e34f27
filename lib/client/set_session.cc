// SPDX-License-Identifier: Apache-2.0
#include "lib/client/set_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "lib/base/pause.h"
#include "lib/base/status.h"
#include "lib/client/guard_access.h"

namespace clustix {

using client::Call;
using client::Patience;
using client::SetRequestKind;
using client::Staged;

namespace {

// Room for a value whose size is not known: as much as one costs anyway.
constexpr uint32_t kRoomBytes = cache::kStagingUnitBytes;

// What the daemon handed over is no memory of ours, or of another version.
Error MappingError(const absl::Status& status) {
  return {.code = absl::IsInvalidArgument(status) ? ErrorCode::kUnsupported : ErrorCode::kSystem,
          .message = std::string(base::ToStd(status.message()))};
}

}  // namespace

// --- Loans -----------------------------------------------------------------------------------

void client::Loans::Lock() {
  while (locked_.exchange(true, std::memory_order_acquire)) base::PauseCpu();
}

cache::GrabResult client::Loans::Grab(uint32_t set, uint64_t object, cache::Grabbed* grabbed) {
  if (!any_.load(std::memory_order_relaxed)) return cache::GrabResult::kNotLent;
  Lock();
  const cache::GrabResult result = borrower_.Grab(set, object, grabbed);
  Unlock();
  return result;
}

bool client::Loans::Accept(uint32_t set, uint64_t object, uint64_t word) {
  const auto ticket = cache::LoanTicket::FromWord(word);
  if (ticket.slot >= cache::kLoans || (ticket.number & cache::kRecalled) != 0) return false;
  Lock();
  borrower_.Accept(set, object, ticket);
  Unlock();
  any_.store(true, std::memory_order_relaxed);
  return true;
}

// --- SetSession ------------------------------------------------------------------------------

Result<std::shared_ptr<SetSession>> SetSession::Connect(const ClientOptions& options) {
  const std::chrono::milliseconds timeout(options.timeout_ms == 0 ? 5000 : options.timeout_ms);
  Result<client::SetConnection> connection =
      client::SetConnection::Connect(options.socket, timeout);
  if (!connection) return connection.error();
  Result<client::Attachment> attached = connection->Attach();
  if (!attached) return attached.error();
  absl::StatusOr<std::shared_ptr<client::ClientMemory>> memory =
      client::ClientMemory::Map(attached->node_page, attached->region, std::move(attached->bell),
                                uint64_t{options.spin_us} * 1000);
  if (!memory.ok()) return MappingError(memory.status());
  return std::shared_ptr<SetSession>(
      new SetSession(*std::move(connection), std::make_shared<client::Line>(*std::move(memory)),
                     attached->node, std::move(attached->members)));
}

SetSession::~SetSession() {
  if (!line_->exchange.IsOfThisProcess()) {
    if (watch_thread_.joinable()) watch_thread_.detach();
    return;
  }
  line_->exchange.Close();
  const base::MutexLock lock(watch_mutex_);
  if (!watch_thread_.joinable()) return;
  // The last user of the session may be a callback. Its thread holds what it needs.
  if (watch_thread_.get_id() == std::this_thread::get_id()) {
    watch_thread_.detach();
  } else {
    watch_thread_.join();
  }
}

std::optional<Error> SetSession::AddWatch(uint32_t set, ObjectId first, ObjectId last) {
  const base::MutexLock lock(watch_mutex_);
  if (watched_.contains({set, first, last})) {
    return Error{.code = ErrorCode::kInUse, .message = "these objects are watched already"};
  }
  if (watched_.size() >= client::kWatchersMax) {
    return Error{.code = ErrorCode::kNoSpace,
                 .message = std::to_string(client::kWatchersMax) +
                            " ranges are watched, and no program may watch more: end watchers"};
  }
  watched_.emplace(set, first, last);
  if (!watch_thread_.joinable()) {
    watch_thread_ = std::thread([line = line_] { line->exchange.CollectForOthers(); });
  }
  return std::nullopt;
}

void SetSession::RemoveWatch(uint32_t set, ObjectId first, ObjectId last) {
  const base::MutexLock lock(watch_mutex_);
  watched_.erase({set, first, last});
}

// --- SetHandle -------------------------------------------------------------------------------

Result<std::shared_ptr<SetHandle>> SetHandle::Open(const std::shared_ptr<SetSession>& session,
                                                   const std::string& name,
                                                   const SetOptions& options) {
  if (name.find('\0') != std::string::npos) {
    return Error{.code = ErrorCode::kInvalidArgument, .message = "a set's name holds no zero byte"};
  }
  Result<client::OpenedSet> opened = session->Ask(
      [&](client::SetConnection& connection) { return connection.Open(name, options); });
  if (!opened) return opened.error();
  absl::StatusOr<std::unique_ptr<cache::SetView>> view = cache::SetView::Map(opened->arena);
  if (!view.ok()) {
    session->Ask(
        [&](client::SetConnection& connection) { return connection.Close(opened->handle); });
    return MappingError(view.status());
  }
  opened->arena.Reset();
  return std::shared_ptr<SetHandle>(
      new SetHandle(session, name, *std::move(opened), *std::move(view), options.write));
}

SetHandle::~SetHandle() {
  // The daemon may have gone, and all that was opened with it.
  if (!exchange_->alive() || !exchange_->IsOfThisProcess()) return;
  session_->Ask([this](client::SetConnection& connection) { return connection.Close(number()); });
}

// The daemon heeds our pins until the session ends, which Exchange::Die() says before the daemon
// can learn of it. So it is looked at last: if the session is alive then, the pin held when the
// object was found, and what was copied was copied before the daemon let go. Looked at first, it
// might end in between.
bool SetHandle::Pin(ObjectId id, ReadGuard* guard) {
  cache::Reader* reader = memory_->MyReader();
  if (reader == nullptr) return false;
  cache::Pinned pinned;
  if (reader->Get(*view_, id, &pinned) != cache::Lookup::kHit || !Stands()) return false;
  GuardAccess::Fill(std::move(pinned), reader, guard);
  return true;
}

cache::Lookup SetHandle::Copy(ObjectId id, std::span<std::byte> to, cache::ObjectInfo* info) {
  cache::Reader* reader = memory_->MyReader();
  if (reader == nullptr) return cache::Lookup::kMiss;
  const cache::Lookup found = reader->Read(*view_, id, to, info);
  return Stands() ? found : cache::Lookup::kMiss;
}

bool SetHandle::ReadLoan(ObjectId id, ReadGuard* guard) {
  cache::Grabbed grabbed;
  if (session_->loans().Grab(number(), id, &grabbed) != cache::GrabResult::kGrabbed) return false;
  // A version of its own is known to the daemon alone.
  GuardAccess::FillCopy(grabbed.buffer().first(std::min(grabbed.bytes(), cache::kLoanBytesMax)), 0,
                        guard);
  return true;
}

// The value is looked for where it costs no copy first, and comes with the reply only if somebody
// else has written, or the cache has no place for it: then it was current when the daemon replied.
void SetHandle::Fetch(ObjectId id, SetRequestKind kind, const Patience& patience,
                      ReadGuard* guard) {
  if (ReadLoan(id, guard)) return;
  // What is being prefetched need not be asked for twice.
  if (kind == SetRequestKind::kGet && session_->exchange().AwaitPosted(number(), id, patience) &&
      Pin(id, guard)) {
    return;
  }
  for (uint32_t room = memory_->MyReader() == nullptr ? kRoomBytes : 0;;) {
    Call call{.kind = kind, .set = number(), .object = id};
    if (room > 0) {
      const SetOutcome staged = session_->exchange().Stage(kind, room, patience, &call.staged);
      if (staged != SetOutcome::kOk) return GuardAccess::Fail(staged, guard);
      call.staged_bytes = room;
    }
    session_->exchange().Run(call, patience);
    if (call.outcome != SetOutcome::kOk) return GuardAccess::Fail(call.outcome, guard);
    if (const uint32_t bytes = call.reply.staged_bytes; bytes > 0) {
      return GuardAccess::FillCopy({call.staged.data(), bytes}, call.reply.object_version, guard);
    }
    if (Pin(id, guard)) return;
    // Room for all that an object can be, and nothing came: that daemon is none.
    if (room == cache::kObjectBytesMax) return GuardAccess::Fail(SetOutcome::kUnavailable, guard);
    room = room == 0 ? kRoomBytes : cache::kObjectBytesMax;
  }
}

Call SetHandle::Run(SetRequestKind kind, ObjectId id, std::span<const std::byte> value,
                    uint64_t argument, uint64_t object_version, const Patience& patience) {
  Call call{.kind = kind,
            .set = number(),
            .object = id,
            .object_version = object_version,
            .argument = argument};
  if (!value.empty()) {
    const auto bytes = static_cast<uint32_t>(value.size());
    call.outcome = session_->exchange().Stage(kind, bytes, patience, &call.staged);
    if (call.outcome != SetOutcome::kOk) return call;
    std::memcpy(call.staged.data(), value.data(), bytes);
    call.staged_bytes = bytes;
  }
  session_->exchange().Run(call, patience);
  const bool may_lend = kind == SetRequestKind::kPut || kind == SetRequestKind::kSet;
  if (may_lend && call.outcome == SetOutcome::kOk && call.reply.argument != 0 &&
      !session_->loans().Accept(number(), id, call.reply.argument)) {
    session_->exchange().Close();  // nobody but a broken daemon says so
  }
  return call;
}

}  // namespace clustix
