// SPDX-License-Identifier: Apache-2.0
#include "daemon/init_cluster.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include "daemon/address.h"
#include "daemon/file.h"
#include "lib/base/cluster_key.h"
#include "lib/base/hex.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"
#include "lib/session/wire.h"

namespace clustix::daemon {
namespace {

constexpr mode_t kSecretMode = 0600;
constexpr mode_t kConfigDirMode = 0755;

std::string NewKeyText() {
  base::ClusterKey key;
  base::FillRandom(key.data(), key.size());
  return base::HexEncode(key) + "\n";
}

absl::Status AlreadyThere(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat(path, " exists: the nodes that use it would be cut off (--force replaces it)"));
}

absl::Status MakeDirectory(const std::string& directory) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(directory).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return base::ErrnoStatus(error.value(), absl::StrCat("cannot make ", parent.string()));
  if (mkdir(directory.c_str(), kConfigDirMode) == 0 || errno == EEXIST) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("cannot make ", directory));
}

absl::Status Commit(NewFile& file, const std::string& path, bool force) {
  absl::Status status = file.Commit(force);
  return absl::IsAlreadyExists(status) ? AlreadyThere(path) : status;
}

}  // namespace

absl::StatusOr<NodeConfig> ParseNodeOption(std::string_view text) {
  auto wrong = [text](const std::string& why) {
    return absl::InvalidArgumentError(
        absl::StrCat("--node ", base::ToAbsl(text), ": ", why,
                     " (expected ID=ADDRESS or ID=NAME@ADDRESS, for instance 1=10.0.0.1:7400)"));
  };
  size_t equals = text.find('=');
  if (equals == std::string_view::npos) return wrong("no '='");
  NodeConfig node;
  const char* id_end = text.data() + equals;
  auto [stop, error] = std::from_chars(text.data(), id_end, node.id);
  if (error != std::errc() || stop != id_end || node.id < KCCM_NODE_MIN ||
      node.id > KCCM_NODE_MAX) {
    return wrong(absl::StrCat("the id must be ", KCCM_NODE_MIN, " to ", KCCM_NODE_MAX));
  }
  std::string_view rest = text.substr(equals + 1);
  node.name = "node" + std::to_string(node.id);
  if (size_t at = rest.find('@'); at != std::string_view::npos) {
    node.name = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    if (!IsValidName(node.name)) return wrong("the name is not a hostname");
  }
  absl::StatusOr<Address> address = ParseAddress(rest, kDefaultPort);
  if (!address.ok()) return wrong(std::string(base::ToStd(address.status().message())));
  node.address = address->Text();
  return node;
}

std::string RenderConfig(const InitOptions& options, const base::Uuid& uuid) {
  std::string text = absl::StrCat(
      "# The same file, and the key beside it, go to every node of the cluster.\n"
      "[cluster]\n"
      "name = \"",
      options.cluster_name, "\"\nuuid = \"", base::FormatUuid(uuid), "\"\nkey_file = \"",
      kKeyFileName, "\"\n");
  for (const NodeConfig& node : options.nodes) {
    absl::StrAppend(&text, "\n[[node]]\nid = ", node.id, "\nname = \"", node.name,
                    "\"\naddress = \"", node.address, "\"\n");
  }
  return text;
}

absl::StatusOr<std::string> InitCluster(const InitOptions& options) {
  const std::string config_path = options.directory + "/" + kConfigFileName;
  const std::string key_path = options.directory + "/" + kKeyFileName;
  const std::string config_text = RenderConfig(options, base::RandomUuid());
  // What LoadConfig() would refuse must not be written: duplicate ids, a bad name.
  RETURN_IF_ERROR(ParseConfig("these nodes", config_text).status());
  RETURN_IF_ERROR(MakeDirectory(options.directory));
  if (!options.force) {
    for (const std::string& path : {config_path, key_path}) {
      if (access(path.c_str(), F_OK) == 0) return AlreadyThere(path);
    }
  }
  // Everything that can run out of space happens before the first name changes.
  ASSIGN_OR_RETURN(NewFile key, NewFile::Create(key_path, kSecretMode));
  RETURN_IF_ERROR(key.Write(NewKeyText()));
  ASSIGN_OR_RETURN(NewFile config, NewFile::Create(config_path, kSecretMode));
  RETURN_IF_ERROR(config.Write(config_text));

  RETURN_IF_ERROR(Commit(key, key_path, options.force));
  absl::Status committed = Commit(config, config_path, options.force);
  if (!committed.ok()) {
    // A key without its configuration would stand in the way of the next attempt.
    if (!options.force) unlink(key_path.c_str());
    return committed;
  }
  return config_path;
}

}  // namespace clustix::daemon
