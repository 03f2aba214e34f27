# SPDX-License-Identifier: Apache-2.0
#
# What the peer `capnp` speaks.
@0xa3d1f6c52b9e4471;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::bench::capnp_echo");

interface Echo {
  # Replies with the request.
  call @0 (data :Data) -> (data :Data);
  # One message of a one-way stream. The library's flow control decides how many are on their way.
  push @1 (data :Data) -> stream;
  # How many push() calls have come since the last time.
  count @2 () -> (messages :UInt64);
}
