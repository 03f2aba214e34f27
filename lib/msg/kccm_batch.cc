// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_batch.h"

namespace clustix::msg {

void KccmBatch::Add(const kccm_uring_send& request, uint32_t command) {
  const auto* payload = reinterpret_cast<const std::byte*>(request.payload);
  messages_.push_back({.offset = static_cast<uint32_t>(payloads_.size()),
                       .length = request.length,
                       .epoch = request.epoch,
                       .node = request.node,
                       .port = request.port,
                       .lane = request.lane,
                       .flags = static_cast<uint8_t>(request.flags & KCCM_URING_RESUME),
                       .zero = 0,
                       .zero2 = 0});
  if (request.length > 0) payloads_.insert(payloads_.end(), payload, payload + request.length);
  commands_.push_back(command);
}

kccm_uring_send_many& KccmBatch::Seal() {
  arguments_ = {.messages = reinterpret_cast<uint64_t>(messages_.data()),
                .payloads = reinterpret_cast<uint64_t>(payloads_.data()),
                .payload_bytes = static_cast<uint32_t>(payloads_.size()),
                .count = static_cast<uint32_t>(messages_.size()),
                .flags = KCCM_URING_ORDERED | KCCM_URING_MORE,
                .error = 0};
  return arguments_;
}

void KccmBatch::Clear() {
  messages_.clear();
  payloads_.clear();
  commands_.clear();
  arguments_ = {};
}

}  // namespace clustix::msg
