// SPDX-License-Identifier: Apache-2.0
//
// Generic netlink: how user space and a module of the kernel tell each other something small.
//
// Requests are built and answers taken apart here, by pure functions that believe no length;
// GenlSocket sends the one and receives the other. One thread; calls wait for the kernel, which
// answers at once.
#ifndef CLUSTIX_LIB_IO_GENL_H_
#define CLUSTIX_LIB_IO_GENL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::io {

// A request being made: attributes are added one by one.
class GenlRequest {
 public:
  explicit GenlRequest(uint8_t command) : command_(command) {}
  // Forgets what is in it, which may be a key.
  ~GenlRequest();
  GenlRequest(const GenlRequest&) = delete;
  GenlRequest& operator=(const GenlRequest&) = delete;

  void Put(uint16_t attribute, std::span<const std::byte> value);
  void PutU16(uint16_t attribute, uint16_t value);
  void PutU32(uint16_t attribute, uint32_t value);
  void PutString(uint16_t attribute, std::string_view text);
  void PutFlag(uint16_t attribute) { Put(attribute, {}); }

  uint8_t command() const { return command_; }
  std::span<const std::byte> attributes() const { return {bytes_.data(), size_}; }

 private:
  uint8_t command_;
  size_t size_ = 0;
  // Not a vector, which would leave copies behind when it grows.
  std::array<std::byte, 1024> bytes_ = {};
};

// An attribute of an answer, valid as long as the answer's memory.
struct GenlAttribute {
  uint16_t type;
  std::span<const std::byte> value;

  // nullopt: it does not have the size of that type.
  std::optional<uint8_t> U8() const;
  std::optional<uint16_t> U16() const;
  std::optional<uint32_t> U32() const;
  std::optional<uint64_t> U64() const;
  // Up to the first 0.
  std::string_view String() const;
};

// Calls `each` for every attribute in `bytes`, which those of a message and of a nested attribute
// are. False: they do not fit into their place; `each` has been called for those before.
bool ForEachAttribute(std::span<const std::byte> bytes,
                      const std::function<void(const GenlAttribute&)>& each);

// One message of a family.
struct GenlMessage {
  uint16_t family;
  uint8_t command;
  std::span<const std::byte> attributes;
};

// What one datagram of netlink holds.
struct GenlDatagram {
  std::vector<GenlMessage> messages;
  bool done = false;       // the answer is complete
  int error = 0;           // a positive errno, by which it ended
  std::string error_text;  // the kernel's explanation, if it has given one
};
// kDataLoss: it is no sequence of netlink messages.
absl::StatusOr<GenlDatagram> ParseGenlDatagram(std::span<const std::byte> bytes);

class GenlSocket {
 public:
  // Looks up the family. kNotFound: no module has it. Speaks for the calling thread's network
  // namespace.
  static absl::StatusOr<GenlSocket> Open(std::string_view family);

  // Sends a request and hands every message of the answer to `each`, which may be empty. Errors of
  // the kernel come as base::ErrnoStatus() has them.
  absl::Status Ask(const GenlRequest& request, bool dump,
                   const std::function<void(const GenlMessage&)>& each);

  // Listens to a multicast group of the family from now on. This is for a socket of its own that
  // asks nothing any more.
  absl::Status Join(std::string_view group);
  int fd() const { return fd_.get(); }
  // Hands what has arrived to `each`, without waiting. True: messages have been lost before.
  absl::StatusOr<bool> ReadEvents(const std::function<void(const GenlMessage&)>& each);

  GenlSocket(GenlSocket&&) = default;
  GenlSocket& operator=(GenlSocket&&) = default;

 private:
  GenlSocket() = default;
  absl::Status LookUp(std::string_view family);
  absl::Status Exchange(uint16_t family, uint8_t version, const GenlRequest& request, bool dump,
                        const std::function<void(const GenlMessage&)>& each);

  base::UniqueFd fd_;
  uint16_t family_ = 0;
  uint32_t sequence_ = 0;
  struct Group {
    std::string name;
    uint32_t id;
  };
  std::vector<Group> groups_;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_GENL_H_
