// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/set_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace clustix::web {

using nlohmann::ordered_json;

std::string DurabilityText(const SetPolicy& policy) {
  switch (policy.durability) {
    case Durability::kVolatile:
      return "volatile";
    case Durability::kReplicas2:
      return "replicas=2";
    case Durability::kReplicas3:
      return "replicas=3";
    case Durability::kLinked:
      return "linked=" + policy.linker;
  }
  return "?";
}

std::string PlacementText(Placement placement) {
  switch (placement) {
    case Placement::kHash:
      return "hash";
    case Placement::kCreator:
      return "creator";
    case Placement::kIdBits:
      return "id-bits";
  }
  return "?";
}

std::string ModeText(uint16_t mode) { return absl::StrFormat("%04o", mode); }

ordered_json SetToJson(const SetInfo& set) {
  ordered_json counters = ordered_json::object();
  for (const auto& [name, value] : set.counters) counters[name] = value;
  return {{"name", set.name},
          {"set", set.id},
          {"policy", DurabilityText(set.policy)},
          {"placement", PlacementText(set.policy.placement)},
          {"mode", ModeText(set.policy.mode)},
          {"quota_bytes", set.policy.quota_bytes},
          {"uid", set.uid},
          {"gid", set.gid},
          {"creator", set.creator},
          {"objects", set.objects},
          {"readable", set.readable},
          {"homed", set.homed},
          {"bytes", set.bytes},
          {"clients", set.clients},
          {"counters", counters}};
}

ordered_json SetsToJson(const std::vector<SetInfo>& sets) {
  ordered_json list = ordered_json::array();
  for (const SetInfo& set : sets) list.push_back(SetToJson(set));
  return list;
}

std::string Print(const ordered_json& value) {
  return value.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace clustix::web
