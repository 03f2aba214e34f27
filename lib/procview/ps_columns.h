// SPDX-License-Identifier: Apache-2.0
//
// The columns of `clustix ps`: names as in ps(1), how each is written and what it sorts by. Pure;
// private to the layer.
#ifndef CLUSTIX_LIB_PROCVIEW_PS_COLUMNS_H_
#define CLUSTIX_LIB_PROCVIEW_PS_COLUMNS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/procview/ps_row.h"

namespace clustix::procview {

// What a cell needs beside its row.
struct PsContext {
  std::function<std::string(uint32_t)> user_name, group_name;
  int64_t now_s = 0;
};

using SortValue = std::variant<double, std::string>;

struct PsColumn {
  std::vector<std::string_view> names;  // the first is the one that error messages list
  const char* header;
  bool right_aligned;
  std::string (*cell)(const PsRow&, const PsContext&);
  SortValue (*sort_value)(const PsRow&, const PsContext&);
};

// nullptr if there is none of this name.
const PsColumn* FindPsColumn(std::string_view name);

// "args, cls, comm, ...": for error messages.
std::string PsColumnNames();

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PS_COLUMNS_H_
