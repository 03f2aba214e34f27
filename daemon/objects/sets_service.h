// SPDX-License-Identifier: Apache-2.0
//
// The socket of sets: programs of this machine attach to the object cache here, and open, list and
// remove sets (proto/sets.capnp). Objects themselves they ask for on the ring of their region.
//
// A program can do no harm: it is known by the kernel's word, each user has a limited number of
// connections, requests are bounded, one per connection is in work, and all that a program has goes
// with its connection, or with the process that made it, if a child has the socket still. The
// loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_SETS_SERVICE_H_
#define CLUSTIX_DAEMON_OBJECTS_SETS_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/objects/client_session.h"
#include "daemon/objects/driver.h"
#include "daemon/objects/hot_survey.h"
#include "daemon/objects/set_table.h"
#include "daemon/objects/shared_store.h"
#include "lib/cache/host.h"
#include "lib/io/uring_io.h"
#include "proto/sets.capnp.h"

namespace clustix::daemon {

class SetsConnection;

class SetsService : private io::ListenHandler {
 public:
  static constexpr size_t kConnectionsMax = 2048;
  static constexpr size_t kConnectionsPerUser = 1024;
  // Of all, for root and the daemon's own user alone, whom no other limit concerns.
  static constexpr size_t kConnectionsKept = 64;
  // Programs ask for little; only answers are long.
  static constexpr size_t kRequestBytesMax = 16 * 1024;

  // What it uses; all must outlive it.
  struct Parts {
    io::UringIo& io;
    cache::Host& host;
    Driver& driver;
    SharedStore& store;
    LoanBook& loans;
    HotSurvey& hot;
    SetTable& table;
  };
  struct Hooks {
    // The number of programs that are attached has changed.
    std::function<void(size_t)> attached;
    // The set is gone from the table: all nodes are to forget it.
    std::function<void(const SetDefinition&)> removed;
  };
  struct Counters {
    uint64_t bad_requests = 0;
    uint64_t turned_away = 0;
    uint64_t broken_regions = 0;
  };

  // Whether `uid` may have one more connection, of which it has `of_user`, and all have `of_all`.
  static bool MayConnect(uid_t uid, size_t of_user, size_t of_all);

  // Listens on `socket_path`, which must not exist, and lets everybody connect.
  static absl::StatusOr<std::unique_ptr<SetsService>> Start(const Parts& parts,
                                                            const std::string& socket_path,
                                                            Hooks hooks);
  // When Stop() has reported every connection closed, or the loop turns no more.
  ~SetsService() override;
  // Listens no more, ends all sessions and closes every connection. `closed` runs on the loop when
  // the last of them is.
  void Stop(std::function<void()> closed);

  // The set has been removed: who has it open is told so at its next request.
  void MarkRemoved(kddm::SetId set);

  size_t connections() const { return connections_.size(); }
  size_t sessions() const { return sessions_; }
  const Counters& counters() const { return counters_; }

  // For connections.
  io::Io& io() { return parts_.io; }
  void CountBadRequest() { ++counters_.bad_requests; }
  // Replies through the connection, now or later. kInvalidArgument: it is no request.
  absl::Status Dispatch(SetsConnection& connection, std::span<const std::byte> request);
  void Forget(io::StreamId stream);
  static std::vector<std::byte> Error(const absl::Status& status);

 private:
  SetsService(const Parts& parts, Hooks hooks);

  io::StreamHandler* OnAccept(io::StreamId stream, const std::string& peer_address) override;
  bool HasRoomFor(uid_t uid) const;
  SetsConnection* Find(io::StreamId stream);
  // Replies if the connection is still there.
  void Reply(io::StreamId stream, std::vector<std::byte> message);
  void ReplyError(io::StreamId stream, const absl::Status& status);

  void Attach(SetsConnection& connection);
  void ServeRing(io::StreamId stream);
  void EndSession(SetsConnection& connection);
  void Open(SetsConnection& connection, proto::OpenSet::Reader wanted);
  void Opened(io::StreamId stream, const SetDefinition& set, bool created, bool write);
  void CloseSet(SetsConnection& connection, uint32_t handle);
  void LeaveSet(OpenSet* set);
  void List(SetsConnection& connection, const std::string& prefix);
  void Stat(SetsConnection& connection, const std::string& name);
  void Remove(SetsConnection& connection, const std::string& name);
  void Hot(SetsConnection& connection, const std::string& prefix);
  void TellHot(io::StreamId stream, const SetTable::Sets& sets,
               const std::vector<HotSurvey::Hot>& hot);
  using Homed = std::map<kddm::SetId, uint64_t>;
  Homed CountHomed() const;
  uint64_t DirectoryBytes(uint64_t objects) const;
  void Describe(const SetDefinition& set, const Homed& homed, proto::SetInfo::Builder to) const;
  void ReportIfClosed();

  const Parts parts_;
  const Hooks hooks_;
  io::ListenerId listener_ = 0;
  bool stopped_ = false;
  std::function<void()> closed_;        // empty: nobody asked, or reported
  std::map<uid_t, size_t> watches_of_;  // by user, also of those that have gone
  std::map<io::StreamId, std::unique_ptr<SetsConnection>> connections_;
  std::map<kddm::SetId, std::unique_ptr<OpenSet>> open_sets_;
  size_t sessions_ = 0;
  Counters counters_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_SETS_SERVICE_H_
