// SPDX-License-Identifier: Apache-2.0
//
// Sets of objects that all nodes of a cluster share as if in one memory: what a program reads is
// what was written last, by whomever, wherever. This program is a client of the daemon of its
// node (clustixd), which has to run.
//
//   Result<Client> client = Client::Connect();
//   Result<ObjectSet> set = client->OpenSet("shop/counters", {.create = true});
//   WriteGuard visits = set->Grab(7);            // nobody else, on any node, until Put()
//   ...visits.data()... visits.Resize(8)...
//   if (visits.Put() != SetOutcome::kOk) ...
//   ReadGuard seen = set->Get(7);                // the value, where it lies
//   if (seen) ...seen.data()... else ...SetOutcomeName(seen.outcome())...
//
// An object is 1 byte to 1 MiB, named by a 64-bit number; reading one that this node has cached
// takes no system call and no other process, some 20 ns. docs/KDDM.md says what is promised:
// every object is linearizable, whatever nodes fail. TypedSet<T> reads and writes objects as
// values.
//
// Threads: a Client and its ObjectSets may be used by any number of threads at once. Reading what
// is cached takes no lock. A guard belongs to the thread that got it, and ends there. Of one
// thread, 8 ReadGuards at once point into the cache, in 64 threads at once; further ones hold a
// copy.
//
// Lifetimes: guards and Watchers end before their ObjectSet does; ObjectSets may outlive their
// Client (its session ends with the last of them). A child after fork() uses nothing of its
// parent's: all but ReadGuards may end there, which the parent does not notice.
//
// When the daemon ends, so does the session: what was under way ends with kUnavailable, or with
// kUnknown if it may have happened; all that is begun later with kUnavailable. Connect again.
// A daemon that is stopped or cut off does not hang anybody: what is cached is served until its
// lease ends, and everything has a deadline.
#ifndef CLUSTIX_SETS_H_
#define CLUSTIX_SETS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "clustix/result.h"

namespace clustix {

using ObjectId = uint64_t;
inline constexpr size_t kObjectBytesMax = size_t{1} << 20;

// How an operation on an object ended. Each outcome calls for another reaction, hence one name
// each.
enum class SetOutcome : uint8_t {
  kOk = 0,
  kNotFound,    // there is no such object
  kDeadline,    // the time was over; nothing has happened
  kCancelled,   // by its Canceller; nothing has happened
  kUnknown,     // it may or may not have happened, or may still: the deadline passed, it was
                // cancelled, or the daemon or another node went while it was under way
  kLost,        // more nodes failed at once than the set keeps copies: gone, until it is set or
                // removed
  kRevoked,     // the object was held too long while others wanted it: nothing was written
  kNoSpace,     // no room for it on this node, or too many operations at once
  kTooLarge,    // the value is larger than the buffer; or than a T
  kInvalid,     // an argument that cannot be, as 0 bytes or more than kObjectBytesMax; or what this
                // daemon does not offer
  kDenied,      // the set was opened for reading
  kSetRemoved,  // there is no such set any more
  kUnavailable,  // the daemon has gone, or is not in the cluster: nothing has happened
};
const char* SetOutcomeName(SetOutcome outcome);

class CancelState;
class SetHandle;
class SetSession;
class WatchState;
class GuardAccess;

// Ends what waits, from any thread. One may be used for many operations, one after the other or at
// once; once cancelled it stays so.
class Canceller {
 public:
  Canceller();
  ~Canceller();  // nothing that was begun with it runs any more
  Canceller(const Canceller&) = delete;
  Canceller& operator=(const Canceller&) = delete;
  void Cancel();

 private:
  friend class GuardAccess;
  const std::unique_ptr<CancelState> state_;
};

// How long to wait. An operation that finds what it needs here does not look at it.
struct Wait {
  uint64_t timeout_ms = 5000;  // 0: no deadline
  Canceller* canceller = nullptr;
};

// A value to be read: one version of an object, which stays as it was at one moment between call
// and return for as long as the guard lives, whatever others write meanwhile. It holds up nobody.
class ReadGuard {
 public:
  ReadGuard() = default;  // kNotFound
  ReadGuard(ReadGuard&& other) noexcept { Take(other); }
  ReadGuard& operator=(ReadGuard&& other) noexcept {
    if (this != &other) {
      Release();
      Take(other);
    }
    return *this;
  }
  ~ReadGuard() { Release(); }

