// SPDX-License-Identifier: Apache-2.0
//
// The C API of object sets: handles around the C++ classes, which do the work. Threads as in
// clustix/sets_c.h.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "clustix/sets.h"
#include "clustix/sets_c.h"
#include "lib/node/c_api.h"

struct clustix_client {
  clustix::Client client;
};
struct clustix_set {
  clustix::ObjectSet set;
  clustix_set_policy policy;  // points into the set's
};
struct clustix_read {
  clustix::ReadGuard guard;
};
struct clustix_write {
  clustix::WriteGuard guard;
};
struct clustix_watch {
  clustix::Watcher watcher;
};
struct clustix_canceller {
  clustix::Canceller canceller;
};

namespace clustix::c_api {
namespace {

static_assert(CLUSTIX_OBJECT_BYTES_MAX == kObjectBytesMax);
static_assert(CLUSTIX_LINKED == static_cast<int>(Durability::kLinked));
static_assert(CLUSTIX_BY_ID_BITS == static_cast<int>(Placement::kIdBits));

int ResultOf(SetOutcome outcome, const char* function) {
  switch (outcome) {
    case SetOutcome::kOk:
      return CLUSTIX_OK;
    case SetOutcome::kNotFound:
      return CLUSTIX_NO_OBJECT;
    case SetOutcome::kDeadline:
      return CLUSTIX_DEADLINE;
    case SetOutcome::kCancelled:
      return CLUSTIX_CANCELLED;
    case SetOutcome::kUnknown:
      return CLUSTIX_UNKNOWN;
    case SetOutcome::kLost:
      return CLUSTIX_LOST;
    case SetOutcome::kRevoked:
      return CLUSTIX_REVOKED;
    case SetOutcome::kNoSpace:
      return CLUSTIX_NO_SPACE;
    case SetOutcome::kTooLarge:
      return CLUSTIX_TOO_LARGE;
    case SetOutcome::kInvalid:
      return Fail(CLUSTIX_INVALID, function, "an object is 1 to %u bytes, and a node must be there",
                  CLUSTIX_OBJECT_BYTES_MAX);
    case SetOutcome::kDenied:
      return Fail(CLUSTIX_PERMISSION, function, "the set was opened for reading");
    case SetOutcome::kSetRemoved:
      return CLUSTIX_SET_REMOVED;
    case SetOutcome::kUnavailable:
      return CLUSTIX_UNAVAILABLE;
  }
  return CLUSTIX_UNAVAILABLE;
}

int Missing(const char* function, const char* what) {
  return Fail(CLUSTIX_INVALID, function, "%s is NULL", what);
}

// `from` may be null.
int TakeWait(const clustix_wait* from, const char* function, Wait* to) {
  if (from == nullptr) return CLUSTIX_OK;
  clustix_wait taken = {};
  if (const int result = TakeIn(from, "clustix_wait", function, &taken)) return result;
  *to = {.timeout_ms = taken.timeout_ms,
         .canceller = taken.canceller == nullptr ? nullptr : &taken.canceller->canceller};
  return CLUSTIX_OK;
}

// Runs `body(set, wait)`, which returns a result.
template <typename Body>
int OnSet(clustix_set* set, const clustix_wait* wait, const char* function, Body body) {
  if (set == nullptr) return Missing(function, "set");
  Wait taken;
  if (const int result = TakeWait(wait, function, &taken)) return result;
  return Guarded([&]() -> int { return body(set->set, taken); });
}

int TakeOptions(const clustix_set_options* from, SetOptions* to) {
  constexpr const char* kFunction = "clustix_set_open";
  if (from == nullptr) return CLUSTIX_OK;
  clustix_set_options taken = {};
  if (const int result = TakeIn(from, "clustix_set_options", kFunction, &taken)) return result;
  if (taken.durability > CLUSTIX_LINKED || taken.placement > CLUSTIX_BY_ID_BITS) {
    return Fail(CLUSTIX_INVALID, kFunction, "durability is %d and placement %d; see the enums",
                taken.durability, taken.placement);
  }
  to->create = taken.create;
  to->exclusive = taken.exclusive;
  to->write = !taken.read_only;
  to->policy = {.durability = static_cast<Durability>(taken.durability),
                .placement = static_cast<Placement>(taken.placement),
                .linker = taken.linker == nullptr ? "" : taken.linker,
                .mode = taken.mode,
                .quota_bytes = taken.quota_bytes};
  return CLUSTIX_OK;
}

clustix_set_policy PolicyOf(const SetPolicy& policy) {
  return {.durability = static_cast<uint8_t>(policy.durability),
          .placement = static_cast<uint8_t>(policy.placement),
          .mode = policy.mode,
          .linker = policy.linker.c_str(),
          .quota_bytes = policy.quota_bytes};
}

void Visit(const SetInfo& set, clustix_set_info_fn* visit, void* user) {
  std::vector<clustix_counter> counters;
  counters.reserve(set.counters.size());
  for (const auto& [name, value] : set.counters) counters.push_back({name.c_str(), value});
  const clustix_set_policy policy = PolicyOf(set.policy);
  const clustix_set_info info = {.name = set.name.c_str(),
                                 .id = set.id,
                                 .uid = set.uid,
                                 .gid = set.gid,
                                 .creator = set.creator,
                                 .policy = &policy,
                                 .objects = set.objects,
                                 .readable = set.readable,
                                 .homed = set.homed,
                                 .bytes = set.bytes,
                                 .clients = set.clients,
                                 .counters = counters.data(),
                                 .counter_count = counters.size()};
  visit(&info, user);
}

uint64_t VersionOf(const WatchEvent& event) {
  return event.any ? CLUSTIX_ANY_VERSION : event.version;
}

int HandOut(ReadGuard guard, const char* function, clustix_read** read) {
  if (!guard) return ResultOf(guard.outcome(), function);
  *read = new clustix_read{std::move(guard)};
  return CLUSTIX_OK;
}

int HandOut(Result<Watcher> watcher, const char* function, clustix_watch** watch) {
  if (!watcher) return Fail(watcher.error(), function);
  *watch = new clustix_watch{*std::move(watcher)};
  return CLUSTIX_OK;
}

}  // namespace
}  // namespace clustix::c_api

