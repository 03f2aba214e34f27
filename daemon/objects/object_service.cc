// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/object_service.h"

#include <endian.h>

#include <cstring>
#include <span>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {
namespace {

// Of files behind sets; one may be slow.
constexpr size_t kFileWorkers = 2;
constexpr size_t kFileWorkMax = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<ObjectService>> ObjectService::Start(io::UringIo& io,
                                                                    Messenger& messenger,
                                                                    const Options& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<cache::Host> host, cache::Host::Create());
  std::unique_ptr<ObjectService> service(
      new ObjectService(io, messenger, std::move(host), options));
  const SetsService::Parts parts = {.io = io,
                                    .host = *service->host_,
                                    .driver = service->driver_,
                                    .store = service->store_,
                                    .loans = service->loans_,
                                    .hot = service->hot_,
                                    .table = service->table_};
  ObjectService* self = service.get();
  ASSIGN_OR_RETURN(
      service->sets_,
      SetsService::Start(parts, options.socket_path,
                         {.attached =
                              [self](size_t programs) {
                                self->programs_ = programs;
                                self->RenewLease();
                              },
                          .removed = [self](const SetDefinition& set) { self->OnRemoved(set); }}));
  service->driver_.Start();
  return service;
}

ObjectService::ObjectService(io::UringIo& io, Messenger& messenger,
                             std::unique_ptr<cache::Host> host, const Options& options)
    : io_(io),
      messenger_(&messenger),
      host_(std::move(host)),
      workers_(kFileWorkers, kFileWorkMax),
      store_(*host_, options.memory_bytes),
      driver_(io.loop(), messenger, store_,
              {.view = {.nodes = options.nodes, .life = options.life, .predecessor_ms = kLeaseMs},
               .max_hold_ms = options.max_hold_ms}),
      loans_(driver_, store_, host_->fence()),
      hot_(io.loop(), driver_),
      table_(driver_),
      linkers_(
          messenger.self(), io.loop(), workers_, table_,
          ProcessWindow(messenger.self(), options.processes),
          [this](const kddm::LinkerWork& work, bool ok, const kddm::Data& data) {
            driver_.LinkerDone(work, ok, data);
          },
          [this](const kddm::ObjectKey& key) {
            driver_.Begin({.kind = kddm::OpKind::kRemove, .key = key}, 0,
                          [](const kddm::Completion&) {});
          }),
      sweeper_(driver_) {
  // The loop looks for requests only when a bell rings: to programs, it always sleeps.
  host_->PrepareToSleep();
  driver_.SetLinker([this](const kddm::LinkerWork& work) { linkers_.Do(work); });
  driver_.SetHoldHooks({.wanted = [this](const kddm::ObjectKey& key) { loans_.OnWanted(key); },
                        .overdue = [this](const kddm::ObjectKey& key) { loans_.OnOverdue(key); },
                        .watched = [this] { loans_.OnWatched(); }});
  driver_.OnViewChange([this] {
    RenewLease();
    linkers_.OnViewChange(driver_.engine().holder().copies());
  });
  messenger.Handle(msg::kPortObjectHot, [this](const Incoming& incoming) {
    hot_.OnMessage(incoming.from, incoming.payload);
  });
  messenger.Handle(msg::kPortObjectSets, [this](const Incoming& incoming) {
    if (incoming.payload.size() != sizeof(uint32_t)) return;
    uint32_t set;
    std::memcpy(&set, incoming.payload.data(), sizeof set);
    ForgetSet(le32toh(set));
  });
}

ObjectService::~ObjectService() {
  Stop(nullptr);
  sets_.reset();
}

// 1. Programs are let go, with what they hold. 2. Operations end. 3. Workers end; what they post
// from now on is harmless.
void ObjectService::Stop(std::function<void()> closed) {
  if (messenger_ == nullptr) return;
  if (sets_ != nullptr) sets_->Stop(std::move(closed));
  io_.loop().Cancel(std::exchange(lease_timer_, 0));
  host_->lease().Revoke();
  messenger_->Handle(msg::kPortObjectSets, nullptr);
  messenger_->Handle(msg::kPortObjectHot, nullptr);
  messenger_ = nullptr;
  driver_.Stop();
  workers_.Stop();
}

void ObjectService::RenewLease() {
  io_.loop().Cancel(std::exchange(lease_timer_, 0));
  if (messenger_ == nullptr) return;
  if (programs_ == 0 || !driver_.view().IsIn()) {
    return host_->lease().Revoke();
  }
  host_->lease().ExtendUntil(cache::MonotonicNs() + kLeaseMs * kNsPerMs);
  lease_timer_ = io_.loop().RunAt(io_.loop().Now() + kRenewMs * kNsPerMs, [this] { RenewLease(); });
}

// A peer that does not hear of it keeps what is homed there; nobody can name it any more.
void ObjectService::OnRemoved(const SetDefinition& set) {
  if (messenger_ == nullptr) return;
  const uint32_t id = htole32(set.id);
  driver_.TellMembers(msg::kPortObjectSets, std::as_bytes(std::span(&id, 1)));
  ForgetSet(set.id);
}

void ObjectService::ForgetSet(kddm::SetId set) {
  if (set == SetTable::kTableSet) return;
  sets_->MarkRemoved(set);
  sweeper_.Sweep(set);
  if (kddm::IsLinked(set)) linkers_.Forget(set);
}

std::string ObjectService::Explain() const {
  std::string text = driver_.view().Explain();
  const bool lacks_copies = driver_.view().IsIn() && !driver_.engine().home().all_settled();
  if (lacks_copies) text += "; copies of objects are being made";
  return text;
}

std::vector<std::pair<std::string, uint64_t>> ObjectService::Counters() const {
  const Channel::Counters& channel = driver_.channel_counters();
  const SetsService::Counters& sets = sets_->counters();
  return {{"sets_in_service", driver_.view().IsIn() ? 1 : 0},
          {"sets_epoch", driver_.view().epoch()},
          {"sets_nodes_out", driver_.view().out()},
          {"sets_programs", programs_},
          {"sets_operations", driver_.operations()},
          {"sets_objects_held", driver_.engine().holder().copies().size()},
          {"sets_objects_homed", driver_.engine().home().directory().table().size()},
          {"sets_value_bytes", store_.used_bytes()},
          {"sets_shared_bytes", store_.shared_bytes()},
          {"sets_messages_sent", channel.sent},
          {"sets_messages_received", channel.received},
          {"sets_messages_malformed", channel.malformed},
          {"sets_messages_refused", channel.refused},
          {"sets_messages_waiting", channel.waiting},
          {"sets_watches_told", driver_.engine().watchers().size()},
          {"sets_lent", loans_.lent()},
          {"sets_loans", loans_.counters().made},
          {"sets_loans_recalled", loans_.counters().recalled},
          {"sets_loans_seized", loans_.counters().seized},
          {"sets_loans_failed", loans_.counters().failed},
          {"sets_bad_requests", sets.bad_requests},
          {"sets_turned_away", sets.turned_away},
          {"sets_broken_regions", sets.broken_regions},
          {"sets_linker_failures", linkers_.failures()}};
}

}  // namespace clustix::daemon
