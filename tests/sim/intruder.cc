// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/intruder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/base/crc32c.h"

namespace clustix::sim {
namespace {

using ByteVector = std::vector<std::byte>;

void Append(ByteVector* to, uint64_t value, size_t bytes) {
  const size_t at = to->size();
  to->resize(at + bytes);
  StoreLe(to->data() + at, value, bytes);
}

void AppendFrame(ByteVector* to, uint8_t type, uint64_t seq, const ByteVector& body) {
  ByteVector head;
  Append(&head, 0, 4);
  Append(&head, body.size(), 4);
  Append(&head, type, 1);
  Append(&head, KCCM_FLAG_PAYLOAD_CRC, 1);
  Append(&head, 7, 2);
  Append(&head, 0, 4);
  Append(&head, seq, 8);
  Append(&head, type == KCCM_FRAME_MESSAGE || seq == 0 ? 0 : 1, 8);
  StoreLe(head.data(), base::Crc32c(head.data() + 4, KCCM_FRAME_BYTES - 4), 4);
  to->insert(to->end(), head.begin(), head.end());
  to->insert(to->end(), body.begin(), body.end());
  Append(to, base::Crc32c(body.data(), body.size()), 4);
}

}  // namespace

// One of its connections, dialed or accepted.
class Intruder::Line final : public io::StreamHandler {
 public:
  Line(Intruder& owner, uint16_t peer) : owner_(owner), peer_(peer) {}

  io::StreamId stream = 0;

  void OnConnected(int error) override {
    if (error != 0) return;
    AppendFrame(&output_, KCCM_FRAME_HELLO, 0, Hello(nullptr));
    // Impatient ones do not even wait for the answer.
    if (owner_.prng_.Chance(1, 4)) Forge();
    Write();
  }
  void OnData(std::span<const std::byte> data) override {
    parser_.Feed(data, [this](const Frame& frame) { OnFrame(frame); });
    Write();
  }
  void OnSent(size_t bytes, int error) override {
    writing_ = false;
    output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(bytes));
    if (error == 0) Write();
  }
  void OnClosed(int error) override { closed_ = true; }
  bool closed() const { return closed_; }

 private:
  ByteVector Hello(const Frame* heard) {
    base::Prng& prng = owner_.prng_;
    ByteVector body;
    Append(&body, KCCM_MAGIC, 4);
    Append(&body, KCCM_VERSION_MIN, 2);
    Append(&body, KCCM_VERSION_MIN, 2);
    for (uint8_t byte : owner_.cluster_) Append(&body, byte, 1);
    Append(&body, owner_.claims_, 2);
    Append(&body, heard != nullptr ? LoadLe(&heard->body[24], 2) : peer_, 2);
    Append(&body, heard != nullptr ? LoadLe(&heard->body[28], 1) : prng.Below(KCCM_LANES), 1);
    Append(&body, 0, 1);
    Append(&body, 1, 2);
    Append(&body, prng.Next() | 1, 8);
    Append(&body, prng.Next() | 1, 8);
    Append(&body, heard != nullptr ? LoadLe(&heard->body[40], 8) : 0, 8);
    Append(&body, heard != nullptr ? LoadLe(&heard->body[56], 8) : owner_.attempt_++, 8);
    Append(&body, 1, 8);
    Append(&body, 1000, 8);
    Append(&body, KCCM_WINDOW_BYTES, 8);
    Append(&body, KCCM_PAYLOAD_MAX, 4);
    Append(&body, KCCM_TOLERANCE_MS, 4);
    body.resize(KCCM_HELLO_BYTES);
    prng.Fill(&body[96], KCCM_NONCE_BYTES);
    return body;
  }

  void OnFrame(const Frame& frame) {
    if (frame.type == KCCM_FRAME_HELLO && frame.body.size() == KCCM_HELLO_BYTES) {
      ByteVector body = Hello(&frame);
      body.resize(body.size() + KCCM_PROOF_BYTES);  // what a proof would be
      AppendFrame(&output_, KCCM_FRAME_HELLO_REPLY, 0, body);
      Forge();
    } else if (frame.type == KCCM_FRAME_HELLO_REPLY) {
      AppendFrame(&output_, KCCM_FRAME_HELLO_PROOF, 0, ByteVector(KCCM_PROOF_BYTES));
      Forge();
    }
  }

  void Forge() {
    AppendFrame(&output_, KCCM_FRAME_MESSAGE, 1, ByteVector(40, std::byte{0x66}));
    AppendFrame(&output_, KCCM_FRAME_REQUEST, 2, ByteVector(40, std::byte{0x66}));
    AppendFrame(&output_, KCCM_FRAME_REPLY, 3, ByteVector(40, std::byte{0x66}));
  }

  void Write() {
    if (writing_ || output_.empty() || closed_) return;
    writing_ = true;
    in_flight_ = output_;  // which may grow and move before OnSent()
    const iovec vec{in_flight_.data(), in_flight_.size()};
    owner_.io_.Send(stream, std::span(&vec, 1));
  }

  Intruder& owner_;
  const uint16_t peer_;
  FrameParser parser_;
  ByteVector output_, in_flight_;
  bool writing_ = false;
  bool closed_ = false;
};

Intruder::Intruder(SimIo& io, base::Prng prng, uint16_t claims, std::string address,
                   std::array<uint8_t, KCCM_CLUSTER_BYTES> cluster, std::vector<Target> targets)
    : io_(io), prng_(prng), claims_(claims), cluster_(cluster), targets_(std::move(targets)) {
  // The address may be taken in no world of the simulator: its node does not run.
  (void)io_.Listen(address, {}, this);
  io_.loop().RunAt(io_.loop().Now() + prng_.Between(1, 100) * kMs, [this] { Dial(); });
}

Intruder::~Intruder() = default;

io::StreamHandler* Intruder::OnAccept(io::StreamId stream, const std::string& peer_address) {
  lines_.push_back(std::make_unique<Line>(*this, 0));
  lines_.back()->stream = stream;
  return lines_.back().get();
}

void Intruder::Dial() {
  if (!active_) return;
  std::erase_if(lines_, [](const auto& line) { return line->closed(); });
  const Target& target = targets_[prng_.Below(targets_.size())];
  auto line = std::make_unique<Line>(*this, target.node);
  auto stream = io_.Connect(target.address, "", {}, line.get());
  if (stream.ok()) {
    line->stream = *stream;
    lines_.push_back(std::move(line));
  }
  io_.loop().RunAt(io_.loop().Now() + prng_.Between(20, 400) * kMs, [this] { Dial(); });
}

}  // namespace clustix::sim
