// SPDX-License-Identifier: Apache-2.0
//
// A daemon that answers as told, and a program that uses it.
#ifndef CLUSTIX_TESTS_UNIT_CLIENT_WORLD_H_
#define CLUSTIX_TESTS_UNIT_CLIENT_WORLD_H_

#include <utility>

#include "tests/unit/client/fake_daemon.h"

namespace clustix::client {

inline constexpr Wait kForever{.timeout_ms = 0};

// A daemon, a client and a set.
struct World {
  World() : World(FakeDaemon::Options()) {}
  explicit World(FakeDaemon::Options options) : daemon(std::move(options)) {}
  FakeDaemon daemon;
  Client client = daemon.Connect();
  ObjectSet set = Must(client.OpenSet("test/set", {.create = true}));
};

}  // namespace clustix::client

#endif  // CLUSTIX_TESTS_UNIT_CLIENT_WORLD_H_
