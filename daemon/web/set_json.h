// SPDX-License-Identifier: Apache-2.0
//
// What a daemon says of its object sets, as JSON: the --json of `clustix set`, and what the web
// page reads. Pure functions, from any thread.
#ifndef CLUSTIX_DAEMON_WEB_SET_JSON_H_
#define CLUSTIX_DAEMON_WEB_SET_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "clustix/sets.h"

namespace clustix::web {

// "volatile", "replicas=2", "linked=file:/srv/table"
std::string DurabilityText(const SetPolicy& policy);
// "hash", "creator", "id-bits": as --placement takes it.
std::string PlacementText(Placement placement);
// "0644"
std::string ModeText(uint16_t mode);

nlohmann::ordered_json SetToJson(const SetInfo& set);
nlohmann::ordered_json SetsToJson(const std::vector<SetInfo>& sets);

// On several lines. Bytes that are no UTF-8 are replaced.
std::string Print(const nlohmann::ordered_json& value);

}  // namespace clustix::web

#endif  // CLUSTIX_DAEMON_WEB_SET_JSON_H_
