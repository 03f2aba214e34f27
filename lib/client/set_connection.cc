// SPDX-License-Identifier: Apache-2.0
#include "lib/client/set_connection.h"

#include <capnp/message.h>
#include <endian.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <utility>

#include "lib/base/status.h"
#include "lib/client/socket_path.h"
#include "lib/client/unix_socket.h"
#include "proto/message.h"
#include "proto/sets.capnp.h"

namespace clustix::client {
namespace {

constexpr size_t kFdsMax = 3;
constexpr size_t kLengthBytes = sizeof(uint32_t);

using Ask = std::function<void(proto::SetsRequest::Builder)>;
using Read = std::function<std::optional<Error>(proto::SetsReply::Reader)>;

std::vector<std::byte> Question(const Ask& ask) {
  capnp::MallocMessageBuilder message;
  ask(message.initRoot<proto::SetsRequest>());
  return proto::WriteMessage(message);
}

std::string Text(absl::string_view text) { return std::string(text.data(), text.size()); }

Error ToError(const absl::Status& status) {
  ErrorCode code = ErrorCode::kSystem;
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      code = ErrorCode::kNotFound;
      break;
    case absl::StatusCode::kInvalidArgument:
      code = ErrorCode::kInvalidArgument;
      break;
    case absl::StatusCode::kPermissionDenied:
      code = ErrorCode::kPermissionDenied;
      break;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      code = ErrorCode::kUnavailable;
      break;
    default:
      break;
  }
  return {.code = code, .message = Text(status.message())};
}

Error ToError(proto::SetsError::Reader from) {
  using Kind = proto::SetsError::Kind;
  ErrorCode code = ErrorCode::kUnknown;
  switch (from.getKind()) {
    case Kind::INVALID:
      code = ErrorCode::kInvalidArgument;
      break;
    case Kind::NOT_FOUND:
      code = ErrorCode::kNotFound;
      break;
    case Kind::EXISTS:
      code = ErrorCode::kExists;
      break;
    case Kind::DENIED:
      code = ErrorCode::kPermissionDenied;
      break;
    case Kind::NO_SPACE:
      code = ErrorCode::kNoSpace;
      break;
    case Kind::UNAVAILABLE:
      code = ErrorCode::kUnavailable;
      break;
    case Kind::UNKNOWN:
      break;
  }
  return {.code = code, .message = from.getMessage().cStr()};
}

Error Unexpected() {
  return {.code = ErrorCode::kUnavailable,
          .message = "the daemon answered something else than was asked"};
}

// Hands the reply to `read`, unless it is an error.
std::optional<Error> ReadReply(const std::vector<std::byte>& bytes, const Read& read) {
  std::optional<Error> error;
  const absl::Status status =
      proto::ReadMessage<proto::SetsReply>(bytes, [&](proto::SetsReply::Reader reply) {
        error = reply.isError() ? ToError(reply.getError()) : read(reply);
        return absl::OkStatus();
      });
  if (status.ok()) return error;
  return Error{.code = ErrorCode::kUnavailable,
               .message = "the daemon's answer: " + Text(status.message())};
}

void Encode(const SetPolicy& from, proto::SetPolicy::Builder to) {
  to.setDurability(static_cast<proto::SetPolicy::Durability>(from.durability));
  to.setPlacement(static_cast<proto::SetPolicy::Placement>(from.placement));
  to.setLinker(from.linker.c_str());
  to.setMode(from.mode);
  to.setQuotaBytes(from.quota_bytes);
}

// Values that this program does not know are those of a newer daemon: the nearest thing is shown.
SetPolicy Decode(proto::SetPolicy::Reader from) {
  SetPolicy to;
  const auto durability = static_cast<uint16_t>(from.getDurability());
  const auto placement = static_cast<uint16_t>(from.getPlacement());
  if (durability <= static_cast<uint16_t>(Durability::kLinked)) {
    to.durability = static_cast<Durability>(durability);
  }
  if (placement <= static_cast<uint16_t>(Placement::kIdBits)) {
    to.placement = static_cast<Placement>(placement);
  }
  to.linker = from.getLinker().cStr();
  to.mode = from.getMode();
  to.quota_bytes = from.getQuotaBytes();
  return to;
}

SetInfo Decode(proto::SetInfo::Reader from) {
  SetInfo to{.name = from.getName().cStr(),
             .id = from.getSet(),
             .policy = Decode(from.getPolicy()),
             .uid = from.getUid(),
             .gid = from.getGid(),
             .creator = from.getCreator(),
             .objects = from.getObjects(),
             .readable = from.getReadable(),
             .homed = from.getHomed(),
             .bytes = from.getBytes(),
             .clients = from.getClients(),
             .counters = {}};
  for (proto::SetCounter::Reader counter : from.getCounters()) {
    to.counters.emplace_back(counter.getName().cStr(), counter.getValue());
  }
  return to;
}

std::optional<Error> DecodeSets(proto::SetsReply::Reader reply, std::vector<SetInfo>* sets) {
  if (!reply.isSets()) return Unexpected();
  for (proto::SetInfo::Reader set : reply.getSets()) sets->push_back(Decode(set));
  return std::nullopt;
}

std::optional<Error> IsDone(proto::SetsReply::Reader reply) {
  return reply.isDone() ? std::nullopt : std::optional(Unexpected());
}

}  // namespace

