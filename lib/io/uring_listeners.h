// SPDX-License-Identifier: Apache-2.0
//
// The listeners of a UringIo. The kernel works on a listener while its accept is in flight, so it
// is freed only when it is closing and that is over; in a deferred task, never within a callback,
// for the handler may close what called it. A completion finds its listener by an id that is never
// reused.
#ifndef CLUSTIX_LIB_IO_URING_LISTENERS_H_
#define CLUSTIX_LIB_IO_URING_LISTENERS_H_

#include <sys/stat.h>

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/log_limiter.h"
#include "lib/base/unique_fd.h"
#include "lib/io/address.h"
#include "lib/io/io.h"
#include "lib/io/uring_loop.h"

namespace clustix::io {

class UringListeners {
 public:
  using Accepted = std::function<void(base::UniqueFd fd, ListenHandler* handler)>;

  UringListeners(UringLoop& loop, Accepted accepted)
      : loop_(loop), ring_(loop.ring()), accepted_(std::move(accepted)) {}
  // Nothing is in flight any more.
  ~UringListeners();
  UringListeners(const UringListeners&) = delete;
  UringListeners& operator=(const UringListeners&) = delete;

  absl::StatusOr<ListenerId> Listen(const std::string& address, const StreamOptions& options,
                                    ListenHandler* handler);
  std::string LocalAddress(ListenerId id) const;
  void Close(ListenerId id);

  // Completions of Op::kAccept.
  void OnCompletion(const Completion& completion);
  // Whether the accept with this id is in flight although its listener is closing.
  bool IsToEnd(ListenerId id) const;

 private:
  struct Listener {
    ListenerId id;
    base::UniqueFd fd;
    ListenHandler* handler;
    SocketAddress address;
    struct stat file = {};  // of a unix socket, to remove no other's

    bool accepting = false;
    bool closing = false;
    bool finishing = false;
    TimerId rest = 0;
  };

  static void RemoveSocketFile(const Listener& listener);
  void FinishIfIdle(Listener& listener);
  void Accept(Listener& listener);
  void Rest(Listener& listener, int error);

  UringLoop& loop_;
  UringRing& ring_;
  const Accepted accepted_;
  std::unordered_map<ListenerId, Listener> listeners_;
  ListenerId next_ = 1;
  base::LogLimiter log_limiter_;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_LISTENERS_H_
