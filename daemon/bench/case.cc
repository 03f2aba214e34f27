// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/case.h"

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::bench {

std::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kSync:
      return "sync";
    case Mode::kAsync:
      return "async";
    case Mode::kOneway:
      return "oneway";
  }
  return "";
}

std::optional<Mode> ParseMode(std::string_view name) {
  for (Mode mode : {Mode::kSync, Mode::kAsync, Mode::kOneway}) {
    if (ModeName(mode) == name) return mode;
  }
  return std::nullopt;
}

std::string SizeName(size_t size_bytes) {
  constexpr size_t kMebi = size_t{1} << 20;
  constexpr size_t kKibi = size_t{1} << 10;
  if (size_bytes >= kMebi && size_bytes % kMebi == 0) {
    return absl::StrCat(size_bytes / kMebi, " MiB");
  }
  if (size_bytes >= kKibi && size_bytes % kKibi == 0) {
    return absl::StrCat(size_bytes / kKibi, " KiB");
  }
  return absl::StrCat(size_bytes, " B");
}

std::string CaseTitle(const Case& c) {
  std::string title = absl::StrCat(base::ToAbsl(ModeName(c.mode)), ", ", SizeName(c.size_bytes));
  if (c.mode == Mode::kAsync) absl::StrAppend(&title, ", ", c.window, " outstanding");
  return title;
}

}  // namespace clustix::bench
