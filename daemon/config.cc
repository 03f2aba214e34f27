// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "daemon/address.h"
#include "daemon/file.h"
#include "daemon/spelling.h"
#include "lib/base/status.h"
#include "lib/session/wire.h"

namespace clustix::daemon {
namespace {

constexpr size_t kConfigBytesMax = 1024 * 1024;

std::string At(const std::string& path, const toml::node& node) {
  return absl::StrCat(path, ":", node.source().begin.line);
}

// One table of the file, with the keys that it may have.
class Section {
 public:
  Section(const std::string& path, const std::string& label, const toml::table& table,
          std::vector<std::string_view> known)
      : path_(path), label_(label), table_(table), known_(std::move(known)) {}

  // An error about the value of `key`, which is there.
  absl::Status Wrong(const std::string& key, const std::string& why) const {
    const toml::node* node = table_.get(key);
    return absl::InvalidArgumentError(
        absl::StrCat(At(path_, node ? *node : table_), ": ", label_, " ", key, ": ", why));
  }

  // nullopt: the key is not there.
  absl::StatusOr<std::optional<std::string>> String(const std::string& key,
                                                    const std::string& allowed) {
    return Value<std::string>(key, "a string: " + allowed);
  }
  absl::StatusOr<std::optional<bool>> Bool(const std::string& key) {
    return Value<bool>(key, "true or false");
  }
  absl::StatusOr<std::optional<int64_t>> Integer(const std::string& key, int64_t min, int64_t max) {
    std::string allowed = absl::StrCat("a whole number from ", min, " to ", max);
    ASSIGN_OR_RETURN(std::optional<int64_t> value, Value<int64_t>(key, allowed));
    if (value && (*value < min || *value > max)) {
      return Wrong(key, absl::StrCat(*value, " is out of range: expected ", allowed));
    }
    return value;
  }

  // The same for keys that must be there.
  absl::StatusOr<std::string> RequireString(const std::string& key, const std::string& allowed) {
    ASSIGN_OR_RETURN(std::optional<std::string> value, String(key, allowed));
    if (!value) return Missing(key, "a string: " + allowed);
    return *value;
  }
  absl::StatusOr<int64_t> RequireInteger(const std::string& key, int64_t min, int64_t max) {
    ASSIGN_OR_RETURN(std::optional<int64_t> value, Integer(key, min, max));
    if (!value) return Missing(key, absl::StrCat("a whole number from ", min, " to ", max));
    return *value;
  }

  // Refuses a key that means nothing here. To be asked first: what is missing may only be misspelt.
  absl::Status CheckKeys() const {
    for (auto&& [key, node] : table_) {
      const std::string_view name = key.str();
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      std::string allowed;
      for (std::string_view known : known_) {
        absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", base::ToAbsl(known));
      }
      return absl::InvalidArgumentError(
          absl::StrCat(At(path_, node), ": ", label_, " ", base::ToAbsl(name), ": unknown key",
                       DidYouMean(name, known_), "; allowed here: ", allowed));
    }
    return absl::OkStatus();
  }

 private:
  template <typename T>
  absl::StatusOr<std::optional<T>> Value(const std::string& key, const std::string& allowed) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::optional<T>();
    std::optional<T> value = node->value_exact<T>();
    if (!value) return Wrong(key, "expected " + allowed);
    return value;
  }

  absl::Status Missing(const std::string& key, const std::string& allowed) const {
    return absl::InvalidArgumentError(absl::StrCat(At(path_, table_), ": ", label_, ": the key ",
                                                   key, " is missing: expected ", allowed));
  }

