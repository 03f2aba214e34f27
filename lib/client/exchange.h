// SPDX-License-Identifier: Apache-2.0
//
// The requests of all threads of this program on the one ring of its region. Any thread.
//
// Whoever waits first collects the replies for all; the others sleep until their own is there.
// Who collects and has all that it waits for hands over to another one that waits. So no thread is
// kept for it, and a single thread that asks has its answer without another being woken.
//
// Each request has a deadline of its own. What the daemon does not end by itself in time is
// cancelled, and, if even that stays unanswered for kSilenceNs, given up: its place stays taken
// until the reply has come, and what a late reply grants is given back.
#ifndef CLUSTIX_LIB_CLIENT_EXCHANGE_H_
#define CLUSTIX_LIB_CLIENT_EXCHANGE_H_

#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "clustix/sets.h"
#include "lib/base/mutex.h"
#include "lib/cache/client_region.h"
#include "lib/client/patience.h"
#include "lib/client/set_requests.h"

namespace clustix::client {

// How long a daemon that lives takes at most to answer that a request is cancelled.
inline constexpr uint64_t kSilenceNs = 2'000'000'000;
// Requests that may wait for others; the rest of the ring is for those that end such waiting.
inline constexpr size_t kWaitingMax = cache::kRingSlots - 64;
// Of these, those that nobody waits for: what is prefetched in vain leaves room for the rest.
inline constexpr size_t kPostedMax = kWaitingMax / 2;

class Exchange;

// A part of the staging area, given back at its end.
class Staged {
 public:
  Staged() = default;
  Staged(Exchange* exchange, uint32_t offset, uint32_t bytes)
      : exchange_(exchange), offset_(offset), bytes_(bytes) {}
  Staged(Staged&& other) noexcept { *this = std::move(other); }
  Staged& operator=(Staged&& other) noexcept {
    std::swap(exchange_, other.exchange_);
    std::swap(offset_, other.offset_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Staged();

  uint32_t offset() const { return offset_; }
  uint32_t bytes() const { return bytes_; }
  std::byte* data() const;
  explicit operator bool() const { return exchange_ != nullptr; }

 private:
  friend class Exchange;
  Exchange* exchange_ = nullptr;
  uint32_t offset_ = 0, bytes_ = 0;
};

// A request, and how it ended.
struct Call {
  SetRequestKind kind;
  uint32_t set = 0;
  uint64_t object = 0;
  uint64_t object_version = 0;
  uint64_t argument = 0;
  Staged staged = {};         // what it brings, and room for the reply
  uint32_t staged_bytes = 0;  // of that, what belongs to the request

  bool asked = false;  // false: the daemon has never heard of it
  SetOutcome outcome = SetOutcome::kUnavailable;
  cache::Reply reply = {};
};

// Of RunMany(). Many enough that the daemon never waits for more, and few enough to leave others
// room.
inline constexpr size_t kWindow = 160;

// What one thread waits for.
struct Batch;
class Cancelling;
class Window;

class Exchange {
 public:
  // `region` must live longer.
  explicit Exchange(cache::ClientRegion* region);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Asks, and waits for the answer.
  void Run(Call& call, const Patience& patience);
  // The same for `count` calls, of which kWindow are under way at a time: while the answers to some
  // arrive, others are asked. `make` has the call of a number, which brings nothing and has time;
  // `ended` is called with each, once, in the order of the answers, without a lock: it may use all
  // of this.
  void RunMany(size_t count, absl::FunctionRef<Call(size_t)> make,
               absl::FunctionRef<void(size_t, Call&)> ended, const Patience& patience);
  // Asks, and waits for no answer. How many, from the first on, there was room for at once. A call
  // that waits for others brings its limit in `argument`.
  size_t Post(std::span<const Call> calls);
  // If a kGet of the object was posted, waits for its end. How it ends tells nothing, for that may
  // have been before the caller began. False: there was none.
  bool AwaitPosted(uint32_t set, uint64_t object, const Patience& patience);
  // The same for what others wait for: waits for room, for a moment.
  void Release(uint32_t set, uint64_t object, uint64_t hold);

  // Room for `bytes` in the staging area, for a request of this kind; waits for it. Some is for
  // puts alone, for which those may wait who have all the rest.
  SetOutcome Stage(SetRequestKind kind, uint32_t bytes, const Patience& patience, Staged* staged);

  // Watches. Waits for a place, and sets it aside: however much waits, the next call can begin when
  // one has ended.
  SetOutcome SetAside(const Patience& patience);
  // Asks, in a place that was set aside. `done` gets the call when it has ended, on the thread of
  // CollectForOthers(), which must run. Its cookie; 0: nobody is there to ask.
  uint64_t Begin(const Call& call, std::function<void(const Call&)> done);
  // Gives the place up, and the last call of Begin() in it; 0: there was none. False: `done` runs
  // or has run.
  bool Forget(uint64_t cookie);
  // Collects whenever nobody else does, and runs the `done`s, until Close().
  void CollectForOthers();

  // Ends all calls; new ones fail. Any number of times.
  void Close();
  bool alive() const { return alive_.load(std::memory_order_acquire); }
  // False in a child after fork(): ring, socket and bell are its parent's, and a lock may be one
  // that a thread of the parent holds. What ends there only lets go of its memory and descriptors.
  bool IsOfThisProcess() const { return getpid() == process_; }

 private:
  friend class Staged;
  friend struct Batch;
  friend class Cancelling;
  friend class Window;

  // A thread that sleeps while another one collects.
  struct Waiter {
    std::condition_variable_any wake;
    bool for_others = false;
    bool for_room = false;
  };
  // A request that the daemon has, by the lower bits of its cookie.
  struct Pending {
    bool used = false;
    bool posted = false;  // by Post()
    uint64_t cookie = 0;
    SetRequestKind kind = SetRequestKind::kGet;
    uint32_t set = 0;
    uint64_t object = 0;
    uint32_t room = 0;
    Call* call = nullptr;  // nullptr: nobody waits
    Batch* batch = nullptr;
    Staged staged = {};  // while nobody waits
    std::function<void(const Call&)> done = {};
  };

  // Takes the replies that are there.
  void Drain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasPlace(SetRequestKind kind) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayPost(SetRequestKind kind) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Pending* Push(const Call& call, bool more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool PushFor(Batch* batch, Call& call, const Patience& patience, bool more)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AwaitPlace(Batch* batch, SetRequestKind kind, uint64_t until_ns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitEnds(Batch* batch, absl::FunctionRef<bool()> ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits, collecting if nobody else does, until `ready` or until(); both are asked again and
  // again.
  bool AwaitUntil(absl::FunctionRef<bool()> ready, absl::FunctionRef<uint64_t()> until,
                  Waiter* waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Collect(uint64_t until_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Sleep(Waiter* waiter, uint64_t until_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeForRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SomebodyWaits() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Dispatch(const cache::Reply& reply) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Pending& pending, SetOutcome outcome, const cache::Reply& reply)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack(const Pending& pending, const cache::Reply& reply)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CancelBatch(Batch* batch, SetOutcome reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AbandonBatch(Batch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Die() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From a Canceller.
  void Cancel(Batch* batch);
  void Give(uint32_t offset, uint32_t bytes);

  cache::ClientRegion* region_;
  const pid_t process_ = getpid();
  std::atomic<bool> alive_{true};
  // What threads write begins on a line of its own: alive_ stands on the way of each hit.
  alignas(64) std::atomic<int> room_waiters_{0};
  base::Mutex mutex_;
  std::array<Pending, cache::kRingSlots> pending_ ABSL_GUARDED_BY(mutex_);
  size_t used_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t posted_ ABSL_GUARDED_BY(mutex_) = 0;     // of these, those that wait for others
  size_t set_aside_ ABSL_GUARDED_BY(mutex_) = 0;  // places that are free, but for watches alone
  // The places of pending_; from number used_ on, those that are free.
  std::array<uint16_t, cache::kRingSlots> places_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  bool collecting_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  // Calls of Begin() that have ended, with what is to be told of them.
  std::vector<std::pair<std::function<void(const Call&)>, Call>> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_EXCHANGE_H_
