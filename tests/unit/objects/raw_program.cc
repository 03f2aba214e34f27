// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/objects/raw_program.h"

#include <capnp/message.h>
#include <endian.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/cache/lease.h"
#include "proto/message.h"

namespace clustix {
namespace {

constexpr int kPatienceMs = 30'000;  // nothing takes as long unless it hangs
constexpr uint64_t kPatienceNs = uint64_t{kPatienceMs} * 1'000'000;

}  // namespace

std::unique_ptr<RawProgram> RawProgram::Connect(const std::string& socket_path) {
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (!fd.valid() || socket_path.size() >= sizeof address.sun_path) return nullptr;
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return nullptr;
  }
  return std::unique_ptr<RawProgram>(new RawProgram(std::move(fd)));
}

bool RawProgram::SendRaw(const std::string& bytes) {
  return send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

bool RawProgram::Send(capnp::MessageBuilder& message) {
  const std::vector<std::byte> bytes = proto::WriteMessage(message);
  const uint32_t length = htole32(static_cast<uint32_t>(bytes.size()));
  std::string all(reinterpret_cast<const char*>(&length), sizeof length);
  all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return SendRaw(all);
}

bool RawProgram::IsClosedByDaemon() {
  for (;;) {
    pollfd wait = {fd_.get(), POLLIN, 0};
    if (poll(&wait, 1, kPatienceMs) != 1) return false;
    std::array<char, 4096> bytes;
    const ssize_t received = recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (received <= 0) return true;  // a last reply may come before
  }
}

std::optional<std::vector<std::byte>> RawProgram::Receive(std::vector<base::UniqueFd>* fds) {
  std::vector<std::byte> input;
  size_t wanted = sizeof(uint32_t);
  while (input.size() < wanted) {
    pollfd wait = {fd_.get(), POLLIN, 0};
    if (poll(&wait, 1, kPatienceMs) != 1) return std::nullopt;
    std::vector<std::byte> part(wanted - input.size());
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(8 * sizeof(int))> control;
    iovec vec = {part.data(), part.size()};
    msghdr message = {};
    message.msg_iov = &vec;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t received = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
    if (received <= 0) return std::nullopt;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
        fds->emplace_back(fd);
      }
    }
    input.insert(input.end(), part.begin(), part.begin() + received);
    if (wanted == sizeof(uint32_t) && input.size() == wanted) {
      uint32_t length;
      std::memcpy(&length, input.data(), sizeof length);
      wanted += le32toh(length);
    }
  }
  input.erase(input.begin(), input.begin() + sizeof(uint32_t));
  return input;
}

std::string RawProgram::Attach() {
  capnp::MallocMessageBuilder request;
  request.initRoot<proto::SetsRequest>().setAttach();
  std::vector<base::UniqueFd> fds;
  std::optional<std::vector<std::byte>> bytes;
  if (!Send(request) || !(bytes = Receive(&fds))) return "no reply";
  std::string error;
  const absl::Status read =
      proto::ReadMessage<proto::SetsReply>(*bytes, [&error](proto::SetsReply::Reader reply) {
        if (reply.isError()) error = proto::ToString(reply.getError().getMessage());
        if (!reply.isError() && !reply.isAttached()) error = "another reply";
        return absl::OkStatus();
      });
  if (!read.ok() || !error.empty()) return error.empty() ? read.ToString() : error;
  if (fds.size() != 3) return "not three files";
  auto node = cache::NodeView::Map(fds[0]);
  if (!node.ok()) return node.status().ToString();
  node_ = *std::move(node);
  auto region = cache::ClientRegion::Map(fds[1], cache::Bell(std::move(fds[2])), node_.get(), 0);
  if (!region.ok()) return region.status().ToString();
  region_ = *std::move(region);
  reader_ = cache::Reader::Create(node_.get(), region_.get());
  return "";
}

RawProgram::Opened RawProgram::Open(const std::string& name, const Wanted& wanted) {
  capnp::MallocMessageBuilder request;
  auto open = request.initRoot<proto::SetsRequest>().initOpen();
  open.setName(name.c_str());
  open.setCreate(wanted.create);
  open.setExclusive(wanted.exclusive);
  open.setWrite(wanted.write);
  open.getPolicy().setDurability(wanted.durability);
  open.getPolicy().setPlacement(wanted.placement);
  open.getPolicy().setLinker(wanted.linker.c_str());
  open.getPolicy().setMode(wanted.mode);
  open.getPolicy().setQuotaBytes(wanted.quota_bytes);
  Opened opened;
  std::vector<base::UniqueFd> fds;
  std::optional<std::vector<std::byte>> bytes;
  if (!Send(request) || !(bytes = Receive(&fds))) {
    opened.error = "no reply";
    return opened;
  }
  const absl::Status read =
      proto::ReadMessage<proto::SetsReply>(*bytes, [&opened](proto::SetsReply::Reader reply) {
        if (reply.isError()) {
          opened.error = proto::ToString(reply.getError().getMessage());
          opened.error_kind = reply.getError().getKind();
        } else if (reply.isOpened()) {
          opened.handle = reply.getOpened().getHandle();
          opened.created = reply.getOpened().getCreated();
        } else {
          opened.error = "another reply";
        }
        return absl::OkStatus();
      });
  if (!read.ok()) opened.error = read.ToString();
  if (!opened.error.empty()) return opened;
  auto view = fds.size() == 1 ? cache::SetView::Map(fds[0]) : absl::UnknownError("not one file");
  if (view.ok()) {
    opened.view = *std::move(view);
  } else {
    opened.error = view.status().ToString();
  }
  return opened;
}

