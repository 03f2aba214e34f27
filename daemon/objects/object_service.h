// SPDX-License-Identifier: Apache-2.0
//
// The daemon's object sets as a whole: makes the parts, connects them, renews the lease by which
// programs read the cache, tells all nodes when a set is removed, and takes everything down.
//
// The lease is renewed while this node is in the view and programs are attached. It is what makes
// the programs of a daemon that is stopped stop reading. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_OBJECT_SERVICE_H_
#define CLUSTIX_DAEMON_OBJECTS_OBJECT_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "daemon/objects/driver.h"
#include "daemon/objects/linkers.h"
#include "daemon/objects/set_sweeper.h"
#include "daemon/objects/set_table.h"
#include "daemon/objects/sets_service.h"
#include "daemon/objects/shared_store.h"
#include "daemon/worker_pool.h"
#include "lib/cache/host.h"
#include "lib/io/uring_io.h"
#include "lib/member/view.h"

namespace clustix::daemon {

class ObjectService {
 public:
  struct Options {
    std::string socket_path;
    std::vector<NodeId> nodes;  // all that are configured
    member::Life life = 0;      // of this daemon
    uint64_t memory_bytes = 0;  // of values on this node
    uint64_t max_hold_ms = Driver::Options().max_hold_ms;
    const procview::ProcReader* processes = nullptr;  // that sets show; nullptr: none
  };
  static constexpr uint64_t kLeaseMs = 400;
  static constexpr uint64_t kRenewMs = 100;

  // Both must outlive it, but see Stop().
  static absl::StatusOr<std::unique_ptr<ObjectService>> Start(io::UringIo& io, Messenger& messenger,
                                                              const Options& options);
  ~ObjectService();
  // Ends everything that programs do and closes their connections; `closed` runs on the loop when
  // the last is. From then on the messenger may go.
  void Stop(std::function<void()> closed);
  void OnPeerEvent(NodeId peer, PeerEvent event) { driver_.OnPeerEvent(peer, event); }

  // For the daemon's own services.
  Driver& driver() { return driver_; }
  SetTable& table() { return table_; }
  // The cache itself, for who looks after its memory.
  cache::Host& host() { return *host_; }

  // How it stands, in words, and in numbers.
  uint32_t epoch() const { return driver_.view().epoch(); }
  std::string Explain() const;
  std::vector<std::pair<std::string, uint64_t>> Counters() const;

 private:
  ObjectService(io::UringIo& io, Messenger& messenger, std::unique_ptr<cache::Host> host,
                const Options& options);
  void RenewLease();
  void OnRemoved(const SetDefinition& set);
  void ForgetSet(kddm::SetId set);

  io::UringIo& io_;
  Messenger* messenger_;  // nullptr: stopped
  const std::unique_ptr<cache::Host> host_;
  WorkerPool workers_;
  SharedStore store_;
  Driver driver_;
  LoanBook loans_;
  HotSurvey hot_;
  SetTable table_;
  Linkers linkers_;
  SetSweeper sweeper_;
  std::unique_ptr<SetsService> sets_;
  size_t programs_ = 0;
  io::TimerId lease_timer_ = 0;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_OBJECT_SERVICE_H_
