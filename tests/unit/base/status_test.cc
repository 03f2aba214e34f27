// SPDX-License-Identifier: Apache-2.0
#include "lib/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace clustix::base {
namespace {

TEST(Status, Of_an_errno_names_the_context_and_the_reason) {
  const absl::Status status = ErrnoStatus(EACCES, "open cluster.key");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status.message(), "open cluster.key: Permission denied");
  EXPECT_TRUE(ErrnoStatus(0, "fine").ok());
}

TEST(Status, Context_goes_before_the_message_and_leaves_OK_alone) {
  const absl::Status status = WithContext(absl::NotFoundError("no such node"), "config");
  EXPECT_EQ(status, absl::NotFoundError("config: no such node"));
  EXPECT_TRUE(WithContext(absl::OkStatus(), "config").ok());
}

absl::StatusOr<std::unique_ptr<int>> Boxed(int value) {
  if (value < 0) return absl::OutOfRangeError("negative");
  return std::make_unique<int>(value);
}

absl::StatusOr<int> Sum(int a, int b) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> first, Boxed(a));
  ASSIGN_OR_RETURN(const std::unique_ptr<int> second, Boxed(b));
  return *first + *second;
}

absl::Status Check(int a, int b) {
  RETURN_IF_ERROR(Sum(a, 0).status());
  RETURN_IF_ERROR(Sum(0, b).status());
  return absl::OkStatus();
}

TEST(Status, Macros_return_the_first_error) {
  EXPECT_EQ(Sum(1, 2).value(), 3);
  EXPECT_EQ(Sum(1, -2).status(), absl::OutOfRangeError("negative"));
  EXPECT_TRUE(Check(1, 2).ok());
  EXPECT_EQ(Check(1, -2), absl::OutOfRangeError("negative"));
}

TEST(Status, String_views_convert_without_a_copy) {
  const std::string_view text = "text";
  EXPECT_EQ(ToAbsl(text).data(), text.data());
  EXPECT_EQ(ToStd(ToAbsl(text)), text);
}

}  // namespace
}  // namespace clustix::base