  const std::string& path_;
  const std::string label_;
  const toml::table& table_;
  const std::vector<std::string_view> known_;
};

constexpr const char* kNameForm =
    "1 to 63 letters, digits, '.', '_' or '-', no '.' or '-' first, and not digits alone";

absl::Status ReadCluster(Section section, Config& config) {
  RETURN_IF_ERROR(section.CheckKeys());
  ASSIGN_OR_RETURN(config.cluster_name, section.RequireString("name", kNameForm));
  if (!IsValidName(config.cluster_name)) {
    return section.Wrong("name", absl::StrCat("expected ", kNameForm));
  }
  ASSIGN_OR_RETURN(std::string uuid, section.RequireString("uuid", "as `clustix init` makes it"));
  absl::StatusOr<base::Uuid> parsed = base::ParseUuid(uuid);
  if (!parsed.ok()) {
    return section.Wrong("uuid",
                         "expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, as `clustix init` makes "
                         "it");
  }
  config.cluster_uuid = *parsed;
  ASSIGN_OR_RETURN(std::string key_file,
                   section.RequireString("key_file", "a path, relative to this file"));
  if (key_file.empty()) return section.Wrong("key_file", "expected a path, relative to this file");
  config.key_path = (std::filesystem::path(config.path).parent_path() / key_file).string();
  ASSIGN_OR_RETURN(std::optional<int64_t> tolerance_ms,
                   section.Integer("tolerance_ms", KCCM_TOLERANCE_MIN_MS, KCCM_TOLERANCE_MAX_MS));
  config.tolerance_ms = static_cast<uint32_t>(tolerance_ms.value_or(0));
  return absl::OkStatus();
}

absl::Status ReadNode(Section section, Config& config) {
  RETURN_IF_ERROR(section.CheckKeys());
  NodeConfig node;
  ASSIGN_OR_RETURN(int64_t id, section.RequireInteger("id", KCCM_NODE_MIN, KCCM_NODE_MAX));
  node.id = static_cast<NodeId>(id);
  ASSIGN_OR_RETURN(std::optional<std::string> name, section.String("name", kNameForm));
  node.name = name.value_or("node" + std::to_string(id));
  if (!IsValidName(node.name)) return section.Wrong("name", absl::StrCat("expected ", kNameForm));
  ASSIGN_OR_RETURN(std::string text,
                   section.RequireString("address", "\"IPv4:port\" or \"[IPv6]:port\""));
  absl::StatusOr<Address> address = ParseAddress(text);
  if (!address.ok()) {
    return section.Wrong("address", std::string(base::ToStd(address.status().message())));
  }
  node.address = address->Text();
  for (const NodeConfig& other : config.nodes) {
    auto taken = [&other](const std::string& what) {
      return absl::StrCat(what, " is taken by node ", other.id, " (", other.name,
                          "): expected one of its own for each node");
    };
    if (other.id == node.id) return section.Wrong("id", taken(std::to_string(id)));
    if (other.name == node.name) return section.Wrong("name", taken("\"" + node.name + "\""));
    if (other.address == node.address) return section.Wrong("address", taken(node.address));
  }
  config.nodes.push_back(node);
  return absl::OkStatus();
}

absl::Status ReadDaemon(Section section, Config& config) {
  RETURN_IF_ERROR(section.CheckKeys());
  ASSIGN_OR_RETURN(config.runtime_dir, section.String("runtime_dir", "an absolute path"));
  if (config.runtime_dir && !config.runtime_dir->starts_with('/')) {
    return section.Wrong("runtime_dir", "expected an absolute path");
  }
  ASSIGN_OR_RETURN(std::optional<bool> proc, section.Bool("proc"));
  config.proc = proc.value_or(true);
  constexpr const char* kTransports = "auto, module or user";
  ASSIGN_OR_RETURN(std::optional<std::string> transport, section.String("transport", kTransports));
  if (transport) {
    const std::optional<TransportChoice> parsed = ParseTransportChoice(*transport);
    if (!parsed) return section.Wrong("transport", absl::StrCat("expected ", kTransports));
    config.transport = *parsed;
  }
  constexpr const char* kLevels = "debug, info, warning or error";
  ASSIGN_OR_RETURN(std::optional<std::string> level, section.String("log_level", kLevels));
  if (level) {
    std::optional<base::LogLevel> parsed = base::ParseLogLevel(*level);
    if (!parsed) return section.Wrong("log_level", absl::StrCat("expected ", kLevels));
    config.log_level = *parsed;
  }
  return absl::OkStatus();
}

absl::Status ReadExec(Section section, Config& config) {
  RETURN_IF_ERROR(section.CheckKeys());
  constexpr const char* kAllowed = "all, users (all but root), root or none";
  ASSIGN_OR_RETURN(std::optional<std::string> allow, section.String("allow", kAllowed));
  if (!allow) return absl::OkStatus();
  const std::optional<ExecAllow> parsed = ParseExecAllow(*allow);
  if (!parsed) return section.Wrong("allow", absl::StrCat("expected ", kAllowed));
  config.exec_allow = *parsed;
  return absl::OkStatus();
}

constexpr int64_t kSetsMemoryMibMax = 1 << 20;  // an arena's limit

absl::Status ReadSets(Section section, Config& config) {
  RETURN_IF_ERROR(section.CheckKeys());
  ASSIGN_OR_RETURN(std::optional<int64_t> memory_mib,
                   section.Integer("memory_mib", 1, kSetsMemoryMibMax));
  if (memory_mib) config.sets_memory_mib = static_cast<uint64_t>(*memory_mib);
  return absl::OkStatus();
}

absl::Status ReadNodes(const toml::table& root, Config& config) {
  const toml::node* nodes = root.get("node");
  if (nodes == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.path, ":1: no [[node]]: expected one per node of the cluster"));
  }
  if (!nodes->is_array_of_tables()) {
    return absl::InvalidArgumentError(absl::StrCat(
        At(config.path, *nodes), ": node: expected [[node]], in double brackets, once per node"));
  }
  for (const toml::node& node : *nodes->as_array()) {
    RETURN_IF_ERROR(ReadNode(
        Section(config.path, "[[node]]", *node.as_table(), {"id", "name", "address"}), config));
  }
  std::sort(config.nodes.begin(), config.nodes.end(),
            [](const NodeConfig& a, const NodeConfig& b) { return a.id < b.id; });
  return absl::OkStatus();
}

