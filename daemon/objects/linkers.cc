// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/linkers.h"

#include <string>
#include <utility>

#include "daemon/objects/file_window.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"

namespace clustix::daemon {
namespace {

using base::Log;
using base::LogLevel;
using What = kddm::LinkerWork::What;

constexpr const char* kMemory = "memory";
constexpr const char* kFile = "file:";
constexpr const char* kProcesses = "procfs";

}  // namespace

absl::Status CheckLinker(const std::string& linker, kddm::Placement placement) {
  if (linker == kMemory) return absl::OkStatus();
  if (linker == kProcesses) {
    if (placement == kddm::Placement::kIdBits) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "a process is on one node: a set that is linked to procfs is placed by id bits");
  }
  if (!linker.starts_with(kFile)) {
    return absl::InvalidArgumentError(
        "unknown linker: expected \"memory\", \"file:PATH\" or \"procfs\"");
  }
  if (linker.substr(std::string(kFile).size()).rfind('/', 0) != 0) {
    return absl::InvalidArgumentError("a file to link needs an absolute path: file:/...");
  }
  if (placement == kddm::Placement::kCreator) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a file is on one node: a set that is linked to it is placed at its creator");
}

bool IsReadOnly(const std::string& linker) { return linker == kProcesses; }

Linkers::Linkers(NodeId self, io::Loop& loop, WorkerPool& workers, SetTable& table,
                 ProcessWindow processes, Done done, TakeBack take_back)
    : self_(self),
      loop_(loop),
      workers_(workers),
      table_(table),
      processes_(processes),
      done_(std::move(done)),
      take_back_(std::move(take_back)) {}

Linkers::~Linkers() { *alive_ = false; }

void Linkers::Do(const kddm::LinkerWork& work) {
  Set& set = sets_[work.key.set];
  if (!set.known) {
    set.waiting.push_back(work);
    return AskFor(work.key.set);
  }
  if (set.processes) return DoInProcesses(work);
  set.file == nullptr ? DoInMemory(work) : DoInFile(set.file, work);
}

// The answer may come at once.
void Linkers::AskFor(kddm::SetId id) {
  if (std::exchange(sets_[id].asked, true)) return;
  table_.FindById(
      id, [this, id](const absl::StatusOr<SetDefinition>& definition) { Learn(id, definition); });
}

void Linkers::Learn(kddm::SetId id, const absl::StatusOr<SetDefinition>& definition) {
  const auto found = sets_.find(id);
  if (found == sets_.end()) return;
  const std::vector<kddm::LinkerWork> waiting = std::move(found->second.waiting);
  const std::vector<kddm::ObjectKey> copies = std::move(found->second.copies);
  if (!definition.ok()) {
    sets_.erase(found);
    for (const kddm::LinkerWork& work : waiting) Finish(work, definition.status(), nullptr);
    if (absl::IsNotFound(definition.status()) || copies.empty()) return;
    loop_.RunAt(loop_.Now() + kProcessFreshMs * kNsPerMs, [this, id, copies, alive = alive_] {
      if (*alive) TakeBackIfProcesses(id, copies);
    });
    return;
  }
  found->second.known = true;
  const std::string& linker = definition->linker;
  found->second.processes = linker == kProcesses;
  if (linker.starts_with(kFile)) {
    found->second.file =
        std::make_shared<FileWindow>(linker.substr(std::string(kFile).size()), definition->uid,
                                     definition->gid, kFileObjectBytes);
  }
  for (const kddm::LinkerWork& work : waiting) Do(work);
  TakeBackIfProcesses(id, copies);
}

void Linkers::OnViewChange(const kddm::ObjectTable<kddm::Copy>& copies) {
  std::map<kddm::SetId, std::vector<kddm::ObjectKey>> suspects;
  copies.Walk([&](uint32_t slot) {
    const kddm::ObjectKey& key = copies.at(slot).key;
    const bool by_id_bits = kddm::PlacementOf(key.set) == kddm::Placement::kIdBits;
    if (kddm::IsLinked(key.set) && by_id_bits) suspects[key.set].push_back(key);
  });
  for (const auto& [id, keys] : suspects) TakeBackIfProcesses(id, keys);
}

void Linkers::TakeBackIfProcesses(kddm::SetId id, const std::vector<kddm::ObjectKey>& copies) {
  if (copies.empty()) return;
  Set& set = sets_[id];
  if (!set.known) {
    set.copies.insert(set.copies.end(), copies.begin(), copies.end());
    return AskFor(id);
  }
  if (!set.processes) return;
  for (const kddm::ObjectKey& key : copies) take_back_(key);
}

