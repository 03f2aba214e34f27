// SPDX-License-Identifier: Apache-2.0
//
// Files of counters, which are summed up over the nodes. Pure functions, from any thread; private
// to the layer, behind asked_files.h.
#ifndef CLUSTIX_LIB_PROCVIEW_COUNTER_FILES_H_
#define CLUSTIX_LIB_PROCVIEW_COUNTER_FILES_H_

#include <span>
#include <string>

#include "lib/procview/asked_files.h"

namespace clustix::procview {

// AskedRule::kSum. Of nodes with other numbers of columns than the first nothing is added. A sum
// that does not fit 63 bits stays there: file-max is mostly the largest number there is.
std::string SumColumns(std::span<const NodeCopy> copies, uint32_t kept);
// kLineSums, kPairSums and kHeadedSums: by their names, so that kernels of different versions may
// differ in them; a name keeps the place where it was seen first.
std::string SumLines(std::span<const NodeCopy> copies);
std::string SumPairs(std::span<const NodeCopy> copies);
std::string SumHeaded(std::span<const NodeCopy> copies);
// kCpuColumns: the processors numbered through as in /proc/stat. A row that is a number (an
// interrupt, which means another on another node) gets the node's id in front, "2.17:"; the others
// are shared.
std::string JoinCpuColumns(std::span<const NodeCopy> copies);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_COUNTER_FILES_H_
