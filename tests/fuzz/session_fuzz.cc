// SPDX-License-Identifier: Apache-2.0
//
// Feeds the session what no honest peer sends, on a connection that was accepted or dialed, before
// and after a handshake that really proves the key. The input is a list of steps, so that mutations
// of it stay meaningful: checksums are made right, sequence numbers are near the expected ones.
//
// What must hold: no crash, no memory beyond the stated bounds, nothing left behind, also when
// allocations fail.
#include <asm/errno.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "lib/base/crc32c.h"
#include "lib/session/session.h"
#include "tests/sim/frame_parser.h"

namespace clustix {
namespace {

using sim::Frame;
using sim::FrameParser;
using sim::LoadLe;
using sim::StoreLe;
using ByteVector = std::vector<std::byte>;

constexpr uint16_t kSelf = 2, kDialsUs = 1, kIsDialed = 3;
constexpr uint32_t kPayloadMax = 4096;
constexpr uint64_t kMs = 1'000'000;
// Two peers with two lanes each: a queue, a window, calls, and one body per connection.
constexpr size_t kMemoryMax = 8u << 20;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "session_fuzz: %s\n", what);
  std::abort();
}

// The rest of the input, taken from the front; zeros when it is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : left_(data, size) {}
  bool empty() const { return left_.empty(); }
  uint8_t Byte() {
    if (left_.empty()) return 0;
    const uint8_t byte = left_[0];
    left_ = left_.subspan(1);
    return byte;
  }
  ByteVector Take(size_t most) {
    const size_t size = std::min(most, left_.size());
    const auto bytes = std::as_bytes(left_.first(size));
    left_ = left_.subspan(size);
    return ByteVector(bytes.begin(), bytes.end());
  }

 private:
  std::span<const uint8_t> left_;
};

ByteVector MakeFrame(uint8_t type, uint8_t flags, uint64_t seq, uint64_t request,
                     const ByteVector& body) {
  ByteVector frame(KCCM_FRAME_BYTES);
  StoreLe(&frame[4], body.size(), 4);
  frame[8] = std::byte{type};
  frame[9] = std::byte{flags};
  StoreLe(&frame[16], seq, 8);
  StoreLe(&frame[24], request, 8);
  StoreLe(&frame[0], base::Crc32c(&frame[4], KCCM_FRAME_BYTES - 4), 4);
  frame.insert(frame.end(), body.begin(), body.end());
  if ((flags & KCCM_FLAG_PAYLOAD_CRC) != 0) {
    frame.resize(frame.size() + KCCM_CRC_BYTES);
    StoreLe(&frame[frame.size() - KCCM_CRC_BYTES], base::Crc32c(body.data(), body.size()), 4);
  }
  return frame;
}

