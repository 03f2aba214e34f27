// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/link.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/msg/core.h"

namespace clustix::msg {
namespace {

// The kernel alone would try for two minutes.
constexpr io::TimeNs kConnectTimeoutNs = KCCM_HANDSHAKE_MS * uint64_t{1'000'000};
// What one write of the bulk lane carries at most: it takes the kernel some 25 us, for which the
// other lane waits.
constexpr size_t kBulkWriteBytes = 64 * 1024;
// How long a refusal may take to leave before the connection is closed without it.
constexpr io::TimeNs kLastWordNs = 1'000'000'000;

}  // namespace

Link::Link(std::shared_ptr<Core> core, std::string address)
    : core_(std::move(core)), address_(std::move(address)) {
  core_->Add(this);
}

Link::~Link() { core_->Remove(this); }

absl::Status Link::Dial(std::shared_ptr<Core> core, kccm_peer* peer, unsigned lane, bool knock,
                        const std::string& address) {
  auto* link = new Link(core, address);
  auto stream =
      core->io().Connect(address, core->config().bind_address, core->StreamOptions(), link);
  if (!stream.ok()) {
    delete link;
    return stream.status();
  }
  link->stream_ = *stream;
  link->dialed_peer_ = peer;
  link->lane_ = lane;
  link->knock_ = knock;
  link->timer_ = core->loop().RunAt(core->Now() + kConnectTimeoutNs, [link] {
    link->timer_ = 0;
    link->CloseNow();
  });
  return absl::OkStatus();
}

Link* Link::Accept(std::shared_ptr<Core> core, io::StreamId stream,
                   const std::string& peer_address) {
  auto* link = new Link(core, peer_address);
  link->stream_ = stream;
  link->conn_ = kccm_conn_accepted(core->endpoint(), link, core->Now());
  if (link->conn_ == nullptr) {
    delete link;
    return nullptr;
  }
  core->Touch();
  return link;
}

void Link::CancelTimer() {
  if (timer_ != 0) core_->loop().Cancel(std::exchange(timer_, 0));
}

void Link::AbandonDial() {
  kccm_peer* peer = std::exchange(dialed_peer_, nullptr);
  if (peer != nullptr) kccm_dial_failed(peer, lane_, knock_, core_->Now());
}

void Link::OnConnected(int error) {
  CancelTimer();
  if (error != 0 || closing_) {
    AbandonDial();
    CloseNow();
  } else {
    conn_ =
        kccm_conn_dialed(std::exchange(dialed_peer_, nullptr), lane_, knock_, this, core_->Now());
    if (conn_ == nullptr) CloseNow();
  }
  core_->Touch();
}

void Link::OnData(std::span<const std::byte> data) {
  if (closing_ || conn_ == nullptr) return;
  kccm_conn_input(conn_, data.data(), data.size(), core_->Now());
  if (!bulk_) LearnLane();
  core_->Touch();
}

void Link::LearnLane() {
  bulk_ = kccm_conn_peer(conn_) != nullptr && kccm_conn_lane(conn_) == KCCM_LANE_BULK;
  if (bulk_) core_->io().SetBulk(stream_);
}

void Link::OnSent(size_t bytes, int error) {
  sending_ = false;
  if (conn_ != nullptr) kccm_conn_sent(conn_, bytes, core_->Now());
  if (error != 0) {
    CloseNow();
  } else if (closing_) {
    OutputReady();  // the rest of a last word, or nothing: Flush() closes
  }
  core_->Touch();
}

void Link::OnClosed(int error) {
  CancelTimer();
  closing_ = true;
  AbandonDial();
  if (conn_ != nullptr) kccm_conn_closed(std::exchange(conn_, nullptr), core_->Now());
  core_->Touch();
  delete this;
}

void Link::OutputReady() {
  if (dirty_) return;
  dirty_ = true;
  core_->MarkDirty(this);
}

void Link::CloseSoon() {
  closing_ = true;
  OutputReady();
}

void Link::CloseNow() {
  closing_ = true;
  core_->io().Close(stream_);
}

void Link::Write() {
  std::array<kccm_vec, KCCM_WRITE_VECS> vecs;
  const unsigned count = kccm_conn_output(conn_, vecs.data(), vecs.size(), core_->Now());
  if (count == 0) return;
  std::array<iovec, KCCM_WRITE_VECS> out;
  size_t room = bulk_ ? kBulkWriteBytes : SIZE_MAX;
  unsigned used = 0;
  for (; used < count && room > 0; ++used) {
    const size_t bytes = std::min(vecs[used].bytes, room);
    out[used] = {.iov_base = const_cast<void*>(vecs[used].data), .iov_len = bytes};
    room -= bytes;
  }
  sending_ = true;
  core_->io().Send(stream_, {out.data(), used});
}

void Link::Flush() {
  dirty_ = false;
  if (conn_ == nullptr) return;
  if (!sending_) {
    Write();
  } else if (closing_) {
    CloseNow();  // what is in flight is of no use to anybody
    return;
  }
  if (!closing_) return;
  if (!sending_) {
    CloseNow();
  } else if (timer_ == 0) {
    timer_ = core_->loop().RunAt(core_->Now() + kLastWordNs, [this] {
      timer_ = 0;
      CloseNow();
    });
  }
}

}  // namespace clustix::msg