Result<SetConnection> SetConnection::Connect(const std::string& socket,
                                             std::chrono::milliseconds timeout) {
  const absl::StatusOr<std::string> found = FindSocket(socket);
  if (!found.ok()) return ToError(found.status());
  std::string path =
      (std::filesystem::path(*found).parent_path() / kSetsSocketName).lexically_normal().string();
  absl::StatusOr<base::UniqueFd> fd = ConnectUnix(path, timeout);
  if (!fd.ok()) return ToError(fd.status());
  return SetConnection(*std::move(fd), std::move(path));
}

Result<Attachment> SetConnection::Attach() {
  Result<Answer> answer = Exchange(Question([](auto ask) { ask.setAttach(); }));
  if (!answer) return answer.error();
  Attachment attached;
  std::optional<Error> error =
      ReadReply(answer->bytes, [&](proto::SetsReply::Reader reply) -> std::optional<Error> {
        if (!reply.isAttached() || answer->fds.size() != kFdsMax) return Unexpected();
        attached.node = reply.getAttached().getNode();
        for (uint16_t member : reply.getAttached().getMembers()) {
          attached.members.push_back(member);
        }
        return std::nullopt;
      });
  if (error) return *std::move(error);
  attached.node_page = std::move(answer->fds[0]);
  attached.region = std::move(answer->fds[1]);
  attached.bell = std::move(answer->fds[2]);
  return attached;
}

Result<OpenedSet> SetConnection::Open(const std::string& name, const SetOptions& options) {
  Result<Answer> answer = Exchange(Question([&](proto::SetsRequest::Builder ask) {
    proto::OpenSet::Builder open = ask.initOpen();
    open.setName(name.c_str());
    open.setCreate(options.create);
    open.setExclusive(options.exclusive);
    open.setWrite(options.write);
    Encode(options.policy, open.initPolicy());
  }));
  if (!answer) {
    Error error = answer.error();
    if (asked_ && options.create) error.code = ErrorCode::kUnknown;  // it may have been made
    return error;
  }
  OpenedSet opened;
  std::optional<Error> error =
      ReadReply(answer->bytes, [&](proto::SetsReply::Reader reply) -> std::optional<Error> {
        if (!reply.isOpened() || answer->fds.size() != 1) return Unexpected();
        const proto::Opened::Reader from = reply.getOpened();
        opened.handle = from.getHandle();
        opened.id = from.getSet();
        opened.created = from.getCreated();
        opened.policy = Decode(from.getPolicy());
        return std::nullopt;
      });
  if (error) return *std::move(error);
  opened.arena = std::move(answer->fds[0]);
  return opened;
}

std::optional<Error> SetConnection::Close(uint32_t handle) {
  if (owed_) {
    left_.push_back(handle);
    return std::nullopt;
  }
  Result<Answer> answer = Exchange(Question([&](auto ask) { ask.setClose(handle); }));
  if (!answer) return answer.error();
  return ReadReply(answer->bytes, IsDone);
}

std::optional<Error> SetConnection::Remove(const std::string& name) {
  Result<Answer> answer = Exchange(Question([&](auto ask) { ask.setRemove(name.c_str()); }));
  if (!answer) {
    return Error{.code = asked_ ? ErrorCode::kUnknown : ErrorCode::kUnavailable,
                 .message = answer.error().message};
  }
  return ReadReply(answer->bytes, IsDone);
}

Result<std::vector<SetInfo>> SetConnection::List(const std::string& prefix) {
  Result<Answer> answer = Exchange(Question([&](auto ask) { ask.setList(prefix.c_str()); }));
  if (!answer) return answer.error();
  std::vector<SetInfo> sets;
  std::optional<Error> error =
      ReadReply(answer->bytes, [&](auto reply) { return DecodeSets(reply, &sets); });
  if (error) return *std::move(error);
  return sets;
}

Result<SetInfo> SetConnection::Stat(const std::string& name) {
  Result<Answer> answer = Exchange(Question([&](auto ask) { ask.setStat(name.c_str()); }));
  if (!answer) return answer.error();
  std::vector<SetInfo> sets;
  std::optional<Error> error =
      ReadReply(answer->bytes, [&](auto reply) { return DecodeSets(reply, &sets); });
  if (error) return *std::move(error);
  if (sets.size() != 1) return Unexpected();
  return std::move(sets[0]);
}

