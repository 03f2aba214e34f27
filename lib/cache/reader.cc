// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/reader.h"

#include <cassert>
#include <cstring>

namespace clustix::cache {

std::unique_ptr<Reader> Reader::Create(const NodeView* node, ClientRegion* region) {
  PinStripe* stripe = region->TakeStripe();
  if (stripe == nullptr) return nullptr;
  return std::unique_ptr<Reader>(new Reader(node, region, stripe));
}

Reader::~Reader() {
  assert(pins_taken_ == 0 && "a pin outlives its reader");
  region_->GiveStripe(stripe_);
}

Lookup Reader::ReadPinned(const SetView& set, uint64_t id, std::span<std::byte> to,
                          ObjectInfo* info) {
  Pinned pinned;
  const Lookup result = Get(set, id, &pinned);
  if (result != Lookup::kHit) return result;
  *info = {.object_version = pinned.object_version(),
           .bytes = static_cast<uint32_t>(pinned.data().size())};
  if (pinned.data().size() > to.size()) return Lookup::kTooLong;
  std::memcpy(to.data(), pinned.data().data(), pinned.data().size());
  return Lookup::kHit;
}

}  // namespace clustix::cache
