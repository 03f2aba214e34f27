// SPDX-License-Identifier: Apache-2.0
//
// Redis as what object sets are compared with: a server of the benchmark's own, and GET over a
// connection, one at a time or pipelined. Nothing of a client library is in the figures. Forks;
// one thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_REDIS_GET_H_
#define CLUSTIX_TESTS_BENCH_KDDM_REDIS_GET_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "tests/bench/msg/redis_server.h"

namespace clustix::bench {

class RedisGet {
 public:
  // With one key, whose value has so many bytes.
  static absl::StatusOr<std::unique_ptr<RedisGet>> Start(size_t value_bytes);
  // So many GETs at once, answered all.
  absl::Status Get(size_t times);

 private:
  // Sends it and takes as many bytes as the answer must have.
  absl::Status Ask(const std::string& commands, const std::string& answer);

  RedisServer server_;
  base::UniqueFd connection_;
  std::string reply_;  // to one GET
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_REDIS_GET_H_