absl::Status ReadRoot(const toml::table& root, Config& config) {
  for (auto&& [key, node] : root) {
    std::string name(key.str());
    constexpr std::string_view kTables[] = {"cluster", "node", "daemon", "exec", "sets"};
    if (std::find(std::begin(kTables), std::end(kTables), name) == std::end(kTables)) {
      return absl::InvalidArgumentError(
          absl::StrCat(At(config.path, node), ": ", name, ": unknown", DidYouMean(name, kTables),
                       "; allowed here: [cluster], [[node]], [daemon], [exec], [sets]"));
    }
    if (name != "node" && !node.is_table()) {
      return absl::InvalidArgumentError(
          absl::StrCat(At(config.path, node), ": ", name, ": expected a table, [", name, "]"));
    }
  }
  const toml::node* cluster = root.get("cluster");
  if (cluster == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        config.path, ":1: no [cluster]: expected name, uuid and key_file (see: clustix init)"));
  }
  RETURN_IF_ERROR(ReadCluster(Section(config.path, "[cluster]", *cluster->as_table(),
                                      {"name", "uuid", "key_file", "tolerance_ms"}),
                              config));
  RETURN_IF_ERROR(ReadNodes(root, config));
  if (const toml::node* daemon = root.get("daemon")) {
    RETURN_IF_ERROR(ReadDaemon(Section(config.path, "[daemon]", *daemon->as_table(),
                                       {"runtime_dir", "proc", "transport", "log_level"}),
                               config));
  }
  if (const toml::node* exec = root.get("exec")) {
    RETURN_IF_ERROR(ReadExec(Section(config.path, "[exec]", *exec->as_table(), {"allow"}), config));
  }
  if (const toml::node* sets = root.get("sets")) {
    RETURN_IF_ERROR(
        ReadSets(Section(config.path, "[sets]", *sets->as_table(), {"memory_mib"}), config));
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<TransportChoice> ParseTransportChoice(std::string_view text) {
  if (text == "auto") return TransportChoice::kAuto;
  if (text == "module") return TransportChoice::kModule;
  if (text == "user") return TransportChoice::kUser;
  return std::nullopt;
}

std::optional<ExecAllow> ParseExecAllow(std::string_view text) {
  if (text == "all") return ExecAllow::kAll;
  if (text == "users") return ExecAllow::kUsers;
  if (text == "root") return ExecAllow::kRoot;
  if (text == "none") return ExecAllow::kNone;
  return std::nullopt;
}

bool IsValidName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  if (name.front() == '.' || name.front() == '-') return false;
  // Where a node is meant, its name will do, or its number.
  const bool number =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (number) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  absl::StatusOr<std::string> text = ReadWholeFile(path, kConfigBytesMax, Writers::kOwnerAlone);
  if (text.ok()) return ParseConfig(path, *text);
  const char* advice = absl::IsNotFound(text.status()) ? " (clustix init makes one)" : "";
  return absl::Status(
      text.status().code(),
      absl::StrCat("cannot read the configuration: ", text.status().message(), advice));
}

absl::StatusOr<Config> ParseConfig(const std::string& path, std::string_view text) {
  Config config;
  config.path = path;
  try {
    toml::table root = toml::parse(text, path);
    RETURN_IF_ERROR(ReadRoot(root, config));
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ":", error.source().begin.line, ": not TOML: ", base::ToAbsl(error.description())));
  }
  return config;
}

}  // namespace clustix::daemon
