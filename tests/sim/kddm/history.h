// SPDX-License-Identifier: Apache-2.0
//
// What clients asked of the cluster and were told, and the two judges of it: is every object
// linearizable (Wing and Gong 1993, with Lowe's memory of visited configurations), and is there one
// order of everything that agrees with every client (sequential consistency)? Pure.
#ifndef CLUSTIX_TESTS_SIM_KDDM_HISTORY_H_
#define CLUSTIX_TESTS_SIM_KDDM_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace clustix::sim {

// Values are numbers that are written once only.
using Value = int32_t;
inline constexpr Value kAbsentValue = 0;
inline constexpr Value kLostValue = -1;

inline constexpr uint64_t kNever = UINT64_MAX;

struct Call {
  enum class What : uint8_t {
    kRead,    // saw `seen`
    kWrite,   // wrote `written`, whatever was there
    kUpdate,  // saw `seen` and wrote `written`, in one
    kTouch,   // saw `seen`; if nothing was there, wrote `written` and saw that
    kRemove,
  };
  What what = What::kRead;
  uint32_t client = 0;
  uint32_t object = 0;
  uint64_t invoked = 0;
  uint64_t returned = kNever;  // kNever: it may have happened at any time since, or not at all
  Value seen = kAbsentValue;
  Value written = kAbsentValue;
};

struct Judgement {
  bool ok = true;
  std::string why;
};

// Calls of one object, at most 64. `may_be_lost`: the value may vanish, and then whoever looks is
// told so until somebody writes or removes.
Judgement JudgeLinearizable(const std::vector<Call>& calls, bool may_be_lost);

// Calls of any objects, at most kSequentialCallsMax, none of which was told of a loss. Each
// client's calls in the order of their invocation; a call that never returned happened at any time,
// or not.
inline constexpr size_t kSequentialCallsMax = 20;
Judgement JudgeSequential(const std::vector<Call>& calls);

std::string Describe(const Call& call);

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_HISTORY_H_
