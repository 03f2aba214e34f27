// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/policy.h"

#include "absl/strings/str_cat.h"
#include "daemon/objects/linkers.h"
#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

constexpr uint16_t kModeBits = 0777;
constexpr const char* kSystemNames = "clustix/";
// Under it, each user has his own: jobs/UID.
constexpr const char* kJobNames = "jobs/";

}  // namespace

absl::StatusOr<SetDefinition> ReadPolicy(const std::string& name, proto::SetPolicy::Reader policy,
                                         NodeId self, const SetUser& user) {
  RETURN_IF_ERROR(CheckSetName(name));
  if (name.starts_with(kSystemNames) && user.uid != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("names under ", kSystemNames, " are the system's own"));
  }
  if (name.starts_with(kJobNames) && user.uid != 0 && name != absl::StrCat(kJobNames, user.uid)) {
    return absl::PermissionDeniedError(
        absl::StrCat("of names under ", kJobNames, ", yours is ", kJobNames, user.uid));
  }
  const auto durability = static_cast<uint16_t>(policy.getDurability());
  const auto placement = static_cast<uint16_t>(policy.getPlacement());
  if (durability > static_cast<uint16_t>(kddm::Durability::kLinked) ||
      placement > static_cast<uint16_t>(kddm::Placement::kIdBits)) {
    return absl::InvalidArgumentError("unknown durability or placement");
  }
  SetDefinition set;
  set.name = name;
  set.linker = std::string(policy.getLinker().begin(), policy.getLinker().size());
  const bool linked = durability == static_cast<uint16_t>(kddm::Durability::kLinked);
  if (linked != !set.linker.empty()) {
    return absl::InvalidArgumentError("a linked set has a linker, and no other has one");
  }
  if (linked) RETURN_IF_ERROR(CheckLinker(set.linker, static_cast<kddm::Placement>(placement)));
  if ((policy.getMode() & ~kModeBits) != 0) {
    return absl::InvalidArgumentError("a mode has permission bits only: 0 to 0777");
  }
  set.id = kddm::MakeSetId(static_cast<kddm::Durability>(durability),
                           static_cast<kddm::Placement>(placement), self, 0);
  set.mode = policy.getMode();
  set.quota_bytes = policy.getQuotaBytes();
  set.uid = user.uid;
  set.gid = user.gid;
  return set;
}

void WritePolicy(const SetDefinition& set, proto::SetPolicy::Builder to) {
  to.setDurability(
      static_cast<proto::SetPolicy::Durability>(static_cast<uint16_t>(kddm::DurabilityOf(set.id))));
  to.setPlacement(
      static_cast<proto::SetPolicy::Placement>(static_cast<uint16_t>(kddm::PlacementOf(set.id))));
  to.setLinker(set.linker.c_str());
  to.setMode(set.mode);
  to.setQuotaBytes(set.quota_bytes);
}

}  // namespace clustix::daemon
