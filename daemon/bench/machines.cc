// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/machines.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

// Kernels may have to be downloaded and the module built, all of it beside other work.
constexpr std::chrono::minutes kBootPatience{15};
constexpr std::chrono::minutes kOffPatience{3};

}  // namespace

absl::StatusOr<std::unique_ptr<Machines>> Machines::Boot(const std::vector<BuiltPeer>& peers,
                                                         const MachinesOptions& options) {
  std::unique_ptr<Machines> machines(new Machines);
  machines->script_ = ProgramBeside("bench-machines");
  machines->count_instructions_ = options.count_instructions;
  if (access(machines->script_.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no ", machines->script_,
                     ": --vm wants a build of the source tree, whose tests have the machines"));
  }
  std::string folder = std::filesystem::temp_directory_path() / "clustix-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return base::ErrnoStatus(errno, folder);
  machines->folder_ = folder;
  std::vector<std::string> command = {machines->script_,  "serve",    "--socket",
                                      machines->Socket(), "--kernel", options.kernel};
  if (options.count_instructions) command.push_back("--icount");
  for (const BuiltPeer& peer : peers) command.push_back(peer.program);
  ASSIGN_OR_RETURN(
      machines->script_process_,
      Child::Start(command, {.dies_with_parent = true, .interrupt_fd = options.interrupt_fd}));
  absl::StatusOr<std::string> ready =
      machines->script_process_->ReadLine(cluster::After(kBootPatience));
  if (!ready.ok()) return base::WithContext(ready.status(), "the machines");
  absl::string_view release = *ready;
  if (!absl::ConsumePrefix(&release, "ready ")) {
    return absl::InternalError(absl::StrCat("the machines' script says: ", *ready));
  }
  machines->release_ = std::string(release);
  return machines;
}

Machines::~Machines() {
  script_process_ = nullptr;
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Stage Machines::stage() const {
  const auto on = [this](const char* place) {
    return std::vector<std::string>{script_, "run", "--socket", Socket(), place};
  };
  return {.server = on("2"),
          .client = on("1"),
          .server_address = count_instructions_ ? "10.9.0.2:0" : "10.77.0.2:0",
          .server_node = "2"};
}

absl::Status Machines::Finish() {
  return base::WithContext(script_process_->Finish(cluster::After(kOffPatience)), "the machines");
}

}  // namespace clustix::bench
