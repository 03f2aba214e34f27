// SPDX-License-Identifier: Apache-2.0
//
// The socket of sets (proto/sets.capnp), as a program uses it: one question at a time, each
// answered within a time. What is answered too late is heard before the next question, and
// forgotten: all that the program has of its daemon ends with the connection, so that silence must
// not end it. One thread at a time.
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
  // While an answer is owed it does not wait: the set is closed before the next question.
  std::optional<Error> Close(uint32_t handle);
  std::optional<Error> Remove(const std::string& name);
  Result<std::vector<SetInfo>> List(const std::string& prefix);
  Result<SetInfo> Stat(const std::string& name);
  Result<std::vector<HotObject>> Hot(const std::string& prefix);
  // False: the daemon has gone, or has sent what is no answer.
  bool usable() const { return !broken_; }

 private:
  SetConnection(base::UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  struct Answer {
    std::vector<std::byte> bytes;
    std::vector<base::UniqueFd> fds;
  };

  Result<Answer> Exchange(const std::vector<std::byte>& question);
  std::optional<Error> Settle();
  std::optional<Error> Finish(const std::vector<std::byte>& question);
  std::optional<Error> Finish();
  std::optional<Error> Send();
  std::optional<Error> Receive(size_t bytes);
  void LeaveOpened();
  // Nothing but an answer that is late leaves the connection of use.
  Error Broken(const std::string& why);
  Error Gone(int error);

  base::UniqueFd fd_;
  std::string path_;
  bool broken_ = false;
  bool asked_ = false;  // the last question has been sent, be it in part
  // The question under way, if an answer is owed: what is still to be sent, and what has come.
  bool owed_ = false;
  std::vector<std::byte> unsent_;
  std::vector<std::byte> received_;  // with the length
  std::vector<base::UniqueFd> fds_;
  bool fds_lost_ = false;
  std::vector<uint32_t> left_;  // sets to be closed
};

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_SET_CONNECTION_H_
