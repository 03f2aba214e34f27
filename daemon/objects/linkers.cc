// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/linkers.h"

#include <utility>

#include "daemon/objects/file_window.h"
#include "lib/base/log.h"
#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

using base::Log;
using base::LogLevel;
using What = kddm::LinkerWork::What;

constexpr const char* kMemory = "memory";
constexpr const char* kFile = "file:";

}  // namespace

absl::Status CheckLinker(const std::string& linker, kddm::Placement placement) {
  if (linker == kMemory) return absl::OkStatus();
  if (!linker.starts_with(kFile)) {
    return absl::InvalidArgumentError("unknown linker: expected \"memory\" or \"file:PATH\"");
  }
  if (linker.substr(std::string(kFile).size()).rfind('/', 0) != 0) {
    return absl::InvalidArgumentError("a file to link needs an absolute path: file:/...");
  }
  if (placement == kddm::Placement::kCreator) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a file is on one node: a set that is linked to it is placed at its creator");
}

Linkers::Linkers(io::Loop& loop, WorkerPool& workers, SetTable& table, Done done)
    : loop_(loop), workers_(workers), table_(table), done_(std::move(done)) {}

Linkers::~Linkers() { *alive_ = false; }

void Linkers::Do(const kddm::LinkerWork& work) {
  const auto [found, fresh] = sets_.try_emplace(work.key.set);
  Set& set = found->second;
  if (!set.known) {
    set.waiting.push_back(work);
    if (!fresh) return;
    table_.FindById(work.key.set,
                    [this, id = work.key.set](const absl::StatusOr<SetDefinition>& definition) {
                      Learn(id, definition);
                    });
    return;
  }
  set.file == nullptr ? DoInMemory(work) : DoInFile(set.file, work);
}

void Linkers::Learn(kddm::SetId id, const absl::StatusOr<SetDefinition>& definition) {
  const auto found = sets_.find(id);
  if (found == sets_.end()) return;
  const std::vector<kddm::LinkerWork> waiting = std::move(found->second.waiting);
  if (!definition.ok()) {
    sets_.erase(found);
    for (const kddm::LinkerWork& work : waiting) Finish(work, definition.status(), nullptr);
    return;
  }
  found->second.known = true;
  const std::string& linker = definition->linker;
  if (linker.starts_with(kFile)) {
    found->second.file =
        std::make_shared<FileWindow>(linker.substr(std::string(kFile).size()), definition->uid,
                                     definition->gid, kFileObjectBytes);
  }
  for (const kddm::LinkerWork& work : waiting) Do(work);
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
    loop.Post([this, work, status, data, alive] {
      if (*alive) Finish(work, status, data);
    });
  });
  if (!taken)
    Finish(work, absl::ResourceExhaustedError("too much work for files at once"), nullptr);
}

void Linkers::Finish(const kddm::LinkerWork& work, const absl::Status& status,
                     const kddm::Data& data) {
  if (!status.ok()) {
    ++failures_;
    Log(LogLevel::kWarning, "objects", "a linker has failed",
        {{"set", work.key.set}, {"object", work.key.object}, {"error", status}});
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
