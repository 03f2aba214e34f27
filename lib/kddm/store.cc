// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/store.h"

namespace clustix::kddm {

void HeapStore::Keep(const ObjectKey& key, Version /*version*/, const Data& data) {
  Kept& kept = kept_.at(kept_.Insert(key));
  if (kept.data != nullptr) used_bytes_ -= kept.data->size();
  used_bytes_ += data->size();
  kept.data = data;
}

void HeapStore::Drop(const ObjectKey& key) {
  const Kept* kept = kept_.Find(key);
  if (kept == nullptr) return;
  used_bytes_ -= kept->data->size();
  kept_.Erase(key);
}

Data HeapStore::Find(const ObjectKey& key) const {
  const Kept* kept = kept_.Find(key);
  return kept == nullptr ? nullptr : kept->data;
}

}  // namespace clustix::kddm
