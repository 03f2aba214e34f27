// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/sets_connection.h"

#include <endian.h>

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/objects/sets_service.h"
#include "lib/base/status.h"
#include "proto/sets.capnp.h"

namespace clustix::daemon {
namespace {

constexpr size_t kLengthBytes = sizeof(uint32_t);

}  // namespace

SetsConnection::SetsConnection(SetsService& service, io::StreamId stream, SetUser user, pid_t pid)
    : service_(service), stream_(stream), user_(user), pid_(pid) {}

void SetsConnection::OnData(std::span<const std::byte> data) {
  if (phase_ == Phase::kLastSending || phase_ == Phase::kClosing) return;
  // The next request may be there already, but not more than that.
  if (input_.size() + data.size() > 2 * (kLengthBytes + SetsService::kRequestBytesMax)) {
    service_.CountBadRequest();
    return Close();
  }
  input_.insert(input_.end(), data.begin(), data.end());
  if (phase_ == Phase::kReceiving) TakeRequest();
}

void SetsConnection::TakeRequest() {
  if (input_.size() < kLengthBytes) return;
  uint32_t length;
  std::memcpy(&length, input_.data(), kLengthBytes);
  length = le32toh(length);
  if (length == 0 || length > SetsService::kRequestBytesMax) {
    phase_ = Phase::kInWork;
    service_.CountBadRequest();
    return ReplyLast(SetsService::Error(absl::InvalidArgumentError(absl::StrCat(
        "a request of ", length, " bytes: expected 1 to ", SetsService::kRequestBytesMax))));
  }
  if (input_.size() < kLengthBytes + length) return;
  const std::vector<std::byte> request(input_.begin() + kLengthBytes,
                                       input_.begin() + kLengthBytes + length);
  input_.erase(input_.begin(), input_.begin() + kLengthBytes + length);
  phase_ = Phase::kInWork;
  service_.io().PauseReceive(stream_);
  const absl::Status status = service_.Dispatch(*this, request);
  if (status.ok()) return;
  service_.CountBadRequest();
  ReplyLast(SetsService::Error(status));
}

void SetsConnection::Reply(std::vector<std::byte> message, std::vector<int> fds, cache::Bell keep) {
  if (phase_ != Phase::kInWork) return;
  const uint32_t length = htole32(static_cast<uint32_t>(message.size()));
  output_.resize(kLengthBytes);
  std::memcpy(output_.data(), &length, kLengthBytes);
  output_.insert(output_.end(), message.begin(), message.end());
  fds_ = std::move(fds);
  keep_ = std::move(keep);
  sent_ = 0;
  phase_ = Phase::kSending;
  SendMore();
}

void SetsConnection::ReplyLast(std::vector<std::byte> message) {
  Reply(std::move(message));
  phase_ = Phase::kLastSending;
}

void SetsConnection::SendMore() {
  const std::array<iovec, 1> rest = {{{output_.data() + sent_, output_.size() - sent_}}};
  service_.io().SendWithFds(stream_, rest, fds_);
}

void SetsConnection::OnSent(size_t bytes, int error) {
  if (phase_ == Phase::kClosing) return;
  if (error != 0) return Close();
  sent_ += bytes;
  if (bytes > 0) {
    fds_.clear();
    keep_ = cache::Bell();
  }
  if (sent_ < output_.size()) return SendMore();
  output_ = {};
  if (phase_ == Phase::kLastSending) return Close();
  phase_ = Phase::kReceiving;
  service_.io().ResumeReceive(stream_);
  TakeRequest();
}

void SetsConnection::Close() {
  if (phase_ == Phase::kClosing) return;
  phase_ = Phase::kClosing;
  service_.io().Close(stream_);
}

void SetsConnection::OnClosed(int) {
  service_.Forget(stream_);  // destroys this
}

}  // namespace clustix::daemon
