// SPDX-License-Identifier: Apache-2.0
//
// What stands behind the objects of linked sets, at the node where they are at home:
//
//   memory     The node's memory: what is committed stays there, whatever else happens to it.
//   file:PATH  A file of the node that made the set, where all its objects are at home: object n is
//              the bytes from n * kFileObjectBytes on. A shorter value is filled up with zeros, a
//              removed one becomes a hole, and beyond the file's end there are no objects. The file
//              is opened with the rights of who made the set. While that node is not in the view,
//              its objects are at home elsewhere, where the file is another one: nothing is read or
//              written.
//   procfs     The processes of all nodes, each at home on its own: see ProcessWindow. They are not
//              written. What was read of a process is taken back from all nodes kProcessFreshMs
//              later, and who asks then has it read again. A daemon that has ended takes nothing
//              back: at each change of the view, all do that with the copies that they have.
//
// Files and processes are read and written by workers, everything else belongs to the loop's
// thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_LINKERS_H_
#define CLUSTIX_DAEMON_OBJECTS_LINKERS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "daemon/objects/process_window.h"
#include "daemon/objects/set_table.h"
#include "daemon/worker_pool.h"
#include "lib/base/log_limiter.h"
#include "lib/io/io.h"
#include "lib/kddm/copy.h"
#include "lib/kddm/object_table.h"
#include "lib/kddm/outbox.h"

namespace clustix::daemon {

inline constexpr size_t kFileObjectBytes = 4096;
inline constexpr uint64_t kProcessFreshMs = 1000;

// Whether there is such a linker, and it goes with the placement.
absl::Status CheckLinker(const std::string& linker, kddm::Placement placement);
// Nobody may write the objects of a set with this linker.
bool IsReadOnly(const std::string& linker);

class FileWindow;

class Linkers {
 public:
  // What has come of a work; see kddm::Engine::LinkerDone.
  using Done = std::function<void(const kddm::LinkerWork&, bool ok, const kddm::Data& data)>;

  // Takes the object from all nodes, by removing it: another import is to follow.
  using TakeBack = std::function<void(const kddm::ObjectKey&)>;

  // On the node `self`. All must outlive it; `workers` is stopped before it goes.
  Linkers(NodeId self, io::Loop& loop, WorkerPool& workers, SetTable& table,
          ProcessWindow processes, Done done, TakeBack take_back);
  ~Linkers();
  void Do(const kddm::LinkerWork& work);
  // A view has begun to hold; `copies` are what this node has.
  void OnViewChange(const kddm::ObjectTable<kddm::Copy>& copies);
  // The set is removed.
  void Forget(kddm::SetId set);

  uint64_t failures() const { return failures_; }

 private:
  struct Value {
    kddm::ObjectKey key;
    kddm::Data data;
  };
  struct Expiry {
    kddm::ObjectKey key;
    io::TimerId timer = 0;
  };
  struct Set {
    bool known = false;  // else its definition is on the way, and works wait
    bool asked = false;
    std::vector<kddm::LinkerWork> waiting;
    std::vector<kddm::ObjectKey> copies;  // to be taken back should they turn out to be processes
    std::shared_ptr<FileWindow> file;
    bool processes = false;  // neither: memory
  };

  void AskFor(kddm::SetId id);
  void Learn(kddm::SetId id, const absl::StatusOr<SetDefinition>& definition);
  void DoInMemory(const kddm::LinkerWork& work);
  void DoInFile(const std::shared_ptr<FileWindow>& file, const kddm::LinkerWork& work);
  void DoInProcesses(const kddm::LinkerWork& work);
  void ExpireAt(uint64_t stale_at, const kddm::ObjectKey& key);
  void NeverExpire(const kddm::ObjectKey& key);
  void TakeBackIfProcesses(kddm::SetId id, const std::vector<kddm::ObjectKey>& copies);
  void Finish(const kddm::LinkerWork& work, const absl::Status& status, const kddm::Data& data);

  const NodeId self_;
  io::Loop& loop_;
  WorkerPool& workers_;
  SetTable& table_;
  const ProcessWindow processes_;
  const Done done_;
  const TakeBack take_back_;
  std::map<kddm::SetId, Set> sets_;
  kddm::ObjectTable<Expiry> expiries_;  // of what was read here, and not taken back since
  kddm::ObjectTable<Value> memory_;
  uint64_t failures_ = 0;
  base::LogLimiter log_limiter_;
  // What workers post may come after this is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_LINKERS_H_
