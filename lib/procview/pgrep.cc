// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/pgrep.h"

#include <regex.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "lib/procview/ps.h"

namespace clustix::procview {
namespace {

// The pattern, compiled as procps does.
class Pattern {
 public:
  static absl::StatusOr<std::unique_ptr<Pattern>> Compile(const PgrepOptions& options) {
    auto pattern = std::make_unique<Pattern>();
    const std::string text = options.exact ? "^(" + options.pattern + ")$" : options.pattern;
    const int flags = REG_EXTENDED | REG_NOSUB | (options.ignore_case ? REG_ICASE : 0);
    const int error = regcomp(&pattern->compiled_, text.c_str(), flags);
    if (error == 0) {
      pattern->is_compiled_ = true;
      return pattern;
    }
    std::array<char, 256> why;
    regerror(error, &pattern->compiled_, why.data(), why.size());
    return absl::InvalidArgumentError("not a regular expression: " + options.pattern + ": " +
                                      why.data());
  }
  Pattern() = default;
  ~Pattern() {
    if (is_compiled_) regfree(&compiled_);
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  bool Matches(const std::string& text) const {
    return regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_ = {};
  bool is_compiled_ = false;
};

bool IsMeant(const PsRow& row, const Pattern& pattern, const PgrepOptions& options) {
  if (row.gpid == options.caller_gpid) return false;
  const auto& uids = options.uids;
  const bool user =
      uids.empty() || std::find(uids.begin(), uids.end(), row.uid.effective) != uids.end();
  const bool matches = user && pattern.Matches(options.full ? row.args : row.stat.comm);
  return matches != options.invert;
}

bool StartedBefore(const PsRow& a, const PsRow& b) { return a.start_time_s < b.start_time_s; }

}  // namespace

absl::StatusOr<std::vector<PsRow>> Pgrep(const proc::ClusterSnapshot& cluster,
                                         const PgrepOptions& options) {
  const auto pattern = Pattern::Compile(options);
  if (!pattern.ok()) return pattern.status();
  const auto nodes = ChooseNodes(cluster, options.nodes);
  if (!nodes.ok()) return nodes.status();
  std::vector<uint16_t> ids;
  for (const proc::NodeView* node : *nodes) ids.push_back(node->node);
  std::vector<PsRow> rows = MakePsRows(cluster, ids);
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [&](const PsRow& row) { return !IsMeant(row, **pattern, options); }),
             rows.end());
  if (rows.empty() || (!options.newest && !options.oldest)) return rows;
  // Of those that started at once, the newest has the greater pid, and the oldest the smaller.
  const auto chosen =
      options.oldest
          ? std::min_element(rows.begin(), rows.end(), StartedBefore)
          : std::prev(std::max_element(rows.rbegin(), rows.rend(), StartedBefore).base());
  return std::vector<PsRow>{*chosen};
}

}  // namespace clustix::procview
