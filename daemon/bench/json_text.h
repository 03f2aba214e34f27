// SPDX-License-Identifier: Apache-2.0
#ifndef CLUSTIX_DAEMON_BENCH_JSON_TEXT_H_
#define CLUSTIX_DAEMON_BENCH_JSON_TEXT_H_

#include <string>

#include "nlohmann/json.hpp"

namespace clustix::bench {

// On one line. A command line may hold any bytes; JSON only UTF-8.
inline std::string JsonText(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_JSON_TEXT_H_
