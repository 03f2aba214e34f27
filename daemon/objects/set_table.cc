// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/set_table.h"

#include <endian.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/kddm/limits.h"

namespace clustix::daemon {
namespace {

using kddm::Completion;
using kddm::OpKind;

// The counters of the nodes stand behind the buckets.
constexpr uint64_t kFirstCounter = uint64_t{1} << 32;

kddm::ObjectKey BucketKey(uint64_t bucket) {
  return {.object = bucket, .set = SetTable::kTableSet};
}

// FNV-1a: the same on all nodes, whatever they are built with.
uint64_t BucketOf(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return kddm::Mix(hash) % SetTable::kBuckets;
}

absl::StatusOr<SetTable::Sets> SetsOf(const Completion& completion) {
  if (completion.status == kddm::Status::kNotFound) return SetTable::Sets();
  if (completion.status != kddm::Status::kOk) return ToStatus(completion.status);
  if (completion.content == kddm::Content::kLost) return ToStatus(kddm::Status::kLost);
  if (completion.data == nullptr) return SetTable::Sets();
  return DecodeSets(*completion.data);
}

const SetDefinition* FindIn(const SetTable::Sets& sets, const std::string& name) {
  const auto found = std::find_if(sets.begin(), sets.end(),
                                  [&name](const SetDefinition& set) { return set.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

absl::Status NoSuchSet(const std::string& name) {
  return absl::NotFoundError("there is no set " + name);
}

}  // namespace

absl::Status ToStatus(kddm::Status status) {
  switch (status) {
    case kddm::Status::kOk:
      return absl::OkStatus();
    case kddm::Status::kNotFound:
      return absl::NotFoundError("there is no such object");
    case kddm::Status::kLost:
      return absl::DataLossError("more nodes have failed than the table of sets has copies");
    case kddm::Status::kNoSpace:
      return absl::ResourceExhaustedError("no node has room for it");
    case kddm::Status::kBadRequest:
      return absl::InvalidArgumentError("too large for an object");
    case kddm::Status::kUnknown:
      return absl::UnknownError("a node did not answer in time: it may still happen");
    case kddm::Status::kCancelled:
    case kddm::Status::kRevoked:
      return absl::UnavailableError("a node did not answer in time: nothing has happened");
    case kddm::Status::kUnavailable:
      break;
  }
  return absl::UnavailableError("this node is not in the cluster's view");
}

void SetTable::ReadBucket(uint64_t bucket, OnSets done) {
  driver_.Begin(
      {.kind = OpKind::kGet, .key = BucketKey(bucket)}, kStepMs,
      [done = std::move(done)](const Completion& completion) { done(SetsOf(completion)); });
}

void SetTable::ChangeBucket(uint64_t bucket, Change change,
                            std::function<void(absl::Status)> done) {
  auto grabbed = [this, change = std::move(change),
                  done = std::move(done)](const Completion& completion) {
    absl::StatusOr<Sets> sets = SetsOf(completion);
    if (completion.status != kddm::Status::kOk) return done(sets.status());
    const absl::StatusOr<bool> changed =
        sets.ok() ? change(&*sets) : absl::StatusOr<bool>(sets.status());
    if (!changed.ok() || !*changed) {
      driver_.Release(completion.op);
      return done(changed.status());
    }
    auto bytes = std::make_shared<const std::vector<std::byte>>(EncodeSets(*sets));
    if (bytes->size() > kddm::kObjectBytesMax) {
      driver_.Release(completion.op);
      return done(absl::ResourceExhaustedError("the table of sets is full"));
    }
    driver_.Put(completion.op, std::move(bytes), kStepMs,
                [done](const Completion& put) { done(ToStatus(put.status)); });
  };
  driver_.Begin({.kind = OpKind::kGrab, .key = BucketKey(bucket)}, kStepMs, std::move(grabbed));
}

void SetTable::DrawSerial(std::function<void(absl::StatusOr<uint32_t>)> done) {
  auto grabbed = [this, done = std::move(done)](const Completion& completion) {
    if (completion.status != kddm::Status::kOk) return done(ToStatus(completion.status));
    // 1 is the table's own; 0 is nobody's.
    uint32_t serial = 2;
    if (completion.data != nullptr && completion.data->size() == sizeof serial) {
      std::memcpy(&serial, completion.data->data(), sizeof serial);
      serial = le32toh(serial);
    }
    if (completion.content == kddm::Content::kLost || serial > kddm::kSetSerialMax) {
      driver_.Release(completion.op);
      return done(absl::ResourceExhaustedError("this node has made as many sets as it can number"));
    }
    const uint32_t next = htole32(serial + 1);
    auto bytes = std::make_shared<std::vector<std::byte>>(sizeof next);
    std::memcpy(bytes->data(), &next, sizeof next);
    driver_.Put(completion.op, std::move(bytes), kStepMs, [done, serial](const Completion& put) {
      if (put.status != kddm::Status::kOk) return done(ToStatus(put.status));
      done(serial);
    });
  };
  const NodeId self = driver_.engine().self();
  driver_.Begin({.kind = OpKind::kGrab, .key = BucketKey(kFirstCounter + self)}, kStepMs,
                std::move(grabbed));
}

void SetTable::Find(const std::string& name, OnSet done) {
  ReadBucket(BucketOf(name), [name, done = std::move(done)](absl::StatusOr<Sets> sets) {
    if (!sets.ok()) return done(sets.status());
    const SetDefinition* found = FindIn(*sets, name);
    if (found == nullptr) return done(NoSuchSet(name));
    done(*found);
  });
}

// What a listing has so far; ends with its last bucket.
struct SetTable::Listing {
  std::string prefix;
  OnSets done;
  Sets sets;
  absl::Status status;
  uint64_t missing = kBuckets;

  void Take(absl::StatusOr<Sets> bucket) {
    if (bucket.ok()) {
      for (SetDefinition& set : *bucket) {
        if (set.name.starts_with(prefix)) sets.push_back(std::move(set));
      }
    } else if (status.ok()) {
      status = bucket.status();
    }
    if (--missing != 0) return;
    if (!status.ok()) return done(status);
    std::sort(sets.begin(), sets.end(),
              [](const SetDefinition& a, const SetDefinition& b) { return a.name < b.name; });
    done(std::move(sets));
  }
};

void SetTable::List(const std::string& prefix, OnSets done) {
  auto listing = std::make_shared<Listing>();
  listing->prefix = prefix;
  listing->done = std::move(done);
  for (uint64_t bucket = 0; bucket < kBuckets; ++bucket) {
    ReadBucket(bucket, [listing](absl::StatusOr<Sets> sets) { listing->Take(std::move(sets)); });
  }
}

void SetTable::FindById(kddm::SetId id, OnSet done) {
  List("", [id, done = std::move(done)](absl::StatusOr<Sets> sets) {
    if (!sets.ok()) return done(sets.status());
    const auto found = std::find_if(sets->begin(), sets->end(),
                                    [id](const SetDefinition& set) { return set.id == id; });
    if (found == sets->end()) return done(absl::NotFoundError("there is no set of this id"));
    done(*found);
  });
}

// 1. Most often it is there: look without grabbing. 2. A serial number, before the bucket is
// grabbed, so that nobody waits for two steps of ours. 3. The bucket, where it may be there by now.
void SetTable::Make(const SetDefinition& wanted, bool exclusive, OnMade done) {
  auto exists = [exclusive](const std::string& name) -> absl::Status {
    if (!exclusive) return absl::OkStatus();
    return absl::AlreadyExistsError(absl::StrCat("there is a set ", name, " already"));
  };
  auto numbered = [this, wanted, exists, done](absl::StatusOr<uint32_t> serial) {
    if (!serial.ok()) return done(serial.status(), false);
    auto made = std::make_shared<SetDefinition>(wanted);
    made->id |= *serial;
    auto created = std::make_shared<bool>(false);
    ChangeBucket(
        BucketOf(wanted.name),
        [made, created, exists](Sets* sets) -> absl::StatusOr<bool> {
          if (const SetDefinition* found = FindIn(*sets, made->name)) {
            *made = *found;
            if (absl::Status status = exists(made->name); !status.ok()) return status;
            return false;
          }
          sets->push_back(*made);
          *created = true;
          return true;
        },
        [made, created, done](const absl::Status& status) {
          if (!status.ok()) return done(status, false);
          done(*made, *created);
        });
  };
  Find(wanted.name,
       [this, name = wanted.name, exists, done, numbered](absl::StatusOr<SetDefinition> found) {
         if (absl::IsNotFound(found.status())) return DrawSerial(numbered);
         if (!found.ok()) return done(found.status(), false);
         if (absl::Status status = exists(name); !status.ok()) return done(status, false);
         done(*std::move(found), false);
       });
}

void SetTable::Remove(const std::string& name, Check check, OnSet done) {
  auto removed = std::make_shared<SetDefinition>();
  ChangeBucket(
      BucketOf(name),
      [name, removed, check = std::move(check)](Sets* sets) -> absl::StatusOr<bool> {
        const SetDefinition* found = FindIn(*sets, name);
        if (found == nullptr) return NoSuchSet(name);
        if (absl::Status status = check(*found); !status.ok()) return status;
        *removed = *found;
        std::erase_if(*sets, [&name](const SetDefinition& set) { return set.name == name; });
        return true;
      },
      [removed, done = std::move(done)](const absl::Status& status) {
        if (!status.ok()) return done(status);
        done(*removed);
      });
}

}  // namespace clustix::daemon