using namespace clustix::c_api;
using clustix::ObjectSet;
using clustix::Wait;

// --- Sessions and sets -----------------------------------------------------------------------

int clustix_client_connect(const clustix_client_options* options, clustix_client** client) {
  constexpr const char* kFunction = "clustix_client_connect";
  if (client == nullptr) return Missing(kFunction, "client");
  clustix_client_options taken = {};
  const clustix::ClientOptions defaults;
  taken.timeout_ms = defaults.timeout_ms;
  taken.spin_us = defaults.spin_us;
  if (options != nullptr) {
    if (const int result = TakeIn(options, "clustix_client_options", kFunction, &taken)) {
      return result;
    }
  }
  return Guarded([&]() -> int {
    clustix::Result<clustix::Client> connected =
        clustix::Client::Connect({.socket = taken.socket == nullptr ? "" : taken.socket,
                                  .timeout_ms = taken.timeout_ms,
                                  .spin_us = taken.spin_us});
    if (!connected) return Fail(connected.error(), kFunction);
    *client = new clustix_client{*std::move(connected)};
    return CLUSTIX_OK;
  });
}

void clustix_client_close(clustix_client* client) { delete client; }

uint16_t clustix_client_node(const clustix_client* client) {
  return client == nullptr ? 0 : client->client.node();
}

const uint16_t* clustix_client_members(const clustix_client* client, size_t* count) {
  if (count != nullptr) *count = client == nullptr ? 0 : client->client.members().size();
  return client == nullptr ? nullptr : client->client.members().data();
}

bool clustix_client_alive(const clustix_client* client) {
  return client != nullptr && client->client.alive();
}

int clustix_set_open(clustix_client* client, const char* name, const clustix_set_options* options,
                     clustix_set** set) {
  constexpr const char* kFunction = "clustix_set_open";
  if (client == nullptr || name == nullptr || set == nullptr) {
    return Missing(kFunction, "an argument");
  }
  return Guarded([&]() -> int {
    clustix::SetOptions taken;
    if (const int result = TakeOptions(options, &taken)) return result;
    clustix::Result<ObjectSet> opened = client->client.OpenSet(name, taken);
    if (!opened) return Fail(opened.error(), kFunction);
    *set = new clustix_set{*opened, PolicyOf(opened->policy())};
    return CLUSTIX_OK;
  });
}

