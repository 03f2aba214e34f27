// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/process_status.h"

#include <charconv>
#include <optional>

#include "absl/status/status.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError("malformed /proc/PID/status: " + std::string(what));
}

std::optional<Ids> ParseIds(std::string_view text) {
  Ids ids;
  for (uint32_t* id : {&ids.real, &ids.effective, &ids.saved, &ids.fs}) {
    const auto parsed = ParseNumber<uint32_t>(NextWord(&text));
    if (!parsed) return std::nullopt;
    *id = *parsed;
  }
  return ids;
}

std::optional<uint64_t> ParseHex(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool HoldsPid(std::string_view key) {
  return key == "Tgid" || key == "Ngid" || key == "Pid" || key == "PPid" || key == "TracerPid";
}

}  // namespace

absl::StatusOr<ProcessStatus> ParseProcessStatus(std::string_view text) {
  std::optional<int32_t> pid, tgid;
  std::optional<Ids> uid, gid;
  std::optional<uint64_t> permitted;
  ProcessStatus status;
  while (const auto line = NextLine(&text)) {
    const size_t colon = line->find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line->substr(0, colon);
    std::string_view value = line->substr(colon + 1);
    if (key == "Tgid") tgid = ParseNumber<int32_t>(NextWord(&value));
    if (key == "Pid") pid = ParseNumber<int32_t>(NextWord(&value));
    if (key == "Uid") uid = ParseIds(value);
    if (key == "Gid") gid = ParseIds(value);
    if (key == "CapPrm") permitted = ParseHex(NextWord(&value));
    // Kernel threads and zombies have no Vm lines.
    if (key == "VmLck") status.locked_kb = ParseNumber<uint64_t>(NextWord(&value)).value_or(0);
  }
  if (!pid || !tgid) return Malformed("no Pid or Tgid");
  if (!uid || !gid) return Malformed("no Uid or Gid of four numbers");
  if (!permitted) return Malformed("no CapPrm");
  status.pid = *pid;
  status.tgid = *tgid;
  status.uid = *uid;
  status.gid = *gid;
  status.permitted_capabilities = *permitted;
  return status;
}

absl::StatusOr<std::string> GlobalizeStatus(std::string_view text, uint16_t node) {
  std::string out;
  out.reserve(text.size() + 32);
  while (const auto line = NextLine(&text)) {
    const size_t colon = line->find(':');
    const std::string_view key = line->substr(0, colon);
    if (colon != std::string_view::npos && HoldsPid(key)) {
      std::string_view value = line->substr(colon + 1);
      const auto pid = ParseNumber<int32_t>(NextWord(&value));
      if (!pid) return Malformed(std::string(key) + " is not a number");
      const int32_t gpid = key == "PPid" ? GlobalParent(node, *pid) : GlobalPid(node, *pid);
      out.append(key).append(":\t").append(std::to_string(gpid));
    } else {
      out.append(*line);
    }
    out.push_back('\n');
  }
  return out;
}

}  // namespace clustix::procview
