// SPDX-License-Identifier: Apache-2.0
#include "daemon/spelling.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace clustix::daemon {
namespace {

// The optimal string alignment distance (Damerau and Levenshtein's without a second edit of the
// same letters), row by row. O(a * b).
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t wrong = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + wrong});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string_view NearestWord(std::string_view typed, std::span<const std::string_view> known) {
  std::string_view nearest;
  size_t least = std::max<size_t>(1, typed.size() / 3) + 1;
  for (std::string_view word : known) {
    // A difference in length is a lower bound: what was typed may be long, and is then not
    // measured.
    const size_t bound = std::max(word.size(), typed.size()) - std::min(word.size(), typed.size());
    const size_t distance = bound >= least ? bound : Distance(typed, word);
    if (distance >= least) continue;
    least = distance;
    nearest = word;
  }
  return nearest;
}

std::string DidYouMean(std::string_view typed, std::span<const std::string_view> known) {
  const std::string_view nearest = NearestWord(typed, known);
  return nearest.empty() ? "" : "; did you mean " + std::string(nearest) + "?";
}

}  // namespace clustix::daemon
