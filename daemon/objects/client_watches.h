// SPDX-License-Identifier: Apache-2.0
//
// What one program watches: ranges of objects, each with one request that waits for news of it, or
// news that wait for the next request. What is kept is bounded, whatever the program does: so many
// ranges, of each so many objects by name, and beyond that only that anything may have changed.
//
// A range is forgotten when the program cancels its request, closes the handle, or watches too many
// others; who asks for it again is told that anything may have changed. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_CLIENT_WATCHES_H_
#define CLUSTIX_DAEMON_OBJECTS_CLIENT_WATCHES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "daemon/objects/driver.h"
#include "lib/cache/layout.h"
#include "lib/client/set_requests.h"
#include "lib/kddm/limits.h"

namespace clustix::daemon {

class ClientWatches final : public ObjectUser {
 public:
  // Ranges of one program.
  static constexpr size_t kRangesMax = 256;
  // Ranges of all programs of one user: others are left as many.
  static constexpr size_t kOfUserMax = kddm::kWatchesMax / 2;
  // Objects of one range whose changes are kept by name.
  static constexpr size_t kObjectsMax = 64;

  // `driver`, and `of_user`, which counts the ranges of all programs of the user, must outlive it.
  // `answer` sends the reply to a request that Ask() took.
  ClientWatches(Driver& driver, size_t& of_user, std::function<void(const cache::Reply&)> answer)
      : driver_(driver), of_user_(of_user), answer_(std::move(answer)) {}
  ~ClientWatches() override;

  // kOk: the request will be answered, maybe within this call.
  client::SetReplyStatus Ask(uint64_t cookie, uint32_t handle, const kddm::WatchRange& range);
  // Forgets the range whose last request this is, and ends the request if it waits. False: it is
  // none.
  bool Cancel(uint64_t cookie);
  // Ends what was asked by this handle.
  void End(uint32_t handle, client::SetReplyStatus status);

  void OnDone(uint64_t token, const kddm::Completion& completion) override;
  void OnChange(uint64_t token, const kddm::Change& change) override;

 private:
  struct News {
    kddm::Version version = 0;
    bool removed = false;
  };
  struct Range {
    uint32_t handle = 0;
    kddm::WatchRange range = {};
    kddm::OpId watch = 0;
    uint64_t cookie = 0;  // of the last request
    bool waits = false;   // that request does
    bool begun = false;
    bool any = true;  // what may have changed has no names: also when the watch begins
    std::map<kddm::ObjectId, News> changed = {};
    kddm::ObjectId last_told = 0;
  };
  // By token.
  using Ranges = std::map<uint64_t, Range>;

  bool HasPlace();
  void AnswerIfNews(Range& range);
  void Answer(Range& range, client::SetReplyStatus status, uint64_t object, uint64_t version);
  Ranges::iterator Forget(Ranges::iterator range);
  Ranges::iterator Erase(Ranges::iterator range);

  Driver& driver_;
  size_t& of_user_;
  const std::function<void(const cache::Reply&)> answer_;
  Ranges ranges_;
  uint64_t next_token_ = 1;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_CLIENT_WATCHES_H_