// Not BLAKE2s: what counts here is that both sides compute the same.
int Mac(void*, const uint8_t key[KCCM_KEY_BYTES], const void* data, size_t bytes,
        uint8_t mac[KCCM_PROOF_BYTES]) {
  uint64_t state = 0xcbf29ce484222325u ^ key[0];
  for (size_t i = 0; i < bytes; i++) {
    state = (state ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3u;
  }
  for (size_t i = 0; i < KCCM_PROOF_BYTES; i++) mac[i] = static_cast<uint8_t>(state >> (i % 8 * 8));
  return 0;
}

class Target {
 public:
  explicit Target(uint8_t allocations)
      : allocations_left_(allocations == 0 ? 1u << 30 : allocations) {}

  void Run(Input& input);

 private:
  static Target& Of(void* ctx) { return *static_cast<Target*>(ctx); }
  static const kccm_ops& Ops();
  kccm_conn* Open(bool dialed, unsigned lane);
  void Prove(bool dialed, unsigned lane);
  void Drain();
  void Feed(const ByteVector& bytes, size_t split);
  void Step(Input& input);
  void Reap();

  uint32_t allocations_left_;
  size_t allocated_ = 0;
  uint64_t now_ = 1000 * kMs;
  uint64_t random_ = 1;
  kccm_endpoint* endpoint_ = nullptr;
  std::array<kccm_peer*, 2> peers_{};
  kccm_conn* conn_ = nullptr;
  bool closing_ = false;
  std::vector<std::pair<kccm_peer*, unsigned>> dials_, knocks_;
  FrameParser parser_;
  ByteVector hello_, reply_;  // bodies that the target wrote
  uint64_t next_seq_ = 1;
};

const kccm_ops& Target::Ops() {
  static const kccm_ops ops = {
      .alloc = [](void* ctx, size_t bytes) -> void* {
        Target& target = Of(ctx);
        if (target.allocations_left_-- == 0) {
          target.allocations_left_ = 3;  // memory comes and goes
          return nullptr;
        }
        target.allocated_ += bytes;
        Require(target.allocated_ <= kMemoryMax, "more memory than the session's limits allow");
        return std::malloc(bytes);
      },
      .free =
          [](void* ctx, void* memory, size_t bytes) {
            Of(ctx).allocated_ -= bytes;
            std::free(memory);
          },
      .random =
          [](void* ctx, void* to, size_t bytes) {
            for (size_t i = 0; i < bytes; i++) {
              Of(ctx).random_ = Of(ctx).random_ * 6364136223846793005u + 1442695040888963407u;
              static_cast<uint8_t*>(to)[i] = static_cast<uint8_t>(Of(ctx).random_ >> 56);
            }
          },
      .crc32c = base::Crc32c,
      .mac = Mac,
      .dial =
          [](void* ctx, kccm_peer* peer, unsigned lane, bool knock) {
            (knock ? Of(ctx).knocks_ : Of(ctx).dials_).emplace_back(peer, lane);
          },
      .close =
          [](void* ctx, kccm_conn* conn) {
            if (conn == Of(ctx).conn_) Of(ctx).closing_ = true;
          },
      .output_ready = [](void*, kccm_conn*) {},
      .deliver = [](void* ctx, kccm_peer* peer, const kccm_message* message) -> int {
        Require(message->length <= kPayloadMax, "a message over the limit");
        if (message->length == 13) return -ENOMEM;
        if (message->type == KCCM_FRAME_REQUEST) {
          kccm_message reply = *message;
          reply.type = KCCM_FRAME_REPLY;
          kccm_peer_reply(peer, &reply, Of(ctx).now_);
        }
        kccm_peer_consume(peer, message->lane, 1, message->length, Of(ctx).now_);
        return 0;
      },
      .sent = [](void*, kccm_peer*, uint64_t, int) {},
      .released = [](void*, uint64_t) {},
      .called = [](void*, kccm_peer*, uint64_t, int, const kccm_message*) {},
      .writable = [](void*, kccm_peer*, unsigned) {},
      .event = [](void*, kccm_peer*, kccm_event) {},
      .refused = [](void*, kccm_conn*, uint16_t, kccm_refusal, bool) {},
  };
  return ops;
}

kccm_conn* Target::Open(bool dialed, unsigned lane) {
  if (!dialed) return kccm_conn_accepted(endpoint_, this, now_);
  kccm_tick(endpoint_, now_);
  for (auto dial = dials_.begin(); dial != dials_.end(); ++dial) {
    if (dial->first != peers_[1] || dial->second != lane) continue;
    dials_.erase(dial);
    return kccm_conn_dialed(peers_[1], lane, false, this, now_);
  }
  return nullptr;
}

// What the target wants to write is parsed, for its half of the handshake, and thrown away.
void Target::Drain() {
  std::array<kccm_vec, 16> vecs;
  while (conn_ != nullptr) {
    const unsigned count = kccm_conn_output(conn_, vecs.data(), vecs.size(), now_);
    if (count == 0) return;
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
      parser_.Feed({static_cast<const std::byte*>(vecs[i].data), vecs[i].bytes},
                   [this](const Frame& frame) {
                     if (frame.type == KCCM_FRAME_HELLO) {
                       hello_.assign(frame.body.begin(), frame.body.end());
                     } else if (frame.type == KCCM_FRAME_HELLO_REPLY) {
                       reply_.assign(frame.body.begin(), frame.body.end());
                     }
                   });
      bytes += vecs[i].bytes;
    }
    kccm_conn_sent(conn_, bytes, now_);
  }
}