void Linkers::DoInMemory(const kddm::LinkerWork& work) {
  kddm::Data data;
  switch (work.what) {
    case What::kImport:
      if (const Value* value = memory_.Find(work.key)) data = value->data;
      break;
    case What::kExport:
      memory_.at(memory_.Insert(work.key)).data = work.data;
      break;
    case What::kRemove:
      memory_.Erase(work.key);
      break;
    case What::kSync:
      break;  // it is where it stays
  }
  Finish(work, absl::OkStatus(), data);
}

void Linkers::DoInFile(const std::shared_ptr<FileWindow>& file, const kddm::LinkerWork& work) {
  if (kddm::CreatorOf(work.key.set) != self_) {
    return Finish(work, absl::UnavailableError("the node that has the file is away"), nullptr);
  }
  const bool taken = workers_.Submit([this, file, work, alive = alive_, &loop = loop_] {
    absl::Status status;
    kddm::Data data;
    if (work.what == What::kImport) {
      absl::StatusOr<kddm::Data> read = file->Read(work.key.object);
      status = read.status();
      if (read.ok()) data = *std::move(read);
    } else if (work.what == What::kExport) {
      status = file->Write(work.key.object, work.data);
    } else if (work.what == What::kSync) {
      status = file->Sync();
    } else {
      status = file->Remove(work.key.object);
    }
    loop.Post([this, work, status = std::move(status), data, alive] {
      if (*alive) Finish(work, status, data);
    });
  });
  if (!taken)
    Finish(work, absl::ResourceExhaustedError("too much work for files at once"), nullptr);
}

void Linkers::DoInProcesses(const kddm::LinkerWork& work) {
  if (work.what == What::kExport) {
    return Finish(work, absl::PermissionDeniedError("processes are not written"), nullptr);
  }
  if (work.what == What::kSync) return Finish(work, absl::OkStatus(), nullptr);
  if (work.what == What::kRemove) {
    // Taken back: whatever there is now is imported when somebody asks.
    static const kddm::Data kAskAgain = std::make_shared<const std::vector<std::byte>>();
    NeverExpire(work.key);
    return Finish(work, absl::OkStatus(), kAskAgain);
  }
  const uint64_t stale_at = loop_.Now() + kProcessFreshMs * kNsPerMs;
  const bool taken = workers_.Submit([this, work, stale_at, alive = alive_, &loop = loop_] {
    absl::StatusOr<kddm::Data> read = processes_.Read(work.key.object);
    loop.Post([this, work, read = std::move(read), stale_at, alive] {
      if (!*alive) return;
      if (read.ok() && *read != nullptr) ExpireAt(stale_at, work.key);
      Finish(work, read.status(), read.ok() ? *read : nullptr);
    });
  });
  if (!taken) {
    Finish(work, absl::ResourceExhaustedError("too many processes are asked for at once"), nullptr);
  }
}

void Linkers::ExpireAt(uint64_t stale_at, const kddm::ObjectKey& key) {
  Expiry& expiry = expiries_.at(expiries_.Insert(key));
  loop_.Cancel(expiry.timer);
  expiry.timer = loop_.RunAt(stale_at, [this, key, alive = alive_] {
    if (!*alive) return;
    NeverExpire(key);
    if (sets_.contains(key.set)) take_back_(key);  // else the set is gone
  });
}

// A removal of what is not there has it imported first: that is not to be removed in its turn.
void Linkers::NeverExpire(const kddm::ObjectKey& key) {
  const Expiry* expiry = expiries_.Find(key);
  if (expiry == nullptr) return;
  loop_.Cancel(expiry->timer);
  expiries_.Erase(key);
}

void Linkers::Finish(const kddm::LinkerWork& work, const absl::Status& status,
                     const kddm::Data& data) {
  if (!status.ok()) {
    ++failures_;
    // Whatever programs ask for.
    if (const auto more = log_limiter_.Admit(std::to_string(work.key.set), loop_.Now())) {
      Log(LogLevel::kWarning, "objects", "a linker has failed",
          {{"set", work.key.set}, {"object", work.key.object}, {"error", status}, {"more", *more}});
    }
  }
  done_(work, status.ok(), data);
}

void Linkers::Forget(kddm::SetId set) {
  sets_.erase(set);
  memory_.Walk([&](uint32_t slot) {
    const kddm::ObjectKey key = memory_.at(slot).key;
    if (key.set == set) memory_.Erase(key);
  });
}

}  // namespace clustix::daemon
