// SPDX-License-Identifier: Apache-2.0
//
// A program that speaks the protocol of the socket of sets by hand, one request at a time: for
// tests of the daemon, good and bad. Everything is bounded by a deadline. One thread.
#ifndef CLUSTIX_TESTS_UNIT_OBJECTS_RAW_PROGRAM_H_
#define CLUSTIX_TESTS_UNIT_OBJECTS_RAW_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/cache/client_region.h"
#include "lib/cache/node_view.h"
#include "lib/cache/reader.h"
#include "lib/cache/set_view.h"
#include "lib/client/set_requests.h"
#include "proto/sets.capnp.h"

namespace clustix {

class RawProgram {
 public:
  using Kind = client::SetRequestKind;
  using Status = client::SetReplyStatus;
  using Durability = proto::SetPolicy::Durability;

  struct Answer {
    Status status = Status::kUnavailable;
    uint64_t version = 0;
    uint64_t argument = 0;
    std::string value;  // if it was brought
  };
  struct Opened {
    std::string error;  // empty: it is open
    proto::SetsError::Kind error_kind = proto::SetsError::Kind::INVALID;
    uint32_t handle = 0;
    bool created = false;
    std::unique_ptr<cache::SetView> view;
  };
  struct Wanted {
    Durability durability = Durability::REPLICAS2;
    proto::SetPolicy::Placement placement = proto::SetPolicy::Placement::HASH;
    std::string linker;
    bool create = true;
    bool exclusive = false;
    bool write = true;
    uint16_t mode = 0600;
    uint64_t quota_bytes = 0;
  };

  // nullptr: nobody listens there.
  static std::unique_ptr<RawProgram> Connect(const std::string& socket_path);

  // Empty, or why not.
  std::string Attach();
  Opened Open(const std::string& name, const Wanted& wanted);
  Opened Open(const std::string& name) { return Open(name, Wanted()); }
  // The kinds of replies that bring nothing: empty, or the error's text.
  std::string CloseSet(uint32_t handle);
  std::string Remove(const std::string& name);
  // The names of all sets that begin so.
  std::vector<std::string> List(const std::string& prefix);

  // Through the ring. `room` is for the value that comes back.
  Answer Ask(Kind kind, uint32_t set, uint64_t object, const std::string& value = "",
             uint64_t argument = 0, uint32_t room = 4096);
  // In two steps: asks, and waits for whatever answer is next.
  bool Begin(const cache::Request& request);
  std::optional<cache::Reply> AwaitReply();
  Answer Get(uint32_t set, uint64_t object) { return Ask(Kind::kGet, set, object); }
  Answer Set(uint32_t set, uint64_t object, const std::string& value) {
    return Ask(Kind::kSet, set, object, value);
  }
  // Grabs, adds one to the number there, puts. The new number; nothing: it failed.
  std::optional<uint64_t> Increment(uint32_t set, uint64_t object);
  // From shared memory alone; nothing: it is not there, or not to be served.
  std::optional<std::string> Hit(const cache::SetView& view, uint64_t object);
  // The same, but waits while the lease has run out, as when the daemon did not get the core.
  std::optional<std::string> AwaitHit(const cache::SetView& view, uint64_t object);
  // The value by a hit, or else by asking.
  Answer Read(uint32_t set, const cache::SetView& view, uint64_t object);

  // Raw bytes on the socket, and whether the daemon still listens to them.
  bool SendRaw(const std::string& bytes);
  bool IsClosedByDaemon();
  cache::ClientRegion& region() { return *region_; }
  const cache::NodeView& node() { return *node_; }

 private:
  explicit RawProgram(base::UniqueFd fd) : fd_(std::move(fd)) {}
  bool Send(capnp::MessageBuilder& message);
  // A reply's bytes, whole; the files that came with it go to `fds`.
  std::optional<std::vector<std::byte>> Receive(std::vector<base::UniqueFd>* fds);
  std::string DoneOrError();

  base::UniqueFd fd_;
  std::unique_ptr<cache::NodeView> node_;
  std::unique_ptr<cache::ClientRegion> region_;
  std::unique_ptr<cache::Reader> reader_;
  uint64_t next_cookie_ = 1;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_OBJECTS_RAW_PROGRAM_H_