void Target::Feed(const ByteVector& bytes, size_t split) {
  for (size_t at = 0; at < bytes.size() && conn_ != nullptr && !closing_;) {
    const size_t part = std::min(split == 0 ? bytes.size() : split, bytes.size() - at);
    // A copy of exactly this size, so that a read past its end is seen.
    const ByteVector exact(&bytes[at], &bytes[at] + part);
    kccm_conn_input(conn_, exact.data(), exact.size(), now_);
    at += part;
  }
}

// The other side of an honest handshake.
void Target::Prove(bool dialed, unsigned lane) {
  Drain();
  if (conn_ == nullptr || (dialed && hello_.size() != KCCM_HELLO_BYTES)) return;
  ByteVector own(KCCM_HELLO_BYTES);
  StoreLe(&own[0], KCCM_MAGIC, 4);
  StoreLe(&own[4], KCCM_VERSION_MAX, 2);
  StoreLe(&own[6], KCCM_VERSION_MAX, 2);
  StoreLe(&own[24], dialed ? kIsDialed : kDialsUs, 2);
  StoreLe(&own[26], kSelf, 2);
  own[28] = static_cast<std::byte>(lane);
  StoreLe(&own[30], 1, 2);
  StoreLe(&own[32], 77, 8);
  StoreLe(&own[40], 88, 8);
  if (dialed) std::copy_n(&hello_[40], 8, &own[48]);
  StoreLe(&own[56], dialed ? LoadLe(&hello_[56], 8) : 1, 8);
  StoreLe(&own[64], 1, 8);
  StoreLe(&own[72], 100, 8);
  StoreLe(&own[80], 100'000, 8);
  StoreLe(&own[88], kPayloadMax, 4);
  StoreLe(&own[92], KCCM_TOLERANCE_MS, 4);
  if (!dialed) {
    Feed(MakeFrame(KCCM_FRAME_HELLO, KCCM_FLAG_PAYLOAD_CRC, 0, 0, own), 0);
    Drain();
    if (reply_.size() != KCCM_HELLO_REPLY_BYTES) return;
  }
  ByteVector text{static_cast<std::byte>(dialed ? 'R' : 'I')};
  const ByteVector& first = dialed ? hello_ : own;
  const ByteVector& second = dialed ? own : reply_;
  text.insert(text.end(), first.begin(), first.end());
  text.insert(text.end(), second.begin(), second.begin() + KCCM_HELLO_BYTES);
  ByteVector proof(KCCM_PROOF_BYTES);
  const uint8_t key[KCCM_KEY_BYTES] = {};
  Mac(nullptr, key, text.data(), text.size(), reinterpret_cast<uint8_t*>(proof.data()));
  if (!dialed) own.clear();  // the initiator's proof stands alone
  own.insert(own.end(), proof.begin(), proof.end());
  Feed(MakeFrame(dialed ? KCCM_FRAME_HELLO_REPLY : KCCM_FRAME_HELLO_PROOF, KCCM_FLAG_PAYLOAD_CRC, 0,
                 0, own),
       0);
}

void Target::Step(Input& input) {
  const uint8_t kind = input.Byte();
  switch (kind % 8) {
    case 0:  // bytes as they are
      return Feed(input.Take(input.Byte()), kind >> 3);
    case 1:
      now_ += input.Byte() * 20 * kMs;
      return kccm_tick(endpoint_, now_);
    case 2: {
      const kccm_message message = {.type = KCCM_FRAME_MESSAGE,
                                    .lane = static_cast<uint8_t>(kind >> 7),
                                    .port = 7,
                                    .epoch = 0,
                                    .request = 0,
                                    .payload = "0123456789abcdef",
                                    .length = static_cast<uint32_t>(kind >> 4)};
      kccm_peer* const peer = peers_[kind >> 3 & 1];
      (input.Byte() % 4 == 0 ? kccm_peer_send_in_place : kccm_peer_send)(peer, &message, 1, now_);
      return;
    }
    case 3: {
      const kccm_message message = {.type = KCCM_FRAME_REQUEST,
                                    .lane = static_cast<uint8_t>(kind >> 7),
                                    .port = 7,
                                    .epoch = 0,
                                    .request = 0,
                                    .payload = nullptr,
                                    .length = 0};
      uint64_t request = 0, cookie = 0;
      if (kccm_peer_call(peers_[kind >> 3 & 1], &message, 1, now_ + 500 * kMs, now_, &request) ==
              0 &&
          (kind >> 4 & 3) == 0) {
        kccm_peer_cancel(peers_[kind >> 3 & 1], request, &cookie);
      }
      return;
    }
    case 4:
      return Drain();
    default: {  // a frame whose checksums are right
      const uint8_t type = input.Byte() % 12;
      const uint8_t flags = input.Byte() % 4 == 0 ? input.Byte() : KCCM_FLAG_PAYLOAD_CRC;
      const bool message = type >= KCCM_FRAME_MESSAGE;
      const auto shift = static_cast<int8_t>(input.Byte());
      const uint64_t seq =
          shift % 4 == 0 ? next_seq_ + static_cast<uint64_t>(shift / 16) : next_seq_;
      if (message && seq == next_seq_) next_seq_++;
      const uint64_t request = input.Byte() | uint64_t{input.Byte()} << 20;
      ByteVector body = input.Take(input.Byte());
      if (kind >> 3 == 31) body.resize(body.size() * 300);
      return Feed(MakeFrame(type, flags, message ? seq : 0, request, body), kind >> 3);
    }
  }
}

void Target::Reap() {
  if (conn_ == nullptr || !closing_) return;
  Drain();
  kccm_conn_closed(conn_, now_);
  conn_ = nullptr;
}

void Target::Run(Input& input) {
  kccm_config config = {};
  config.node = kSelf;
  config.incarnation = 99;
  config.payload_max = kPayloadMax;
  config.window_messages = 64;
  config.window_bytes = 64 * 1024;
  config.queue_messages = 64;
  config.queue_bytes = 256 * 1024;
  config.calls = 64;
  if (kccm_endpoint_create(&config, &Ops(), this, now_, &endpoint_) != 0) return;
  const uint8_t mode = input.Byte();
  const bool dialed = (mode & 1) != 0;
  const unsigned lane = mode >> 1 & 1;
  const bool added = kccm_peer_add(endpoint_, kDialsUs, this, now_, &peers_[0]) == 0 &&
                     kccm_peer_add(endpoint_, kIsDialed, this, now_, &peers_[1]) == 0;
  if (added) conn_ = Open(dialed, lane);
  if (conn_ != nullptr && (mode & 4) != 0) Prove(dialed, lane);
  while (added && conn_ != nullptr && !input.empty()) {
    Step(input);
    Reap();
  }
  if (conn_ != nullptr) kccm_conn_closed(conn_, now_);
  for (auto& [peer, of_lane] : dials_) kccm_dial_failed(peer, of_lane, false, now_);
  for (auto& [peer, of_lane] : knocks_) kccm_dial_failed(peer, of_lane, true, now_);
  kccm_endpoint_destroy(endpoint_);
  Require(allocated_ == 0, "memory was left behind");
}

}  // namespace
}  // namespace clustix

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  clustix::Input input(data, size);
  clustix::Target target(input.Byte());
  target.Run(input);
  return 0;
}
