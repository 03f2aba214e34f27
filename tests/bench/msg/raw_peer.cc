// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/raw_peer.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <list>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/io/address.h"
#include "lib/io/socket.h"

namespace clustix::bench {
namespace {

using base::UniqueFd;

io::StreamOptions StreamOptionsOf(const PeerOptions& options) {
  return {.no_delay = true, .congestion = options.congestion};
}

class RawServer final : public Server {
 public:
  explicit RawServer(ServeConnection serve) : serve_(std::move(serve)) {}

  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    options_ = options;
    ASSIGN_OR_RETURN(const io::SocketAddress address, io::ParseAddress(options.address));
    ASSIGN_OR_RETURN(listener_, io::OpenListener(address, StreamOptionsOf(options)));
    ASSIGN_OR_RETURN(const io::SocketAddress bound, io::LocalAddressOf(listener_.get()));
    return io::FormatAddress(bound);
  }

  absl::Status Serve(int stop_fd) override {
    const absl::Status status = AcceptUntil(stop_fd);
    stop_ = true;
    for (Connection& connection : connections_) shutdown(connection.fd.get(), SHUT_RDWR);
    for (Connection& connection : connections_) connection.thread.join();
    return status;
  }

 private:
  struct Connection {
    UniqueFd fd;
    std::thread thread;
  };

  absl::Status AcceptUntil(int stop_fd) {
    while (true) {
      pollfd fds[] = {{stop_fd, POLLIN, 0}, {listener_.get(), POLLIN, 0}};
      if (poll(fds, std::size(fds), -1) < 0) {
        if (errno == EINTR) continue;
        return base::ErrnoStatus(errno, "poll");
      }
      if (fds[0].revents != 0) return absl::OkStatus();
      UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd.valid()) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        return base::ErrnoStatus(errno, "accept");
      }
      // They stay until the end: a benchmark has few.
      Connection& connection = connections_.emplace_back();
      connection.fd = std::move(fd);
      connection.thread = std::thread([this, &connection] {
        const absl::Status status = serve_(connection.fd.get(), options_, stop_);
        if (!status.ok()) {
          std::fprintf(stderr, "a connection failed: %s\n", std::string(status.message()).c_str());
        }
        shutdown(connection.fd.get(), SHUT_RDWR);
      });
    }
  }

  const ServeConnection serve_;
  PeerOptions options_;
  UniqueFd listener_;
  std::atomic<bool> stop_ = false;
  std::list<Connection> connections_;
};

}  // namespace

absl::StatusOr<UniqueFd> ConnectRaw(const PeerOptions& options) {
  ASSIGN_OR_RETURN(const io::SocketAddress address, io::ParseAddress(options.address));
  ASSIGN_OR_RETURN(UniqueFd fd, io::OpenConnector(address, "", StreamOptionsOf(options)));
  if (connect(fd.get(), address.get(), address.bytes) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot connect to ", options.address));
  }
  return fd;
}

std::unique_ptr<Server> MakeRawServer(ServeConnection serve) {
  return std::make_unique<RawServer>(std::move(serve));
}

bool IsEnd(int error) { return error == ECONNRESET || error == EPIPE; }

}  // namespace clustix::bench
