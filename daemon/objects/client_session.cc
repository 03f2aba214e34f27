// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/client_session.h"

#include <memory>
#include <utility>

#include "daemon/objects/reply_status.h"
#include "lib/cache/words.h"

namespace clustix::daemon {
namespace {

using client::SetRequestKind;

// What the program has staged, which it may change meanwhile: whatever comes of that is the value.
kddm::Data TakeStaged(const std::byte* staged, uint32_t bytes) {
  auto data = std::make_shared<std::vector<std::byte>>(bytes);
  cache::CopyFromShared(data->data(), staged, bytes);
  return data;
}

bool BringsValue(SetRequestKind kind) {
  return kind == SetRequestKind::kSet || kind == SetRequestKind::kTouch;
}
bool Writes(SetRequestKind kind) {
  return BringsValue(kind) || kind == SetRequestKind::kGrab || kind == SetRequestKind::kRemove;
}

// Of the requests that begin an operation.
bool ToOperation(SetRequestKind kind, kddm::OpKind* operation) {
  switch (kind) {
    case SetRequestKind::kGet:
      *operation = kddm::OpKind::kGet;
      return true;
    case SetRequestKind::kGrab:
      *operation = kddm::OpKind::kGrab;
      return true;
    case SetRequestKind::kSet:
      *operation = kddm::OpKind::kSet;
      return true;
    case SetRequestKind::kTouch:
      *operation = kddm::OpKind::kTouch;
      return true;
    case SetRequestKind::kRemove:
      *operation = kddm::OpKind::kRemove;
      return true;
    case SetRequestKind::kFind:
      *operation = kddm::OpKind::kFind;
      return true;
    case SetRequestKind::kSync:
      *operation = kddm::OpKind::kSync;
      return true;
    default:
      return false;
  }
}

}  // namespace

ClientSession::ClientSession(Driver& driver, const SharedStore& store, LoanBook& loans,
                             cache::Host& host, cache::HostRegion* region, size_t& watches_of_user,
                             Hooks hooks)
    : driver_(driver),
      store_(store),
      host_(host),
      region_(region),
      loans_(loans),
      borrower_(loans, region),
      hooks_(std::move(hooks)),
      watches_(driver, watches_of_user, [this](const cache::Reply& reply) { Answer(reply); }) {
  for (uint32_t slot = 0; slot < pending_.size(); ++slot) free_slots_.push_back(slot);
}

ClientSession::~ClientSession() {
  broken_ = true;  // no answers any more
  for (Pending& pending : pending_) {
    if (pending.used && pending.op != 0) driver_.Abandon(std::exchange(pending.op, 0));
  }
  for (const auto& [hold, what] : std::exchange(holds_, {})) driver_.Release(hold);
  loans_.TakeAll(borrower_);
  host_.Detach(region_);
}

uint32_t ClientSession::Open(OpenSet* set, bool write) {
  uint32_t number = 0;
  if (!free_handles_.empty()) {
    number = free_handles_.back();
    free_handles_.pop_back();
  } else if (handles_.size() < kHandlesMax) {
    handles_.emplace_back();
    number = static_cast<uint32_t>(handles_.size());
  } else {
    return 0;
  }
  handles_[number - 1] = {.set = set, .write = write};
  return number;
}

OpenSet* ClientSession::Close(uint32_t number) {
  if (number < 1 || number > handles_.size() || handles_[number - 1].set == nullptr) return nullptr;
  OpenSet* set = handles_[number - 1].set;
  for (Pending& pending : pending_) {
    if (pending.used && pending.handle == number && pending.op != 0) driver_.Cancel(pending.op);
  }
  // What goes on nevertheless may end when the set is not open any more.
  for (Pending& pending : pending_) {
    if (pending.used && pending.handle == number) EndGrowth(pending);
  }
  std::vector<kddm::OpId> held;
  for (const auto& [hold, what] : holds_) {
    if (what.handle == number) held.push_back(hold);
  }
  for (const kddm::OpId hold : held) {
    holds_.erase(hold);
    driver_.Release(hold);
  }
  loans_.TakeHandle(borrower_, number);
  watches_.End(number, Status::kCancelled);
  handles_[number - 1] = {};
  free_handles_.push_back(number);
  return set;
}

void ClientSession::OnSetRemoved(const OpenSet& set) {
  for (const uint32_t number : handles()) {
    if (handles_[number - 1].set == &set) watches_.End(number, Status::kRemoved);
  }
}

std::vector<uint32_t> ClientSession::handles() const {
  std::vector<uint32_t> open;
  for (uint32_t number = 1; number <= handles_.size(); ++number) {
    if (handles_[number - 1].set != nullptr) open.push_back(number);
  }
  return open;
}

bool ClientSession::Serve() {
  loans_.OnRing(borrower_);
  for (size_t served = 0; served < cache::kRingSlots; ++served) {
    if (broken_) return false;
    cache::Request request;
    const cache::RingResult result = region_->NextRequest(&request);
    if (result == cache::RingResult::kNotNow) return false;
    if (result == cache::RingResult::kBroken) {
      broken_ = true;
      hooks_.broken();
      return false;
    }
    Take(request);
  }
  return true;
}

void ClientSession::Take(const cache::Request& request) {
  Status status = Status::kBadRequest;
  bool goes_on = false;
  std::byte* staged = region_->Staged(request);
  if (staged != nullptr) {
    switch (static_cast<Kind>(request.kind)) {
      case Kind::kPut:
        status = Put(request, staged);
        goes_on = status == Status::kOk;
        break;
      case Kind::kRelease:
        status = Release(request);
        break;
      case Kind::kCancel:
        status = Cancel(request);
        break;
      case Kind::kWatch:
        status = Watch(request);
        goes_on = status == Status::kOk;
        break;
      case Kind::kMigrate:
        status = Migrate(request);
        goes_on = status == Status::kOk;
        break;
      default:
        status = Begin(request, staged);
        goes_on = status == Status::kOk;
    }
  }
  if (!goes_on) Answer({.cookie = request.cookie, .status = static_cast<uint32_t>(status)});
}

ClientSession::Status ClientSession::CheckHandle(uint32_t number, bool write) const {
  if (number < 1 || number > handles_.size()) return Status::kBadRequest;
  const Handle& handle = handles_[number - 1];
  if (handle.set == nullptr) return Status::kBadRequest;
  if (handle.set->removed) return Status::kRemoved;
  return write && !handle.write ? Status::kDenied : Status::kOk;
}

uint32_t ClientSession::GrowthBy(const kddm::ObjectKey& key, uint32_t bytes) const {
  const kddm::Data replaced = store_.Find(key);
  const size_t has = replaced == nullptr ? 0 : replaced->size();
  return bytes > has ? static_cast<uint32_t>(bytes - has) : 0;
}

// What does not grow is taken even by a set that has too much: others' copies may have filled it.
bool ClientSession::HasQuotaFor(const OpenSet& set, uint32_t growth) const {
  const uint64_t quota = set.definition.quota_bytes;
  return quota == 0 || growth == 0 ||
         store_.StatsOf(set.definition.id).bytes + set.growing_bytes + growth <= quota;
}

// The value is not in the store yet: until it is, or will not be, others find this less room.
void ClientSession::BeginGrowth(Pending& pending, uint32_t growth) {
  pending.growth = growth;
  handles_[pending.handle - 1].set->growing_bytes += growth;
}

void ClientSession::EndGrowth(Pending& pending) {
  if (pending.growth == 0) return;
  handles_[pending.handle - 1].set->growing_bytes -= std::exchange(pending.growth, 0);
}

uint32_t ClientSession::TakeSlot(const cache::Request& request, std::byte* staged) {
  // There is one: the region lets a program have as many under way as there are slots.
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  pending_[slot] = {.cookie = request.cookie,
                    .kind = static_cast<Kind>(request.kind),
                    .handle = request.set,
                    .object = request.object,
                    .op = 0,
                    .staged = staged,
                    .room = request.staged_bytes,
                    .used = true};
  return slot;
}

ClientSession::Status ClientSession::Begin(const cache::Request& request, std::byte* staged) {
  const auto kind = static_cast<Kind>(request.kind);
  kddm::OpKind operation;
  if (!ToOperation(kind, &operation)) return Status::kBadRequest;
  if (const Status status = CheckHandle(request.set, Writes(kind)); status != Status::kOk) {
    return status;
  }
  OpenSet& set = *handles_[request.set - 1].set;
  if (kind == Kind::kSync && !kddm::IsLinked(set.definition.id)) return Status::kBadRequest;
  const kddm::ObjectKey key = {.object = request.object, .set = set.definition.id};
  kddm::Data data;
  uint32_t growth = 0;
  if (BringsValue(kind)) {
    if (request.staged_bytes == 0) return Status::kBadRequest;
    growth = GrowthBy(key, request.staged_bytes);
    if (HasQuotaFor(set, growth)) {
      data = TakeStaged(staged, request.staged_bytes);
      ++set.writes;
    } else if (kind == Kind::kTouch) {
      // It may be there, on another node: OnDone() tells.
      operation = kddm::OpKind::kGet;
      growth = 0;
      ++set.gets;
    } else {
      return Status::kNoSpace;
    }
  } else if (kind == Kind::kGrab) {
    ++set.grabs;
    if (kddm::IsVolatile(key.set)) loans_.OnGrab(borrower_, key);
  } else if (kind == Kind::kRemove) {
    ++set.removals;
  } else {
    ++set.gets;
  }
  const uint32_t slot = TakeSlot(request, staged);
  BeginGrowth(pending_[slot], growth);
  const kddm::OpId op = driver_.Begin({.kind = operation, .key = key, .data = std::move(data)},
                                      request.argument, this, slot);
  // Most operations have ended by now, and another may have the slot.
  if (pending_[slot].used && pending_[slot].op == 0) pending_[slot].op = op;
  return Status::kOk;
}

ClientSession::Status ClientSession::Put(const cache::Request& request, std::byte* staged) {
  const auto held = holds_.find(request.argument);
  if (held == holds_.end()) return Status::kRevoked;
  const Hold hold = held->second;
  holds_.erase(held);
  const Status status = PutHeld(hold, request, staged);
  // The program has nothing left to end it by.
  if (status != Status::kOk) driver_.Release(request.argument);
  return status;
}

ClientSession::Status ClientSession::PutHeld(const Hold& hold, const cache::Request& request,
                                             std::byte* staged) {
  const auto [number, object] = hold;
  if (request.staged_bytes == 0) return Status::kBadRequest;
  if (const Status status = CheckHandle(number, true); status != Status::kOk) return status;
  OpenSet& set = *handles_[number - 1].set;
  const kddm::ObjectKey key = {.object = object, .set = set.definition.id};
  const uint32_t growth = GrowthBy(key, request.staged_bytes);
  if (!HasQuotaFor(set, growth)) return Status::kNoSpace;
  ++set.writes;
  const kddm::Data data = TakeStaged(staged, request.staged_bytes);
  if (kddm::IsVolatile(key.set)) {
    const uint64_t ticket =
        loans_.Lend(borrower_, {.set = &set, .handle = number}, key, request.argument, data);
    if (ticket != 0) {
      Answer({.cookie = request.cookie, .argument = ticket});
      return Status::kOk;
    }
  }
  const uint32_t slot = TakeSlot(request, staged);
  pending_[slot].handle = number;
  BeginGrowth(pending_[slot], growth);
  const kddm::OpId op = driver_.Put(request.argument, data, 0, this, slot);
  if (pending_[slot].used && pending_[slot].op == 0) pending_[slot].op = op;
  return Status::kOk;
}

ClientSession::Status ClientSession::Release(const cache::Request& request) {
  if (holds_.erase(request.argument) == 0) return Status::kRevoked;
  driver_.Release(request.argument);
  return Status::kOk;
}

ClientSession::Status ClientSession::Migrate(const cache::Request& request) {
  if (const Status status = CheckHandle(request.set, true); status != Status::kOk) return status;
  if (request.object_version > UINT16_MAX) return Status::kUnavailable;  // no node has that number
  const kddm::SetId set = handles_[request.set - 1].set->definition.id;
  const uint32_t slot = TakeSlot(request, nullptr);
  const kddm::OpId op =
      driver_.Migrate({.object = request.object, .set = set},
                      static_cast<NodeId>(request.object_version), request.argument, this, slot);
  if (pending_[slot].used && pending_[slot].op == 0) pending_[slot].op = op;
  return Status::kOk;
}

ClientSession::Status ClientSession::Watch(const cache::Request& request) {
  if (const Status status = CheckHandle(request.set, false); status != Status::kOk) return status;
  const kddm::SetId set = handles_[request.set - 1].set->definition.id;
  return watches_.Ask(request.cookie, request.set,
                      {.set = set, .first = request.object, .last = request.argument});
}

ClientSession::Status ClientSession::Cancel(const cache::Request& request) {
  for (const Pending& pending : pending_) {
    if (!pending.used || pending.cookie != request.argument || pending.op == 0) continue;
    driver_.Cancel(pending.op);
    return Status::kOk;
  }
  return watches_.Cancel(request.argument) ? Status::kOk : Status::kNotFound;
}

void ClientSession::OnDone(uint64_t token, const kddm::Completion& completion) {
  const auto slot = static_cast<uint32_t>(token);
  EndGrowth(pending_[slot]);
  const Pending pending = std::exchange(pending_[slot], Pending());
  free_slots_.push_back(slot);
  cache::Reply reply = {.cookie = pending.cookie,
                        .status = static_cast<uint32_t>(ToReply(completion.status)),
                        .object_version = completion.version};
  const bool ok = completion.status == kddm::Status::kOk;
  if (!ok && completion.status != kddm::Status::kNotFound && !broken_) {
    if (OpenSet* set = handles_[pending.handle - 1].set) ++set->failures;
  }
  const bool looks = pending.kind == Kind::kGet || pending.kind == Kind::kGrab ||
                     pending.kind == Kind::kTouch || pending.kind == Kind::kFind;
  if (ok && looks) {
    if (completion.data != nullptr) {
      reply.argument = completion.data->size();
      if (completion.data->size() <= pending.room) {
        cache::CopyToShared(pending.staged, completion.data->data(), completion.data->size());
        reply.staged_bytes = static_cast<uint32_t>(completion.data->size());
      }
    } else {
      reply.status = static_cast<uint32_t>(
          completion.content == kddm::Content::kLost ? Status::kLost : Status::kNotFound);
    }
  }
  // There is none, and the quota has no room for one.
  if (pending.kind == Kind::kTouch && reply.status == static_cast<uint32_t>(Status::kNotFound)) {
    reply.status = static_cast<uint32_t>(Status::kNoSpace);
  }
  if (ok && pending.kind == Kind::kGrab) {
    if (handles_[pending.handle - 1].set == nullptr) {  // closed meanwhile
      driver_.Release(completion.op);
      reply.status = static_cast<uint32_t>(Status::kCancelled);
    } else {
      reply.argument = completion.op;
      holds_[completion.op] = {.handle = pending.handle, .object = pending.object};
    }
  }
  Answer(reply);
}

// A program that waits for many answers is woken once for all that a turn of the loop brings.
void ClientSession::Answer(const cache::Reply& reply) {
  if (broken_) return;
  const bool more = region_->unanswered() > 1;
  if (region_->Answer(reply, more) != cache::RingResult::kDone) {
    broken_ = true;
    hooks_.broken();
  } else if (more && !std::exchange(announces_, true)) {
    hooks_.answered();
  }
}

void ClientSession::Announce() {
  announces_ = false;
  region_->Announce();
}

}  // namespace clustix::daemon
