// SPDX-License-Identifier: Apache-2.0
//
// What a set is: its name, its policy, and who may use it. Plain values; any thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_SET_DEFINITION_H_
#define CLUSTIX_DAEMON_OBJECTS_SET_DEFINITION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/kddm/ids.h"

namespace clustix::daemon {

struct SetDefinition {
  std::string name;
  kddm::SetId id = 0;  // tells durability, placement and creator
  std::string linker;
  uint16_t mode = 0;
  uint64_t quota_bytes = 0;  // 0: the node's own limit
  uid_t uid = 0;
  gid_t gid = 0;
};

// Who asks, as the kernel says (SO_PEERCRED). Supplementary groups are not looked at.
struct SetUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

enum class SetRight : uint8_t { kRead = 4, kWrite = 2 };
// As for a file; root may everything.
bool MayUse(const SetUser& user, const SetDefinition& set, SetRight right);
// Its owner, and root.
bool MayChange(const SetUser& user, const SetDefinition& set);

// kInvalidArgument says what is wrong with it as the name of a set.
absl::Status CheckSetName(std::string_view name);

// A bucket of the table as the value of an object, and back. kInvalidArgument: it is none.
std::vector<std::byte> EncodeSets(const std::vector<SetDefinition>& sets);
absl::StatusOr<std::vector<SetDefinition>> DecodeSets(std::span<const std::byte> bytes);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_SET_DEFINITION_H_
