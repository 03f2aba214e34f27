// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/hidepid.h"

#include <algorithm>

#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

// "36 35 0:5 / /proc rw,nosuid shared:7 - proc proc rw,gid=4,hidepid=invisible": what stands after
// the dash are the type, the source and the options of the file system.
Hidepid ParseLine(std::string_view line) {
  constexpr std::string_view kDash = " - ";
  const size_t dash = line.find(kDash);
  if (dash == std::string_view::npos) return {};
  line.remove_prefix(dash + kDash.size());
  if (NextWord(&line) != "proc") return {};
  NextWord(&line);
  std::string_view options = NextWord(&line);
  Hidepid result;
  while (!options.empty()) {
    const std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(options.size(), option.size() + 1));
    const size_t equals = option.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = option.substr(0, equals), value = option.substr(equals + 1);
    if (name == "gid" && result.seen_by_gid == 0) {
      result.seen_by_gid = ParseNumber<uint32_t>(value).value_or(0);
    }
    if (name != "hidepid") continue;
    result.hides = value != "off" && value != "0";
    if (value == "ptraceable" || value == "4") result.seen_by_gid = UINT32_MAX;
  }
  return result;
}

}  // namespace

Hidepid ParseHidepid(std::string_view mountinfo, uint64_t mount_id) {
  while (const auto line = NextLine(&mountinfo)) {
    std::string_view rest = *line;
    if (ParseNumber<uint64_t>(NextWord(&rest)) == mount_id) return ParseLine(*line);
  }
  return {};
}

}  // namespace clustix::procview
