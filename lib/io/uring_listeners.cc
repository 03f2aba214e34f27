// SPDX-License-Identifier: Apache-2.0
#include "lib/io/uring_listeners.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/io/socket.h"

namespace clustix::io {
namespace {

using base::UniqueFd;

// How long a listener rests when the process or the system has no descriptor or memory left.
constexpr TimeNs kAcceptRestNs = 100'000'000;

// The connection is no good, the listener is; see accept(2).
bool IsOfOneConnection(int error) {
  return error == ECONNABORTED || error == EPROTO || error == EINTR || error == EAGAIN ||
         error == EPERM;
}

}  // namespace

UringListeners::~UringListeners() {
  for (const auto& [id, listener] : listeners_) RemoveSocketFile(listener);
}

void UringListeners::RemoveSocketFile(const Listener& listener) {
  const std::string path = listener.address.path();
  struct stat now;
  if (path.empty() || lstat(path.c_str(), &now) != 0) return;
  if (now.st_dev == listener.file.st_dev && now.st_ino == listener.file.st_ino) {
    unlink(path.c_str());
  }
}

absl::StatusOr<ListenerId> UringListeners::Listen(const std::string& address,
                                                  const StreamOptions& options,
                                                  ListenHandler* handler) {
  ASSIGN_OR_RETURN(const SocketAddress wanted, ParseAddress(address));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenListener(wanted, options));
  ASSIGN_OR_RETURN(const SocketAddress bound, LocalAddressOf(fd.get()));
  Listener listener = {.id = next_++, .fd = std::move(fd), .handler = handler, .address = bound};
  if (bound.is_unix() && lstat(bound.path().c_str(), &listener.file) != 0) {
    return base::ErrnoStatus(errno, bound.path());
  }
  const ListenerId id = listener.id;
  Accept(listeners_.emplace(id, std::move(listener)).first->second);
  return id;
}

std::string UringListeners::LocalAddress(ListenerId id) const {
  const auto found = listeners_.find(id);
  return found == listeners_.end() ? "" : FormatAddress(found->second.address);
}

void UringListeners::Close(ListenerId id) {
  const auto found = listeners_.find(id);
  if (found == listeners_.end() || found->second.closing) return;
  Listener& listener = found->second;
  listener.closing = true;
  RemoveSocketFile(listener);
  if (listener.rest != 0) loop_.Cancel(std::exchange(listener.rest, 0));
  if (listener.accepting) ring_.QueueCancel(Op::kAccept, id);
  FinishIfIdle(listener);
}

void UringListeners::FinishIfIdle(Listener& listener) {
  if (!listener.closing || listener.accepting || listener.finishing) return;
  listener.finishing = true;
  loop_.Defer([this, id = listener.id] { listeners_.erase(id); });
}

void UringListeners::Accept(Listener& listener) {
  listener.accepting = true;
  ring_.Queue(Op::kAccept, listener.id, [&](io_uring_sqe* sqe) {
    io_uring_prep_multishot_accept(sqe, listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC);
  });
}

void UringListeners::OnCompletion(const Completion& completion) {
  Listener& listener = listeners_.at(completion.id);
  if (!completion.more()) listener.accepting = false;
  if (completion.result >= 0) {
    UniqueFd fd(completion.result);
    if (!listener.closing) accepted_(std::move(fd), listener.handler);
  } else if (!listener.closing && !IsOfOneConnection(-completion.result)) {
    Rest(listener, -completion.result);
  }
  if (listener.closing) {
    FinishIfIdle(listener);
  } else if (!listener.accepting && listener.rest == 0) {
    Accept(listener);
  }
}

void UringListeners::Rest(Listener& listener, int error) {
  const TimeNs now = loop_.Now();
  if (const std::optional<uint64_t> suppressed = log_limiter_.Admit("accept", now)) {
    base::Log(base::LogLevel::kWarning, "io", "accept failed, the listener rests for a moment",
              {{"error", strerror(error)},
               {"listener", FormatAddress(listener.address)},
               {"suppressed", *suppressed}});
  }
  if (listener.accepting || listener.rest != 0) return;
  listener.rest = loop_.RunAt(now + kAcceptRestNs, [this, id = listener.id] {
    Listener& rested = listeners_.at(id);  // closing it would have cancelled this timer
    rested.rest = 0;
    Accept(rested);
  });
}

bool UringListeners::IsToEnd(ListenerId id) const {
  const auto found = listeners_.find(id);
  return found != listeners_.end() && found->second.closing && found->second.accepting;
}

}  // namespace clustix::io
