// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/redis_get.h"

#include <errno.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/library_peer.h"

namespace clustix::bench {
namespace {

constexpr const char* kGet = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";

}  // namespace

absl::StatusOr<std::unique_ptr<RedisGet>> RedisGet::Start(size_t value_bytes) {
  auto redis = std::make_unique<RedisGet>();
  ASSIGN_OR_RETURN(const std::string address,
                   redis->server_.Listen({.address = "127.0.0.1:0", .congestion = {}}));
  ASSIGN_OR_RETURN(redis->connection_, ConnectTcp({.address = address, .congestion = {}}));
  const std::string value =
      absl::StrCat("$", value_bytes, "\r\n", std::string(value_bytes, 'x'), "\r\n");
  redis->reply_ = value;
  RETURN_IF_ERROR(redis->Ask(absl::StrCat("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n", value), "+OK\r\n"));
  return redis;
}

absl::Status RedisGet::Get(size_t times) {
  std::string commands, answers;
  for (size_t i = 0; i < times; ++i) {
    commands += kGet;
    answers += reply_;
  }
  return Ask(commands, answers);
}

absl::Status RedisGet::Ask(const std::string& commands, const std::string& answer) {
  if (send(connection_.get(), commands.data(), commands.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(commands.size())) {
    return base::ErrnoStatus(errno, "cannot send to Redis");
  }
  std::string got(answer.size(), '\0');
  if (recv(connection_.get(), got.data(), got.size(), MSG_WAITALL) !=
      static_cast<ssize_t>(got.size())) {
    return base::ErrnoStatus(errno, "no answer of Redis");
  }
  if (got == answer) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("Redis answered ", got.substr(0, got.find('\r'))));
}

}  // namespace clustix::bench