Result<std::vector<HotObject>> SetConnection::Hot(const std::string& prefix) {
  Result<Answer> answer = Exchange(Question([&](auto ask) { ask.setHot(prefix.c_str()); }));
  if (!answer) return answer.error();
  std::vector<HotObject> hot;
  std::optional<Error> error =
      ReadReply(answer->bytes, [&](proto::SetsReply::Reader reply) -> std::optional<Error> {
        if (!reply.isHot()) return Unexpected();
        for (proto::HotObject::Reader object : reply.getHot()) {
          hot.push_back({.set = object.getSet().cStr(),
                         .object = object.getObject(),
                         .home = object.getHome(),
                         .transfers_per_second = object.getTransfersPerSecond(),
                         .waiting = object.getWaiting()});
        }
        return std::nullopt;
      });
  if (error) return *std::move(error);
  return hot;
}

Result<SetConnection::Answer> SetConnection::Exchange(const std::vector<std::byte>& question) {
  asked_ = false;
  if (!usable()) return Gone(EPIPE);
  if (auto error = Settle()) return *std::move(error);
  asked_ = true;
  if (auto error = Finish(question)) return *std::move(error);
  if (fds_lost_) {
    LeaveOpened();
    return Error{.code = ErrorCode::kSystem,
                 .message = path_ +
                            ": the answer comes with open files that this program has no room for "
                            "(ulimit -n raises its limit)"};
  }
  received_.erase(received_.begin(), received_.begin() + kLengthBytes);
  return Answer{.bytes = std::move(received_), .fds = std::move(fds_)};
}

// Hears the answer that is owed, and closes sets that were left meanwhile.
std::optional<Error> SetConnection::Settle() {
  if (owed_) {
    if (auto error = Finish()) return error;
    LeaveOpened();
  }
  while (!left_.empty()) {
    const uint32_t handle = left_.back();
    left_.pop_back();
    if (auto error = Finish(Question([&](auto ask) { ask.setClose(handle); }))) return error;
  }
  return std::nullopt;
}

// Nobody will use the set that the answer says is open.
void SetConnection::LeaveOpened() {
  const std::vector<std::byte> bytes(received_.begin() + kLengthBytes, received_.end());
  ReadReply(bytes, [this](proto::SetsReply::Reader reply) -> std::optional<Error> {
    if (reply.isOpened()) left_.push_back(reply.getOpened().getHandle());
    return std::nullopt;
  });
}

std::optional<Error> SetConnection::Finish(const std::vector<std::byte>& question) {
  const uint32_t length = htole32(static_cast<uint32_t>(question.size()));
  unsent_.resize(kLengthBytes);
  std::memcpy(unsent_.data(), &length, kLengthBytes);
  unsent_.insert(unsent_.end(), question.begin(), question.end());
  received_.clear();
  fds_.clear();
  fds_lost_ = false;
  owed_ = true;
  return Finish();
}

// Goes on where the last attempt has ended.
std::optional<Error> SetConnection::Finish() {
  if (auto error = Send()) return error;
  if (auto error = Receive(kLengthBytes)) return error;
  uint32_t length;
  std::memcpy(&length, received_.data(), kLengthBytes);
  length = le32toh(length);
  if (length == 0 || length > proto::SETS_MESSAGE_BYTES_MAX) {
    return Broken("a message of " + std::to_string(length) + " bytes");
  }
  if (auto error = Receive(kLengthBytes + length)) return error;
  owed_ = false;
  return std::nullopt;
}

std::optional<Error> SetConnection::Send() {
  while (!unsent_.empty()) {
    const ssize_t count = send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Gone(errno);
    unsent_.erase(unsent_.begin(), unsent_.begin() + count);
  }
  return std::nullopt;
}

// Until there are `bytes` of the answer.
std::optional<Error> SetConnection::Receive(size_t bytes) {
  while (received_.size() < bytes) {
    const size_t had = received_.size();
    received_.resize(bytes);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFdsMax)> control;
    iovec data = {received_.data() + had, bytes - had};
    msghdr message = {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
    const int error = errno;
    received_.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && error == EINTR) continue;
    if (count <= 0) return Gone(count == 0 ? EPIPE : error);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      for (size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
        int fd;
        std::memcpy(&fd, reinterpret_cast<const char*>(header) + at, sizeof fd);
        fds_.emplace_back(fd);
      }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) fds_lost_ = true;
  }
  return std::nullopt;
}

Error SetConnection::Broken(const std::string& why) {
  broken_ = true;
  return {.code = ErrorCode::kUnavailable,
          .message = path_ + ": the daemon sent " + why + "; this is no clustixd"};
}

Error SetConnection::Gone(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK) {
    return {.code = ErrorCode::kUnavailable,
            .message = path_ +
                       ": the daemon does not answer: it is stopped, or overrun (SIGCONT lets a "
                       "stopped one go on)"};
  }
  broken_ = true;
  if (error == EPIPE || error == ECONNRESET) {
    return {.code = ErrorCode::kUnavailable,
            .message = path_ + ": the daemon has ended the session (connect again)"};
  }
  return ToError(base::ErrnoStatus(error, path_));
}

}  // namespace clustix::client
