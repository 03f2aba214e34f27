// SPDX-License-Identifier: Apache-2.0
//
// A Redis server of the benchmark's own: a child process on a free loopback port, that stores
// nothing on disk and ends with its parent. One thread.
#ifndef CLUSTIX_TESTS_BENCH_MSG_REDIS_SERVER_H_
#define CLUSTIX_TESTS_BENCH_MSG_REDIS_SERVER_H_

#include <sys/types.h>

#include <string>

#include "lib/base/unique_fd.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {

class RedisServer : public Server {
 public:
  ~RedisServer() override;
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override;
  absl::Status Serve(int stop_fd) override;

 private:
  // Starts Redis on the address; kAborted if the port is not free.
  absl::Status Start(const std::string& address);
  // Until Redis says, by sd_notify(3), that it takes connections.
  absl::Status AwaitReady();
  // It has ended by itself: reaps it; an error with what it has logged.
  absl::Status Ended();
  // Redis has no option for the congestion control: sets it on its listening socket.
  absl::Status SetCongestionOfListener(const std::string& congestion);

  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
  base::UniqueFd notify_fd_;
  base::UniqueFd log_fd_;  // a file in memory: of interest only if Redis fails
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_REDIS_SERVER_H_