  // Whether there is a value.
  explicit operator bool() const { return outcome_ == SetOutcome::kOk; }
  SetOutcome outcome() const { return outcome_; }
  // Aligned to 16. To write there ends this program by SIGSEGV, as a rule.
  std::span<const std::byte> data() const { return {data_, bytes_}; }
  // Counts the writes to the object; 0 if it is not known.
  uint64_t version() const { return version_; }
  // Lets go of the value. The guard is as one without.
  void Release() {
    if (owner_ != nullptr) Free();
    owner_ = nullptr;
    data_ = nullptr;
    bytes_ = 0;
    outcome_ = SetOutcome::kNotFound;
  }

 private:
  friend class GuardAccess;
  void Free();
  void Take(ReadGuard& other) {
    owner_ = std::exchange(other.owner_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    slot_ = other.slot_;
    version_ = other.version_;
    outcome_ = std::exchange(other.outcome_, SetOutcome::kNotFound);
  }

  void* owner_ = nullptr;  // whose pin it is; this->data_, if it is a copy of its own
  const std::byte* data_ = nullptr;
  uint32_t bytes_ = 0;
  SetOutcome outcome_ = SetOutcome::kNotFound;
  uint8_t slot_ = 0;
  uint64_t version_ = 0;
};

// The right to write an object, which nobody else in the cluster has meanwhile. Whoever holds it
// for too long while others want it loses it (kRevoked). Without Put(), nothing is written. To
// Get() the same object meanwhile may wait for the guard's end.
class WriteGuard {
 public:
  WriteGuard();  // kInvalid
  WriteGuard(WriteGuard&& other) noexcept;
  WriteGuard& operator=(WriteGuard&& other) noexcept;
  ~WriteGuard();

  // Whether the object is held: between Grab() and Put() or Abort().
  explicit operator bool() const { return outcome_ == SetOutcome::kOk; }
  SetOutcome outcome() const { return outcome_; }
  // False: there is no such object yet; Put() makes it.
  bool exists() const { return exists_; }
  // The value, to be changed; empty if there is none yet.
  std::span<std::byte> data() { return {data_, bytes_}; }
  // 0 bytes up to kObjectBytesMax; new ones are 0. data() may move. kTooLarge: nothing has changed.
  // Beyond 256 bytes the daemon may be asked, for up to 5 s: then also as ObjectSet::Grab(), or
  // kRevoked, and the object is not held any more.
  SetOutcome Resize(size_t bytes);
  // Resize() and a copy in one. `value` is not part of data().
  SetOutcome Assign(std::span<const std::byte> value);
  // Makes data(), at least 1 byte, the object's value, for everybody once this returns, and ends
  // the hold, whatever is returned. kUnknown: it may have been written.
  SetOutcome Put(const Wait& wait = {});
  // Ends the hold; the object is as it was. Does not wait.
  void Abort();

 private:
  friend class GuardAccess;
  struct Hold;
  std::unique_ptr<Hold> hold_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  SetOutcome outcome_ = SetOutcome::kInvalid;
  bool exists_ = false;
};

struct WatchEvent {
  ObjectId object = 0;
  uint64_t version = 0;  // 0: it was removed
  // Any object of the range may have changed, of which `object` is but the first: too many have,
  // or nodes have come and gone.
  bool any = false;
};

// Tells of changes of the objects of a range. What changes often is told once: after an event, the
// object is at least as new as the event says. Nothing is missed between two events, nor between
// Watch() and the first.
// Next() is for one thread at a time.
class Watcher {
 public:
  Watcher(Watcher&&) noexcept;
  Watcher& operator=(Watcher&&) noexcept;
  // A callback that runs ends first, unless it is what destroys the Watcher.
  ~Watcher();

