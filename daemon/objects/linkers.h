// SPDX-License-Identifier: Apache-2.0
//
// What stands behind the objects of linked sets, at the node where they are at home:
//
//   memory     The node's memory: what is committed stays there, whatever else happens to it.
//   file:PATH  A file of the node that made the set, where all its objects are at home: object n is
//              the bytes from n * kFileObjectBytes on. A shorter value is filled up with zeros, a
//              removed one becomes a hole, and beyond the file's end there are no objects. The file
//              is opened with the rights of who made the set.
//
// Files are read and written by workers, everything else belongs to the loop's thread.
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
#include "daemon/objects/set_table.h"
#include "daemon/worker_pool.h"
#include "lib/io/io.h"
#include "lib/kddm/object_table.h"
#include "lib/kddm/outbox.h"

namespace clustix::daemon {

inline constexpr size_t kFileObjectBytes = 4096;

// Whether there is such a linker, and it goes with the placement.
absl::Status CheckLinker(const std::string& linker, kddm::Placement placement);

class FileWindow;

class Linkers {
 public:
  // What has come of a work; see kddm::Engine::LinkerDone.
  using Done = std::function<void(const kddm::LinkerWork&, bool ok, const kddm::Data& data)>;

  // All must outlive it; `workers` is stopped before it goes.
  Linkers(io::Loop& loop, WorkerPool& workers, SetTable& table, Done done);
  ~Linkers();
  void Do(const kddm::LinkerWork& work);
  // The set is removed.
  void Forget(kddm::SetId set);

  uint64_t failures() const { return failures_; }

 private:
  struct Value {
    kddm::ObjectKey key;
    kddm::Data data;
  };
  struct Set {
    bool known = false;  // else its definition is on the way, and works wait
    std::vector<kddm::LinkerWork> waiting;
    std::shared_ptr<FileWindow> file;  // nullptr: memory
  };

  void Learn(kddm::SetId id, const absl::StatusOr<SetDefinition>& definition);
  void DoInMemory(const kddm::LinkerWork& work);
  void DoInFile(const std::shared_ptr<FileWindow>& file, const kddm::LinkerWork& work);
  void Finish(const kddm::LinkerWork& work, const absl::Status& status, const kddm::Data& data);

  io::Loop& loop_;
  WorkerPool& workers_;
  SetTable& table_;
  const Done done_;
  std::map<kddm::SetId, Set> sets_;
  kddm::ObjectTable<Value> memory_;
  uint64_t failures_ = 0;
  // What workers post may come after this is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_LINKERS_H_
