// SPDX-License-Identifier: Apache-2.0
//
// A raw peer: RequestSide and EchoSide over a TCP connection, moved by a *driver*, which is all in
// which the raw peers differ. A driver is a class with
//
//   static constexpr size_t kMostOutstandingBytes;
//   Driver(const PeerOptions& options, const std::atomic<bool>& stop);
//   // Moves bytes until side.done(), the connection ends, or `stop` is set and the connection shut
//   // down; returns the side's error, side.OnEnd() or its own.
//   template <class Side> absl::Status Drive(Side& side, int fd);
#ifndef CLUSTIX_TESTS_BENCH_MSG_RAW_PEER_H_
#define CLUSTIX_TESTS_BENCH_MSG_RAW_PEER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "tests/bench/msg/peer.h"
#include "tests/bench/msg/raw_echo.h"
#include "tests/bench/msg/raw_request.h"

namespace clustix::bench {

// Connects, blocking.
absl::StatusOr<base::UniqueFd> ConnectRaw(const PeerOptions& options);

// Serves one connection until it ends, or until `stop` is set and it is shut down.
using ServeConnection =
    std::function<absl::Status(int fd, const PeerOptions& options, const std::atomic<bool>& stop)>;

// Accepts connections, each served by a thread of its own.
std::unique_ptr<Server> MakeRawServer(ServeConnection serve);

// What a failed send() or recv() means: the end of the connection for one that was reset.
bool IsEnd(int error);

template <class Driver>
class RawClient final : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    options_ = options;
    ASSIGN_OR_RETURN(fd_, ConnectRaw(options));
    return absl::OkStatus();
  }
  absl::Status Run(const Case& what, Meter& meter) override {
    RequestSide side(what, meter, Driver::kMostOutstandingBytes);
    return Driver(options_, never_).Drive(side, fd_.get());
  }

 private:
  const std::atomic<bool> never_ = false;
  PeerOptions options_;
  base::UniqueFd fd_;
};

template <class Driver>
Peer RawPeer(const std::string& name, const std::string& title) {
  const ServeConnection serve = [](int fd, const PeerOptions& options,
                                   const std::atomic<bool>& stop) {
    EchoSide side;
    return Driver(options, stop).Drive(side, fd);
  };
  return {.name = name,
          .title = title,
          .modes = {Mode::kSync, Mode::kAsync, Mode::kOneway},
          .make_server = [serve] { return MakeRawServer(serve); },
          .make_client = [] { return std::make_unique<RawClient<Driver>>(); }};
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_RAW_PEER_H_
