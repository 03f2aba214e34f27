// SPDX-License-Identifier: Apache-2.0
//
// Helpers around absl::Status: errno with context, early return, and conversion between the two
// string views, which differ on Debian 12. Functions are pure; any thread.
#ifndef CLUSTIX_LIB_BASE_STATUS_H_
#define CLUSTIX_LIB_BASE_STATUS_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace clustix::base {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

// "<context>: <text of the errno>", with the code that fits the errno. `error` is positive; 0 gives
// OK.
inline absl::Status ErrnoStatus(int error, std::string_view context) {
  return absl::ErrnoToStatus(error, ToAbsl(context));
}

// `status` with "<context>: " before its message; OK stays OK.
inline absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(ToAbsl(context), ": ", status.message()));
}

}  // namespace clustix::base

// Returns from the enclosing function if `expression`, an absl::Status, is not OK.
#define RETURN_IF_ERROR(expression)                                                         \
  do {                                                                                      \
    if (absl::Status return_if_error_status = (expression); !return_if_error_status.ok()) { \
      return return_if_error_status;                                                        \
    }                                                                                       \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F()): the value of an absl::StatusOr, or return with its status.
// A declaration that holds a comma needs brackets or an alias.
#define ASSIGN_OR_RETURN(declaration, expression) \
  CLUSTIX_ASSIGN_OR_RETURN(CLUSTIX_CONCAT(status_or_at_, __LINE__), declaration, expression)
#define CLUSTIX_ASSIGN_OR_RETURN(result, declaration, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) return std::move(result).status();            \
  declaration = *std::move(result)
#define CLUSTIX_CONCAT(a, b) CLUSTIX_CONCAT_EXPANDED(a, b)
#define CLUSTIX_CONCAT_EXPANDED(a, b) a##b

#endif  // CLUSTIX_LIB_BASE_STATUS_H_