void clustix_set_close(clustix_set* set) { delete set; }

int clustix_set_remove(clustix_client* client, const char* name) {
  constexpr const char* kFunction = "clustix_set_remove";
  if (client == nullptr || name == nullptr) return Missing(kFunction, "an argument");
  return Guarded([&]() -> int {
    const std::optional<clustix::Error> error = client->client.RemoveSet(name);
    return error ? Fail(*error, kFunction) : CLUSTIX_OK;
  });
}

const char* clustix_set_name(const clustix_set* set) {
  return set == nullptr ? "" : set->set.name().c_str();
}

const clustix_set_policy* clustix_set_get_policy(const clustix_set* set) {
  return set == nullptr ? nullptr : &set->policy;
}

bool clustix_set_created(const clustix_set* set) { return set != nullptr && set->set.created(); }

int clustix_set_list(clustix_client* client, const char* prefix, clustix_set_info_fn* visit,
                     void* user) {
  constexpr const char* kFunction = "clustix_set_list";
  if (client == nullptr || visit == nullptr) return Missing(kFunction, "an argument");
  return Guarded([&]() -> int {
    const auto sets = client->client.ListSets(prefix == nullptr ? "" : prefix);
    if (!sets) return Fail(sets.error(), kFunction);
    for (const clustix::SetInfo& set : *sets) Visit(set, visit, user);
    return CLUSTIX_OK;
  });
}

int clustix_set_stat(clustix_client* client, const char* name, clustix_set_info_fn* visit,
                     void* user) {
  constexpr const char* kFunction = "clustix_set_stat";
  if (client == nullptr || name == nullptr || visit == nullptr) {
    return Missing(kFunction, "an argument");
  }
  return Guarded([&]() -> int {
    const clustix::Result<clustix::SetInfo> set = client->client.StatSet(name);
    if (!set) return Fail(set.error(), kFunction);
    Visit(*set, visit, user);
    return CLUSTIX_OK;
  });
}

int clustix_set_hot_objects(clustix_client* client, const char* prefix,
                            clustix_hot_object_fn* visit, void* user) {
  constexpr const char* kFunction = "clustix_set_hot_objects";
  if (client == nullptr || visit == nullptr) return Missing(kFunction, "an argument");
  return Guarded([&]() -> int {
    const auto objects = client->client.HotObjects(prefix == nullptr ? "" : prefix);
    if (!objects) return Fail(objects.error(), kFunction);
    for (const clustix::HotObject& object : *objects) {
      const clustix_hot_object hot = {.set = object.set.c_str(),
                                      .object = object.object,
                                      .home = object.home,
                                      .transfers_per_second = object.transfers_per_second,
                                      .waiting = object.waiting};
      visit(&hot, user);
    }
    return CLUSTIX_OK;
  });
}

// --- Waiting ---------------------------------------------------------------------------------

clustix_canceller* clustix_canceller_new() {
  clustix_canceller* canceller = nullptr;
  Guarded([&]() -> int {
    canceller = new clustix_canceller();
    return CLUSTIX_OK;
  });
  return canceller;
}

void clustix_cancel_all(clustix_canceller* canceller) {
  if (canceller != nullptr) canceller->canceller.Cancel();
}

void clustix_canceller_free(clustix_canceller* canceller) { delete canceller; }

// --- Reading ---------------------------------------------------------------------------------

int clustix_object_copy(clustix_set* set, uint64_t object, void* to, size_t room, size_t* bytes,
                        uint64_t* version, const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_copy";
  if ((to == nullptr && room > 0) || bytes == nullptr) return Missing(kFunction, "an argument");
  return OnSet(set, wait, kFunction, [&](const ObjectSet& from, const Wait& patience) {
    return ResultOf(
        from.Read(object, {static_cast<std::byte*>(to), room}, bytes, version, patience),
        kFunction);
  });
}

