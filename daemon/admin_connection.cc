// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_connection.h"

#include <capnp/message.h>
#include <endian.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "lib/base/status.h"
#include "lib/base/time_units.h"
#include "proto/message.h"

namespace clustix::daemon {
namespace {

constexpr size_t kLengthBytes = sizeof(uint32_t);

}  // namespace

AdminConnection::AdminConnection(AdminService& service, io::StreamId stream,
                                 const procview::Asker& client)
    : service_(service), stream_(stream), client_(client) {
  RestartIdleTimer();
}

void AdminConnection::OnData(std::span<const std::byte> data) {
  if (phase_ == Phase::kLastSending || phase_ == Phase::kClosing) return;
  // The client may have sent the next request already, but not more than that.
  if (input_.size() + data.size() > 2 * (kLengthBytes + proto::ADMIN_REQUEST_BYTES_MAX)) {
    ++service_.bad_requests_;
    return Close();
  }
  input_.insert(input_.end(), data.begin(), data.end());
  if (phase_ == Phase::kReceiving) TakeRequest();
}

void AdminConnection::TakeRequest() {
  if (input_.size() < kLengthBytes) return;
  uint32_t length;
  std::memcpy(&length, input_.data(), kLengthBytes);
  length = le32toh(length);
  if (length == 0 || length > proto::ADMIN_REQUEST_BYTES_MAX) {
    return Refuse(absl::StrCat("a request of ", length, " bytes: expected 1 to ",
                               proto::ADMIN_REQUEST_BYTES_MAX));
  }
  if (input_.size() < kLengthBytes + length) return;
  std::vector<std::byte> request(input_.begin() + kLengthBytes,
                                 input_.begin() + kLengthBytes + length);
  input_.erase(input_.begin(), input_.begin() + kLengthBytes + length);
  phase_ = Phase::kInWork;
  service_.io_.PauseReceive(stream_);
  absl::Status status = service_.Dispatch(stream_, request);
  if (!status.ok()) Refuse(std::string(base::ToStd(status.message())));
}

void AdminConnection::Refuse(const std::string& why) {
  ++service_.bad_requests_;
  Reply(ErrorReply(why));
  phase_ = Phase::kLastSending;
}

void AdminConnection::Reply(ReplyBytes message) {
  if (phase_ != Phase::kInWork && phase_ != Phase::kReceiving) return;
  output_length_ = htole32(static_cast<uint32_t>(message->size()));
  output_ = std::move(message);
  sent_ = 0;
  phase_ = Phase::kSending;
  SendMore();
}

void AdminConnection::SendMore() {
  // Io::Send() only reads, whatever iovec says.
  std::array<iovec, 2> rest;
  size_t stretches = 0;
  if (sent_ < kLengthBytes) {
    auto* length = reinterpret_cast<std::byte*>(&output_length_);
    rest[stretches++] = {length + sent_, kLengthBytes - sent_};
  }
  const size_t body_sent = sent_ - std::min(sent_, kLengthBytes);
  rest[stretches++] = {const_cast<std::byte*>(output_->data()) + body_sent,
                       output_->size() - body_sent};
  service_.io_.Send(stream_, {rest.data(), stretches});
  RestartIdleTimer();
}

void AdminConnection::OnSent(size_t bytes, int error) {
  if (phase_ == Phase::kClosing) return;
  if (error != 0) return Close();
  sent_ += bytes;
  if (sent_ < kLengthBytes + output_->size()) return SendMore();
  output_ = nullptr;  // a reply can be large, and the next may be long in coming
  if (phase_ == Phase::kLastSending) return Close();
  phase_ = Phase::kReceiving;
  service_.io_.ResumeReceive(stream_);
  TakeRequest();
}

void AdminConnection::Close() {
  if (phase_ == Phase::kClosing) return;
  phase_ = Phase::kClosing;
  service_.io_.Close(stream_);
}

void AdminConnection::OnClosed(int error) {
  service_.io_.loop().Cancel(idle_timer_);
  service_.Forget(stream_);  // destroys this
}

void AdminConnection::RestartIdleTimer() {
  io::Loop& loop = service_.io_.loop();
  loop.Cancel(idle_timer_);
  idle_timer_ = loop.RunAt(loop.Now() + AdminService::kIdleMs * kNsPerMs, [this] { Close(); });
}

}  // namespace clustix::daemon