  // Readable (poll(2)) while Next() would not wait. Not for Watchers with a callback.
  int fd() const;
  // The next event: kOk. Waits for it; with `timeout_ms` 0, for as long as it takes.
  SetOutcome Next(WatchEvent* event, const Wait& wait = {.timeout_ms = 0});

 private:
  friend class GuardAccess;
  explicit Watcher(std::shared_ptr<WatchState> state);
  std::shared_ptr<WatchState> state_;
};
// `outcome` other than kOk: it was the last call. Callbacks of a client run one at a time on a
// thread of their own, and may call everything.
using WatchCallback = std::function<void(SetOutcome outcome, const WatchEvent& event)>;

// What a set's objects promise, chosen when it is made.
enum class Durability : uint8_t {
  kVolatile = 0,   // gone with the node that has it
  kReplicas2 = 1,  // so many nodes have each object
  kReplicas3 = 2,
  kLinked = 3,  // a linker keeps the values
};
// Which node keeps track of an object.
enum class Placement : uint8_t {
  kHash = 0,     // all nodes take turns
  kCreator = 1,  // the node that made the set
  kIdBits = 2,   // the node in the upper 16 bits of the object's number
};

struct SetPolicy {
  Durability durability = Durability::kReplicas2;
  Placement placement = Placement::kHash;
  std::string linker = {};  // of a linked set: "memory", "file:PATH" or "procfs" (not to write)
  uint16_t mode = 0600;     // who may, as of chmod(2): r reads objects, w writes and removes them
  // Of all its objects on one node; 0: the node's own limit. A program's writes that would take its
  // node beyond it end with kNoSpace; but copies that other nodes need there are made, and what a
  // program has written over and over may grow to 256 bytes.
  uint64_t quota_bytes = 0;
};

struct SetOptions {
  bool create = false;     // if there is none; else the policy is not looked at
  bool exclusive = false;  // with `create`: there must be none (kExists)
  bool write = true;       // also to write; else only to read
  SetPolicy policy = {};
};

struct SetInfo {
  std::string name;
  uint32_t id = 0;
  SetPolicy policy;
  uint32_t uid = 0, gid = 0;  // the owner
  uint16_t creator = 0;       // the node
  // What this node has of it:
  uint64_t objects = 0;   // in any form
  uint64_t readable = 0;  // of these, without asking other nodes
  uint64_t homed = 0;     // of which it keeps track
  uint64_t bytes = 0;
  uint32_t clients = 0;
  std::vector<std::pair<std::string, uint64_t>> counters;
};

// An object for which nodes contend.
struct HotObject {
  std::string set;
  ObjectId object = 0;
  uint16_t home = 0;                // the node that keeps track of it
  double transfers_per_second = 0;  // from writer to writer
  uint32_t waiting = 0;             // requests, now
};

// An open set. A value; copies are the same open set, which is closed with the last of them.
class ObjectSet {
 public:
  // The object's value. O(1); without a system call if this node has it cached.
  ReadGuard Get(ObjectId id, const Wait& wait = {}) const;
  // The same into `to`. *bytes is the object's size, with kTooLarge as well, when nothing is
  // copied.
  SetOutcome Read(ObjectId id, std::span<std::byte> to, size_t* bytes, uint64_t* version = nullptr,
                  const Wait& wait = {}) const;
  // As Get(), but no other node is asked: kNotFound if none can be read here.
  ReadGuard Find(ObjectId id, const Wait& wait = {}) const;
  // Many at once, those not cached with one round trip to the daemon. `visit` runs for each on this
  // thread, in any order, with the place of its id in `ids`; the guard is empty after it.
  // `wait` is for all together. Returns the first outcome that was neither kOk nor kNotFound.
  SetOutcome GetMany(std::span<const ObjectId> ids,
                     const std::function<void(size_t index, ReadGuard& object)>& visit,
                     const Wait& wait = {}) const;
  // Asks for those that are not cached, and does not wait; 96 at a time, each for 5 s at most.
  // Returns how many of `ids`, from the first on, are here or have been asked for.
  size_t Prefetch(std::span<const ObjectId> ids) const;