int clustix_object_get(clustix_set* set, uint64_t object, const clustix_wait* wait,
                       clustix_read** read) {
  constexpr const char* kFunction = "clustix_object_get";
  if (read == nullptr) return Missing(kFunction, "read");
  return OnSet(set, wait, kFunction, [&](const ObjectSet& from, const Wait& patience) {
    return HandOut(from.Get(object, patience), kFunction, read);
  });
}

int clustix_object_find(clustix_set* set, uint64_t object, const clustix_wait* wait,
                        clustix_read** read) {
  constexpr const char* kFunction = "clustix_object_find";
  if (read == nullptr) return Missing(kFunction, "read");
  return OnSet(set, wait, kFunction, [&](const ObjectSet& from, const Wait& patience) {
    return HandOut(from.Find(object, patience), kFunction, read);
  });
}

const void* clustix_read_data(const clustix_read* read) {
  return read == nullptr ? nullptr : read->guard.data().data();
}

size_t clustix_read_bytes(const clustix_read* read) {
  return read == nullptr ? 0 : read->guard.data().size();
}

uint64_t clustix_read_version(const clustix_read* read) {
  return read == nullptr ? 0 : read->guard.version();
}

void clustix_read_end(clustix_read* read) { delete read; }

int clustix_object_get_many(clustix_set* set, const uint64_t* objects, size_t count,
                            clustix_visit_fn* visit, void* user, const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_get_many";
  if ((objects == nullptr && count > 0) || visit == nullptr) {
    return Missing(kFunction, "an argument");
  }
  return OnSet(set, wait, kFunction, [&](const ObjectSet& from, const Wait& patience) {
    const auto tell = [&](size_t index, clustix::ReadGuard& guard) {
      visit(index, ResultOf(guard.outcome(), kFunction), guard.data().data(), guard.data().size(),
            user);
    };
    return ResultOf(from.GetMany({objects, count}, tell, patience), kFunction);
  });
}

size_t clustix_object_prefetch(clustix_set* set, const uint64_t* objects, size_t count) {
  size_t asked = 0;
  if (set == nullptr || objects == nullptr) return asked;
  Guarded([&]() -> int {
    asked = set->set.Prefetch({objects, count});
    return CLUSTIX_OK;
  });
  return asked;
}

// --- Writing ---------------------------------------------------------------------------------

int clustix_object_grab(clustix_set* set, uint64_t object, const clustix_wait* wait,
                        clustix_write** write) {
  constexpr const char* kFunction = "clustix_object_grab";
  if (write == nullptr) return Missing(kFunction, "write");
  return OnSet(set, wait, kFunction, [&](const ObjectSet& from, const Wait& patience) -> int {
    clustix::WriteGuard guard = from.Grab(object, patience);
    if (!guard) return ResultOf(guard.outcome(), kFunction);
    *write = new clustix_write{std::move(guard)};
    return CLUSTIX_OK;
  });
}

void* clustix_write_data(clustix_write* write) {
  return write == nullptr ? nullptr : write->guard.data().data();
}

size_t clustix_write_bytes(const clustix_write* write) {
  return write == nullptr ? 0 : const_cast<clustix_write*>(write)->guard.data().size();
}

int clustix_write_resize(clustix_write* write, size_t bytes) {
  constexpr const char* kFunction = "clustix_write_resize";
  if (write == nullptr) return Missing(kFunction, "write");
  return Guarded([&]() -> int { return ResultOf(write->guard.Resize(bytes), kFunction); });
}

int clustix_write_put(clustix_write* write, const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_write_put";
  if (write == nullptr) return Missing(kFunction, "write");
  const std::unique_ptr<clustix_write> owned(write);
  Wait patience;
  if (const int result = TakeWait(wait, kFunction, &patience)) return result;
  return Guarded([&]() -> int { return ResultOf(owned->guard.Put(patience), kFunction); });
}

void clustix_write_abort(clustix_write* write) { delete write; }

int clustix_object_set(clustix_set* set, uint64_t object, const void* value, size_t bytes,
                       const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_set";
  if (const int result = CheckPayload(value, bytes, kFunction)) return result;
  return OnSet(set, wait, kFunction, [&](const ObjectSet& to, const Wait& patience) {
    return ResultOf(to.Set(object, AsBytes(value, bytes), patience), kFunction);
  });
}

