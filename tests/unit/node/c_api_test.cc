// SPDX-License-Identifier: Apache-2.0
// Runs the tests of the C API, which are C themselves: c_call_test.c and c_misuse_test.c.
#include <gtest/gtest.h>

#include "tests/unit/node/c_cases.h"
#include "tests/unit/node/c_server.h"

extern "C" void report_failure(const char* file, int line, const char* what, const char* why) {
  ADD_FAILURE_AT(file, line) << what << ": " << why;
}

#define RUN_CASE(name) \
  TEST(CApi, name) { ::name(); }
C_CALL_CASES(RUN_CASE)
C_MISUSE_CASES(RUN_CASE)
