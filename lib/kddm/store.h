// SPDX-License-Identifier: Apache-2.0
//
// Where a node keeps the bytes of the objects that it holds. The engine decides what is held; the
// store only keeps it, within a budget. One thread at a time: the engine's.
#ifndef CLUSTIX_LIB_KDDM_STORE_H_
#define CLUSTIX_LIB_KDDM_STORE_H_

#include <cstddef>
#include <cstdint>

#include "lib/kddm/ids.h"
#include "lib/kddm/object_table.h"

namespace clustix::kddm {

class Store {
 public:
  virtual ~Store() = default;
  // Keeps the value of this version, instead of any older one.
  virtual void Keep(const ObjectKey& key, Version version, const Data& data) = 0;
  virtual void Drop(const ObjectKey& key) = 0;
  virtual Data Find(const ObjectKey& key) const = 0;  // nullptr: not there
  // Readers outside the engine may use what is kept (or not any more). When this returns false,
  // none does.
  virtual void SetReadable(const ObjectKey& key, bool readable) = 0;
  // How many bytes more fit.
  virtual size_t Room() const = 0;
};

// Keeps everything on the heap.
class HeapStore : public Store {
 public:
  explicit HeapStore(size_t budget_bytes = SIZE_MAX) : budget_bytes_(budget_bytes) {}

  void Keep(const ObjectKey& key, Version version, const Data& data) override;
  void Drop(const ObjectKey& key) override;
  Data Find(const ObjectKey& key) const override;
  void SetReadable(const ObjectKey&, bool) override {}
  size_t Room() const override {
    return used_bytes_ < budget_bytes_ ? budget_bytes_ - used_bytes_ : 0;
  }

  size_t used_bytes() const { return used_bytes_; }

 private:
  struct Kept {
    ObjectKey key;
    Data data;
  };
  const size_t budget_bytes_;
  size_t used_bytes_ = 0;
  ObjectTable<Kept> kept_;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_STORE_H_