int clustix_object_touch(clustix_set* set, uint64_t object, const void* value, size_t bytes,
                         const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_touch";
  if (const int result = CheckPayload(value, bytes, kFunction)) return result;
  return OnSet(set, wait, kFunction, [&](const ObjectSet& to, const Wait& patience) {
    return ResultOf(to.Touch(object, AsBytes(value, bytes), patience).outcome(), kFunction);
  });
}

int clustix_object_touch_get(clustix_set* set, uint64_t object, const void* value, size_t bytes,
                             const clustix_wait* wait, clustix_read** read) {
  constexpr const char* kFunction = "clustix_object_touch_get";
  if (read == nullptr) return Missing(kFunction, "read");
  if (const int result = CheckPayload(value, bytes, kFunction)) return result;
  return OnSet(set, wait, kFunction, [&](const ObjectSet& to, const Wait& patience) {
    return HandOut(to.Touch(object, AsBytes(value, bytes), patience), kFunction, read);
  });
}

int clustix_object_remove(clustix_set* set, uint64_t object, const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_remove";
  return OnSet(set, wait, kFunction, [&](const ObjectSet& from, const Wait& patience) {
    return ResultOf(from.Remove(object, patience), kFunction);
  });
}

int clustix_object_sync(clustix_set* set, uint64_t object, const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_sync";
  return OnSet(set, wait, kFunction, [&](const ObjectSet& of, const Wait& patience) {
    return ResultOf(of.Sync(object, patience), kFunction);
  });
}

int clustix_object_migrate(clustix_set* set, uint64_t object, uint16_t node,
                           const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_object_migrate";
  return OnSet(set, wait, kFunction, [&](const ObjectSet& of, const Wait& patience) {
    return ResultOf(of.Migrate(object, node, patience), kFunction);
  });
}

// --- Watching --------------------------------------------------------------------------------

int clustix_watch_open(clustix_set* set, uint64_t first, uint64_t last, clustix_watch** watch) {
  constexpr const char* kFunction = "clustix_watch_open";
  if (watch == nullptr) return Missing(kFunction, "watch");
  return OnSet(set, nullptr, kFunction, [&](const ObjectSet& of, const Wait& patience) {
    return HandOut(of.Watch(first, last, patience), kFunction, watch);
  });
}

int clustix_watch_start(clustix_set* set, uint64_t first, uint64_t last,
                        clustix_change_fn* callback, void* user, const clustix_wait* wait,
                        clustix_watch** watch) {
  constexpr const char* kFunction = "clustix_watch_start";
  if (watch == nullptr) return Missing(kFunction, "watch");
  clustix::WatchCallback tell;
  if (callback != nullptr) {
    tell = [callback, user](clustix::SetOutcome outcome, const clustix::WatchEvent& event) {
      callback(ResultOf(outcome, kFunction), event.object, VersionOf(event), user);
    };
  }
  return OnSet(set, wait, kFunction, [&](const ObjectSet& of, const Wait& patience) {
    return HandOut(of.Watch(first, last, std::move(tell), patience), kFunction, watch);
  });
}

void clustix_watch_close(clustix_watch* watch) { delete watch; }

int clustix_watch_fd(const clustix_watch* watch) {
  return watch == nullptr ? -1 : watch->watcher.fd();
}

int clustix_watch_next(clustix_watch* watch, uint64_t* object, uint64_t* version,
                       const clustix_wait* wait) {
  constexpr const char* kFunction = "clustix_watch_next";
  if (watch == nullptr || object == nullptr) return Missing(kFunction, "an argument");
  Wait patience;
  if (const int result = TakeWait(wait, kFunction, &patience)) return result;
  return Guarded([&]() -> int {
    clustix::WatchEvent event;
    const clustix::SetOutcome outcome = watch->watcher.Next(&event, patience);
    if (outcome != clustix::SetOutcome::kOk) return ResultOf(outcome, kFunction);
    *object = event.object;
    if (version != nullptr) *version = VersionOf(event);
    return CLUSTIX_OK;
  });
}
