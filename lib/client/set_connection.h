// SPDX-License-Identifier: Apache-2.0
//
// The socket of sets (proto/sets.capnp), as a program uses it: one question at a time, each
// answered within a time. After anything but an answer the connection is of no more use. One thread
// at a time.
#ifndef CLUSTIX_LIB_CLIENT_SET_CONNECTION_H_
#define CLUSTIX_LIB_CLIENT_SET_CONNECTION_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clustix/result.h"
#include "clustix/sets.h"
#include "lib/base/unique_fd.h"

namespace clustix::client {

// In a daemon's runtime directory, beside its admin socket.
inline constexpr const char* kSetsSocketName = "sets.sock";

struct Attachment {
  base::UniqueFd node_page, region, bell;
  uint16_t node = 0;
  std::vector<uint16_t> members;
};

struct OpenedSet {
  base::UniqueFd arena;
  uint32_t handle = 0;
  uint32_t id = 0;
  bool created = false;
  SetPolicy policy;
};

class SetConnection {
 public:
  // `socket` is the daemon's admin socket; empty: FindSocket() decides.
  static Result<SetConnection> Connect(const std::string& socket,
                                       std::chrono::milliseconds timeout);
  SetConnection(SetConnection&&) = default;
  SetConnection& operator=(SetConnection&&) = default;

  Result<Attachment> Attach();
  Result<OpenedSet> Open(const std::string& name, const SetOptions& options);
  std::optional<Error> Close(uint32_t handle);
  std::optional<Error> Remove(const std::string& name);
  Result<std::vector<SetInfo>> List(const std::string& prefix);
  Result<SetInfo> Stat(const std::string& name);
  Result<std::vector<HotObject>> Hot(const std::string& prefix);
  // Whether there was an answer to every question, be it an error.
  bool usable() const { return fd_.valid(); }

 private:
  SetConnection(base::UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  struct Answer {
    std::vector<std::byte> bytes;
    std::vector<base::UniqueFd> fds;
  };

  Result<Answer> Exchange(const std::vector<std::byte>& question);
  Result<Answer> TryExchange(const std::vector<std::byte>& question);
  std::optional<Error> Send(const void* data, size_t bytes);
  std::optional<Error> Receive(void* to, size_t bytes, std::vector<base::UniqueFd>* fds);
  Error Broken(const std::string& why) const;
  Error Gone(int error) const;

  base::UniqueFd fd_;
  std::string path_;
};

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_SET_CONNECTION_H_