std::string RawProgram::DoneOrError() {
  std::vector<base::UniqueFd> fds;
  const std::optional<std::vector<std::byte>> bytes = Receive(&fds);
  if (!bytes) return "no reply";
  std::string error;
  const absl::Status read =
      proto::ReadMessage<proto::SetsReply>(*bytes, [&error](proto::SetsReply::Reader reply) {
        if (reply.isError()) error = proto::ToString(reply.getError().getMessage());
        return absl::OkStatus();
      });
  return read.ok() ? error : read.ToString();
}

std::string RawProgram::CloseSet(uint32_t handle) {
  capnp::MallocMessageBuilder request;
  request.initRoot<proto::SetsRequest>().setClose(handle);
  return Send(request) ? DoneOrError() : "not sent";
}

std::string RawProgram::Remove(const std::string& name) {
  capnp::MallocMessageBuilder request;
  request.initRoot<proto::SetsRequest>().setRemove(name.c_str());
  return Send(request) ? DoneOrError() : "not sent";
}

std::vector<std::string> RawProgram::List(const std::string& prefix) {
  capnp::MallocMessageBuilder request;
  request.initRoot<proto::SetsRequest>().setList(prefix.c_str());
  std::vector<base::UniqueFd> fds;
  std::vector<std::string> names;
  std::optional<std::vector<std::byte>> bytes;
  if (!Send(request) || !(bytes = Receive(&fds))) return names;
  const absl::Status read =
      proto::ReadMessage<proto::SetsReply>(*bytes, [&names](proto::SetsReply::Reader reply) {
        if (!reply.isSets()) return absl::UnknownError("another reply");
        for (const auto set : reply.getSets()) names.push_back(proto::ToString(set.getName()));
        return absl::OkStatus();
      });
  if (!read.ok()) names.push_back(read.ToString());
  return names;
}

bool RawProgram::Begin(const cache::Request& request) {
  return region_->Ask(request) == cache::RingResult::kDone;
}

std::optional<cache::Reply> RawProgram::AwaitReply() {
  absl::StatusOr<cache::Reply> reply = region_->AwaitReply(cache::MonotonicNs() + kPatienceNs);
  if (!reply.ok()) return std::nullopt;
  return *reply;
}

RawProgram::Answer RawProgram::Ask(Kind kind, uint32_t set, uint64_t object,
                                   const std::string& value, uint64_t argument, uint32_t room) {
  const auto bytes =
      static_cast<uint32_t>(std::max<size_t>(value.size(), value.empty() ? room : 0));
  Answer answer;
  const std::optional<uint32_t> offset = region_->staging_use().Take(std::max(bytes, 1u));
  if (!offset) return answer;
  std::memcpy(region_->staging() + *offset, value.data(), value.size());
  const cache::Request request = {.cookie = next_cookie_++,
                                  .kind = static_cast<uint32_t>(kind),
                                  .set = set,
                                  .object = object,
                                  .argument = argument,
                                  .staged_offset = *offset,
                                  .staged_bytes = bytes};
  if (Begin(request)) {
    if (const std::optional<cache::Reply> reply = AwaitReply()) {
      answer.status = static_cast<Status>(reply->status);
      answer.version = reply->object_version;
      answer.argument = reply->argument;
      if (reply->staged_bytes <= bytes) {
        answer.value.assign(reinterpret_cast<const char*>(region_->staging() + *offset),
                            reply->staged_bytes);
      }
    }
  }
  region_->staging_use().Give(*offset, std::max(bytes, 1u));
  return answer;
}

std::optional<uint64_t> RawProgram::Increment(uint32_t set, uint64_t object) {
  const Answer grabbed = Ask(Kind::kGrab, set, object);
  if (grabbed.status != Status::kOk && grabbed.status != Status::kNotFound) return std::nullopt;
  uint64_t number = 0;
  if (grabbed.value.size() == sizeof number) {
    std::memcpy(&number, grabbed.value.data(), sizeof number);
  }
  ++number;
  const std::string value(reinterpret_cast<const char*>(&number), sizeof number);
  const Answer put = Ask(Kind::kPut, set, object, value, grabbed.argument);
  return put.status == Status::kOk ? std::optional(number) : std::nullopt;
}

std::optional<std::string> RawProgram::Hit(const cache::SetView& view, uint64_t object) {
  std::array<std::byte, 4096> bytes;
  cache::ObjectInfo info;
  if (reader_->Read(view, object, bytes, &info) != cache::Lookup::kHit) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(bytes.data()), info.bytes);
}

std::optional<std::string> RawProgram::AwaitHit(const cache::SetView& view, uint64_t object) {
  const uint64_t deadline = cache::MonotonicNs() + kPatienceNs;
  while (!node_->LeaseHolds() && cache::MonotonicNs() < deadline) {
    // Renewed by the daemon's loop: who answers has turned it.
    List("no/such");
  }
  return Hit(view, object);
}

RawProgram::Answer RawProgram::Read(uint32_t set, const cache::SetView& view, uint64_t object) {
  if (std::optional<std::string> hit = Hit(view, object)) {
    return {.status = Status::kOk, .version = 0, .argument = 0, .value = *std::move(hit)};
  }
  return Get(set, object);
}

}  // namespace clustix
