// SPDX-License-Identifier: Apache-2.0
//
// The public classes Client, ObjectSet and ReadGuard. Threads as in clustix/sets.h.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "clustix/sets.h"
#include "lib/client/guard_access.h"
#include "lib/client/set_session.h"

namespace clustix {

using client::Call;
using client::Patience;
using client::SetRequestKind;

namespace {

// What is prefetched is of no use to anybody after this, and makes room.
constexpr uint64_t kPrefetchMs = 5000;

bool IsSize(size_t bytes) { return bytes >= 1 && bytes <= kObjectBytesMax; }

}  // namespace

const char* SetOutcomeName(SetOutcome outcome) {
  static constexpr std::array<const char*, 13> kNames = {
      "ok",     "not found",   "deadline passed", "cancelled", "outcome unknown",
      "lost",   "revoked",     "no space",        "too large", "invalid",
      "denied", "set removed", "unavailable"};
  const auto index = static_cast<size_t>(outcome);
  return index < kNames.size() ? kNames[index] : "?";
}

// --- ReadGuard -------------------------------------------------------------------------------

void ReadGuard::Free() {
  if (owner_ == data_) {
    delete[] data_;
  } else {
    static_cast<cache::Reader*>(owner_)->Unpin(slot_);
  }
}

void GuardAccess::FillCopy(std::span<const std::byte> value, uint64_t version, ReadGuard* guard) {
  auto* copy = new std::byte[value.size()];
  std::memcpy(copy, value.data(), value.size());
  guard->owner_ = copy;
  guard->data_ = copy;
  guard->bytes_ = static_cast<uint32_t>(value.size());
  guard->version_ = version;
  guard->outcome_ = SetOutcome::kOk;
}

// --- ObjectSet -------------------------------------------------------------------------------

ObjectSet::ObjectSet(std::shared_ptr<SetHandle> handle) : handle_(std::move(handle)) {}

ReadGuard ObjectSet::Get(ObjectId id, const Wait& wait) const {
  ReadGuard guard;
  if (!handle_->Pin(id, &guard)) [[unlikely]] {
    handle_->Fetch(id, SetRequestKind::kGet, Patience(wait), &guard);
  }
  return guard;
}

SetOutcome ObjectSet::Read(ObjectId id, std::span<std::byte> to, size_t* bytes, uint64_t* version,
                           const Wait& wait) const {
  cache::ObjectInfo info;
  const cache::Lookup found = handle_->Copy(id, to, &info);
  if (found == cache::Lookup::kHit || found == cache::Lookup::kTooLong) [[likely]] {
    *bytes = info.bytes;
    if (version != nullptr) *version = info.object_version;
    return found == cache::Lookup::kHit ? SetOutcome::kOk : SetOutcome::kTooLarge;
  }
  ReadGuard guard;
  handle_->Fetch(id, SetRequestKind::kGet, Patience(wait), &guard);
  *bytes = guard.data().size();
  if (version != nullptr) *version = guard.version();
  if (guard && guard.data().size() > to.size()) return SetOutcome::kTooLarge;
  std::copy(guard.data().begin(), guard.data().end(), to.begin());
  return guard.outcome();
}

ReadGuard ObjectSet::Find(ObjectId id, const Wait& wait) const {
  ReadGuard guard;
  if (!handle_->Pin(id, &guard)) handle_->Fetch(id, SetRequestKind::kFind, Patience(wait), &guard);
  return guard;
}

SetOutcome ObjectSet::GetMany(std::span<const ObjectId> ids,
                              const std::function<void(size_t index, ReadGuard& object)>& visit,
                              const Wait& wait) const {
  const Patience patience(wait);
  SetOutcome result = SetOutcome::kOk;
  const auto tell = [&](size_t index, ReadGuard& guard) {
    const SetOutcome outcome = guard.outcome();
    if (result == SetOutcome::kOk && outcome != SetOutcome::kNotFound) result = outcome;
    visit(index, guard);
    guard.Release();
  };
  std::vector<size_t> missing;
  for (size_t i = 0; i < ids.size(); ++i) {
    ReadGuard guard;
    if (handle_->Pin(ids[i], &guard)) {
      tell(i, guard);
    } else {
      missing.push_back(i);
    }
  }
  handle_->session().exchange().RunMany(
      missing.size(),
      [&](size_t number) {
        return Call{
            .kind = SetRequestKind::kGet, .set = handle_->number(), .object = ids[missing[number]]};
      },
      [&](size_t number, Call& call) {
        const size_t i = missing[number];
        ReadGuard guard;
        if (call.outcome != SetOutcome::kOk) {
          GuardAccess::Fail(call.outcome, &guard);
        } else if (!handle_->Pin(ids[i], &guard)) {
          handle_->Fetch(ids[i], SetRequestKind::kGet, patience, &guard);
        }
        tell(i, guard);
      },
      patience);
  return result;
}

size_t ObjectSet::Prefetch(std::span<const ObjectId> ids) const {
  std::vector<Call> calls;
  std::vector<size_t> places;
  for (size_t i = 0; i < ids.size(); ++i) {
    cache::ObjectInfo info;
    if (handle_->Copy(ids[i], {}, &info) == cache::Lookup::kTooLong) continue;
    calls.push_back({.kind = SetRequestKind::kGet,
                     .set = handle_->number(),
                     .object = ids[i],
                     .argument = kPrefetchMs});
    places.push_back(i);
  }
  const size_t posted = handle_->session().exchange().Post(calls);
  return posted == calls.size() ? ids.size() : places[posted];
}

WriteGuard ObjectSet::Grab(ObjectId id, const Wait& wait) const {
  return GuardAccess::Grab(handle_, id, wait);
}

SetOutcome ObjectSet::Set(ObjectId id, std::span<const std::byte> value, const Wait& wait) const {
  if (!IsSize(value.size())) return SetOutcome::kInvalid;
  if (!handle_->may_write()) return SetOutcome::kDenied;
  cache::Grabbed lent;
  if (value.size() <= cache::kLoanBytesMax &&
      handle_->session().loans().Grab(handle_->number(), id, &lent) ==
          cache::GrabResult::kGrabbed) {
    std::memcpy(lent.buffer().data(), value.data(), value.size());
    return lent.Put(static_cast<uint32_t>(value.size())) == cache::PutResult::kCommitted
               ? SetOutcome::kOk
               : SetOutcome::kUnknown;
  }
  return handle_->Run(SetRequestKind::kSet, id, value, 0, 0, Patience(wait)).outcome;
}

ReadGuard ObjectSet::Touch(ObjectId id, std::span<const std::byte> value, const Wait& wait) const {
  ReadGuard guard;
  if (handle_->Pin(id, &guard) || handle_->ReadLoan(id, &guard)) return guard;
  const Patience patience(wait);
  SetOutcome outcome = SetOutcome::kInvalid;
  if (IsSize(value.size())) {
    outcome = handle_->may_write()
                  ? handle_->Run(SetRequestKind::kTouch, id, value, 0, 0, patience).outcome
                  : SetOutcome::kDenied;
  }
  if (outcome != SetOutcome::kOk) {
    GuardAccess::Fail(outcome, &guard);
  } else if (!handle_->Pin(id, &guard)) {
    handle_->Fetch(id, SetRequestKind::kGet, patience, &guard);
  }
  return guard;
}

SetOutcome ObjectSet::Remove(ObjectId id, const Wait& wait) const {
  if (!handle_->may_write()) return SetOutcome::kDenied;
  return handle_->Run(SetRequestKind::kRemove, id, {}, 0, 0, Patience(wait)).outcome;
}

SetOutcome ObjectSet::Sync(ObjectId id, const Wait& wait) const {
  return handle_->Run(SetRequestKind::kSync, id, {}, 0, 0, Patience(wait)).outcome;
}

SetOutcome ObjectSet::Migrate(ObjectId id, uint16_t node, const Wait& wait) const {
  if (!handle_->may_write()) return SetOutcome::kDenied;
  return handle_->Run(SetRequestKind::kMigrate, id, {}, 0, node, Patience(wait)).outcome;
}

Result<Watcher> ObjectSet::Watch(ObjectId first, ObjectId last, const Wait& wait) const {
  return GuardAccess::Watch(handle_, first, last, nullptr, wait);
}

Result<Watcher> ObjectSet::Watch(ObjectId first, ObjectId last, WatchCallback callback,
                                 const Wait& wait) const {
  return GuardAccess::Watch(handle_, first, last, std::move(callback), wait);
}

const std::string& ObjectSet::name() const { return handle_->name(); }
const SetPolicy& ObjectSet::policy() const { return handle_->opened().policy; }
bool ObjectSet::created() const { return handle_->opened().created; }

// --- Client ----------------------------------------------------------------------------------

Client::Client(std::shared_ptr<SetSession> session) : session_(std::move(session)) {}

Result<Client> Client::Connect(const ClientOptions& options) {
  Result<std::shared_ptr<SetSession>> session = SetSession::Connect(options);
  if (!session) return session.error();
  return Client(*std::move(session));
}

Result<ObjectSet> Client::OpenSet(const std::string& name, const SetOptions& options) {
  Result<std::shared_ptr<SetHandle>> handle = SetHandle::Open(session_, name, options);
  if (!handle) return handle.error();
  return GuardAccess::MakeSet(*std::move(handle));
}

std::optional<Error> Client::RemoveSet(const std::string& name) {
  return session_->Ask([&](auto& connection) { return connection.Remove(name); });
}

Result<std::vector<SetInfo>> Client::ListSets(const std::string& prefix) {
  return session_->Ask([&](auto& connection) { return connection.List(prefix); });
}

Result<SetInfo> Client::StatSet(const std::string& name) {
  return session_->Ask([&](auto& connection) { return connection.Stat(name); });
}

Result<std::vector<HotObject>> Client::HotObjects(const std::string& prefix) {
  return session_->Ask([&](auto& connection) { return connection.Hot(prefix); });
}

uint16_t Client::node() const { return session_->node(); }
const std::vector<uint16_t>& Client::members() const { return session_->members(); }
bool Client::alive() const { return session_->exchange().alive(); }

}  // namespace clustix