  // Waits until nobody else holds the object. There may be none yet: see WriteGuard::exists().
  WriteGuard Grab(ObjectId id, const Wait& wait = {}) const;
  // Writes the value, 1 byte to kObjectBytesMax, whatever was there.
  SetOutcome Set(ObjectId id, std::span<const std::byte> value, const Wait& wait = {}) const;
  // The object's value, which is `value` if there was none.
  ReadGuard Touch(ObjectId id, std::span<const std::byte> value, const Wait& wait = {}) const;
  // kNotFound: there was none.
  SetOutcome Remove(ObjectId id, const Wait& wait = {}) const;

  // Of a linked set: returns when what was written to the object outlasts the linker's node.
  SetOutcome Sync(ObjectId id, const Wait& wait = {}) const;
  // Brings the object to a node that is about to use it: a volatile one to be written there without
  // asking others, any other to be read. kUnavailable: there is no such node.
  SetOutcome Migrate(ObjectId id, uint16_t node, const Wait& wait = {}) const;

  // Tells of changes of objects `first` to `last`, both included, that happen after this has
  // returned: by Next() and fd(), or by the callback. Waits until all nodes know that tell of such
  // changes (kUnavailable: they do not in time). The first Watcher of a client starts a thread. At
  // most 128 at once (kNoSpace), each of another range (kInUse). kNotFound: the set has been
  // removed; kInvalidArgument: `first` comes after `last`; kUnsupported: not with this daemon;
  // kSystem.
  Result<Watcher> Watch(ObjectId first, ObjectId last, const Wait& wait = {}) const;
  Result<Watcher> Watch(ObjectId first, ObjectId last, WatchCallback callback,
                        const Wait& wait = {}) const;

  const std::string& name() const;
  const SetPolicy& policy() const;
  bool created() const;  // by this very OpenSet()

 private:
  friend class GuardAccess;
  explicit ObjectSet(std::shared_ptr<SetHandle> handle);
  std::shared_ptr<SetHandle> handle_;
};

struct ClientOptions {
  // The daemon's socket, as `clustix --socket`. Empty: $CLUSTIX_SOCKET, else the first daemon that
  // runs on this machine.
  std::string socket = {};
  // How long the daemon may take to connect, and for each request about sets. 0: the default.
  uint64_t timeout_ms = 5000;
  // How long a thread that waits for the daemon looks out before it sleeps, while cores are idle.
  // 0: it sleeps at once.
  uint32_t spin_us = 50;
};

// This program's session with the daemon. A value; copies are the same session.
class Client {
 public:
  // kNotFound: no daemon runs; kUnavailable: it does not answer; kPermissionDenied; kUnsupported:
  // it is of another version; kNoSpace: it has too many clients; kInvalidArgument: that is no
  // socket; kSystem.
  static Result<Client> Connect(const ClientOptions& options = {});

  // `name` is "namespace/name" or deeper: parts of letters, digits, ".", "-" and "_" with "/"
  // between them. kInvalidArgument, kNotFound, kExists, kPermissionDenied, kNoSpace, kSystem,
  // kUnavailable; kUnknown: it may have been made. Blocks, up to the client's timeout, as all that
  // follow.
  Result<ObjectSet> OpenSet(const std::string& name, const SetOptions& options = {});
  // Removes the set and all its objects, everywhere. Nothing: it is done. kNotFound,
  // kPermissionDenied: it is another user's; kNoSpace, kUnavailable: nothing has happened;
  // kUnknown: it may be removed.
  std::optional<Error> RemoveSet(const std::string& name);
  // Those whose names begin with `prefix`, by name. kUnavailable; kNoSpace: they do not fit into
  // one answer, a longer prefix asks for fewer.
  Result<std::vector<SetInfo>> ListSets(const std::string& prefix = "");
  // kNotFound, kUnavailable.
  Result<SetInfo> StatSet(const std::string& name);
  // Of sets whose names begin with `prefix`, on all nodes. As ListSets().
  Result<std::vector<HotObject>> HotObjects(const std::string& prefix = "");

  uint16_t node() const;  // the one that the daemon is
  // As of Connect().
  const std::vector<uint16_t>& members() const;
  // False: the daemon is gone, and nothing will be had from this session any more. Any thread.
  bool alive() const;

