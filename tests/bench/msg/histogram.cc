// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/histogram.h"

#include <algorithm>
#include <cmath>

namespace clustix::bench {

void Histogram::Add(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
}

uint64_t Histogram::UpperOf(size_t index) {
  if (index < (size_t{2} << kBits)) return index;
  const unsigned shift = static_cast<unsigned>(index >> kBits) - 1;
  const uint64_t step = index - (static_cast<size_t>(shift) << kBits);
  return ((step + 1) << shift) - 1;
}

uint64_t Histogram::Percentile(double share) const {
  if (total_ == 0) return 0;
  const double wanted = std::ceil(share * static_cast<double>(total_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, total_);
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return UpperOf(i);
  }
  return UpperOf(kBuckets - 1);
}

std::vector<Histogram::Bucket> Histogram::Buckets() const {
  std::vector<Bucket> buckets;
  for (size_t i = 0; i < kBuckets; ++i) {
    if (counts_[i] > 0) buckets.push_back({UpperOf(i), counts_[i]});
  }
  return buckets;
}

}  // namespace clustix::bench