 private:
  explicit Client(std::shared_ptr<SetSession> session);
  std::shared_ptr<SetSession> session_;
};

// The sets whose names begin with "NAME/".
class Namespace {
 public:
  Namespace(Client client, std::string name) : client_(std::move(client)), name_(std::move(name)) {}
  Result<ObjectSet> OpenSet(const std::string& name, const SetOptions& options = {}) {
    return client_.OpenSet(name_ + "/" + name, options);
  }
  std::optional<Error> RemoveSet(const std::string& name) {
    return client_.RemoveSet(name_ + "/" + name);
  }
  Result<std::vector<SetInfo>> ListSets() { return client_.ListSets(name_ + "/"); }
  const std::string& name() const { return name_; }

 private:
  Client client_;
  std::string name_;
};

// A copy of an object as a T; or why there is none.
template <typename T>
struct Value {
  SetOutcome outcome = SetOutcome::kNotFound;
  uint64_t version = 0;
  T value = {};
  explicit operator bool() const { return outcome == SetOutcome::kOk; }
  const T& operator*() const { return value; }
  const T* operator->() const { return &value; }
};

// A set whose objects are values of one type, which all nodes must lay out alike. An object of
// another size answers kTooLarge. Threads as of ObjectSet.
template <typename T>
class TypedSet {
  static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> &&
                    sizeof(T) <= kObjectBytesMax,
                "an object is nothing but its bytes");

 public:
  explicit TypedSet(ObjectSet set) : set_(std::move(set)) {}

  Value<T> Get(ObjectId id, const Wait& wait = {}) const {
    Value<T> result;
    size_t bytes = 0;
    result.outcome = set_.Read(id, std::as_writable_bytes(std::span(&result.value, 1)), &bytes,
                               &result.version, wait);
    if (result && bytes != sizeof(T)) result.outcome = SetOutcome::kTooLarge;
    return result;
  }
  SetOutcome Set(ObjectId id, const T& value, const Wait& wait = {}) const {
    return set_.Set(id, std::as_bytes(std::span(&value, 1)), wait);
  }
  Value<T> Touch(ObjectId id, const T& initial, const Wait& wait = {}) const {
    return FromGuard(set_.Touch(id, std::as_bytes(std::span(&initial, 1)), wait));
  }
  // Grabs the object, lets `change(T&)` change its value, T{} if there is none, and puts it. If
  // `change` returns false, the object stays as it was: kOk, too. What was written comes back.
  // `wait` is for each of both.
  template <typename Change>
  Value<T> Update(ObjectId id, Change&& change, const Wait& wait = {}) const {
    Value<T> result;
    WriteGuard guard = set_.Grab(id, wait);
    result.outcome = guard.outcome();
    if (!guard) return result;
    const std::span<std::byte> data = guard.data();
    if (guard.exists() && data.size() != sizeof(T)) {
      result.outcome = SetOutcome::kTooLarge;
      return result;
    }
    if (guard.exists()) std::memcpy(&result.value, data.data(), sizeof(T));
    if constexpr (std::is_same_v<decltype(change(result.value)), bool>) {
      if (!change(result.value)) return result;
    } else {
      change(result.value);
    }
    result.outcome = guard.Assign(std::as_bytes(std::span(&result.value, 1)));
    if (result) result.outcome = guard.Put(wait);
    return result;
  }
  SetOutcome Remove(ObjectId id, const Wait& wait = {}) const { return set_.Remove(id, wait); }

  const ObjectSet& objects() const { return set_; }

 private:
  static Value<T> FromGuard(const ReadGuard& guard) {
    Value<T> result;
    result.outcome = guard.outcome();
    result.version = guard.version();
    if (!guard) return result;
    if (guard.data().size() != sizeof(T)) {
      result.outcome = SetOutcome::kTooLarge;
    } else {
      std::memcpy(&result.value, guard.data().data(), sizeof(T));
    }
    return result;
  }

  ObjectSet set_;
};

}  // namespace clustix

#endif  // CLUSTIX_SETS_H_
