// SPDX-License-Identifier: Apache-2.0
//
// Everything that the daemon and its clients share in memory, and every limit of it. Three kinds of
// memory, each a memfd of its own (docs/CACHE.md has the picture):
//
//   node page   one per daemon       written by the daemon, read-only in clients: lease, wake-up
//   flag arena       one per set          written by the daemon, read-only in clients: index and
//   objects region      one per client       written by that client and the daemon: pins, rings,
//   staging
//
// Each shared word is an atomic, and says who writes it. What a client can write, the daemon copies
// first, checks then, and uses last; it keeps nothing there that it needs again.
#ifndef CLUSTIX_LIB_CACHE_LAYOUT_H_
#define CLUSTIX_LIB_CACHE_LAYOUT_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace clustix::cache {

using Word = std::atomic<uint64_t>;
static_assert(sizeof(Word) == 8 && Word::is_always_lock_free, "shared between processes");

// A client of another layout is refused when it maps the memory.
inline constexpr uint32_t kLayoutVersion = 1;
inline constexpr uint64_t kNodeMagic = 0x65646f6e58544c43;    // "CLTXnode"
inline constexpr uint64_t kArenaMagic = 0x6e65726158544c43;   // "CLTXaren"
inline constexpr uint64_t kRegionMagic = 0x6967657258544c43;  // "CLTXregi"

inline constexpr size_t kLineBytes = 64;
inline constexpr size_t kPageBytes = 4096;
inline constexpr uint32_t kObjectBytesMax = 1 << 20;
inline constexpr size_t kBlockAlign = 16;
inline constexpr uint64_t kArenaBytesMax = uint64_t{1} << 40;
inline constexpr uint64_t kArenaBytesMin = 64 * 1024;

// --- Where an object's bytes are -------------------------------------------------------------

// In one word, so that it is replaced by one store: 20 bits of size - 1, then 36 bits of the offset
// in the arena in units of kBlockAlign, then 8 bits that are 0. The word 0 is no place: an arena
// begins with its header.
class Place {
 public:
  constexpr Place() = default;
  constexpr Place(uint64_t offset, uint32_t bytes)
      : word_((offset / kBlockAlign) << kSizeBits | (bytes - 1)) {}
  static constexpr Place FromWord(uint64_t word) {
    Place place;
    place.word_ = word;
    return place;
  }

  constexpr uint64_t word() const { return word_; }
  constexpr bool empty() const { return word_ == 0; }
  constexpr uint32_t bytes() const { return static_cast<uint32_t>(word_ & kSizeMask) + 1; }
  constexpr uint64_t offset() const { return block() * kBlockAlign; }
  // The offset in units of kBlockAlign: names the block within its arena.
  constexpr uint64_t block() const { return (word_ >> kSizeBits) & kBlockMask; }
  constexpr bool operator==(const Place&) const = default;

  static constexpr unsigned kBlockBits = 36;
  static constexpr uint64_t kBlockMask = (uint64_t{1} << kBlockBits) - 1;

 private:
  static constexpr unsigned kSizeBits = 20;
  static constexpr uint64_t kSizeMask = (uint64_t{1} << kSizeBits) - 1;
  uint64_t word_ = 0;
};
static_assert(Place(0x1230, kObjectBytesMax).bytes() == kObjectBytesMax);
static_assert(Place(kArenaBytesMax - kBlockAlign, 1).offset() == kArenaBytesMax - kBlockAlign);

// What a pin slot holds: which block of which arena. 0: nothing, as no block is at offset 0.
inline constexpr unsigned kArenaIdBits = 64 - Place::kBlockBits;
inline constexpr uint64_t PinName(uint32_t arena, Place place) {
  return uint64_t{arena} << Place::kBlockBits | place.block();
}

// --- Node page -------------------------------------------------------------------------------

// Which clock lease_until counts.
enum class LeaseClockKind : uint32_t { kTsc = 1, kMonotonic = 2 };
// Who pays for the order of a pin and the look at the index (barrier.h).
enum class FenceKind : uint32_t { kMembarrier = 1, kFull = 2 };

struct NodePage {
  uint64_t magic;
  uint32_t version;
  FenceKind fence;
  LeaseClockKind clock;
  uint32_t unused;
  // Reads are served while the clock is below this. 0: no lease.
  alignas(kLineBytes) Word lease_until;
  // Not 0 while the daemon sleeps, or is about to: a request then needs a ring of the bell.
  alignas(kLineBytes) Word daemon_sleeps;
};
static_assert(sizeof(NodePage) == 3 * kLineBytes);

// --- Arena -----------------------------------------------------------------------------------

// The first page of an arena. The rest is runs of pages: tables of the index, and blocks of
// objects.
struct ArenaHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t arena;        // its number on this node: names its blocks in pin slots
  uint64_t arena_bytes;  // of the whole memory
  uint64_t hash_seed;
  // The table of the index that holds now: see TableRoot.
  alignas(kLineBytes) Word root;
};
static_assert(sizeof(ArenaHeader) == 2 * kLineBytes);

// One word: 8 bits of log2 of the number of buckets, 32 bits of the table's first page, 24 bits
// that count tables, so that a table is not taken for an older one that began at the same page.
class TableRoot {
 public:
  constexpr TableRoot(uint64_t offset, unsigned log2_buckets, uint64_t count)
      : word_(count << 40 | (offset / kPageBytes) << 8 | log2_buckets) {}
  static constexpr TableRoot FromWord(uint64_t word) { return TableRoot(word); }
  constexpr uint64_t word() const { return word_; }
  constexpr unsigned log2_buckets() const { return word_ & 0xff; }
  constexpr uint64_t buckets() const { return uint64_t{1} << log2_buckets(); }
  constexpr uint64_t mask() const { return buckets() - 1; }
  constexpr uint64_t offset() const { return ((word_ >> 8) & 0xffffffff) * kPageBytes; }
  constexpr uint64_t count() const { return word_ >> 40; }

 private:
  constexpr explicit TableRoot(uint64_t word) : word_(word) {}
  uint64_t word_;
};

// An object in the index. Free if `place` is 0.
struct Entry {
  Word id;
  Word place;
  Word object_version;
};

// One cache line. `sequence` is odd while the daemon changes the bucket: a sequence lock, whose
// readers look at it before and after.
inline constexpr size_t kBucketEntries = 2;
struct alignas(kLineBytes) Bucket {
  Word sequence;
  std::array<Entry, kBucketEntries> entries;
  uint64_t unused;
};
static_assert(sizeof(Bucket) == kLineBytes);

// An object stands in one of two buckets (two-choice cuckoo hashing; Pagh and Rodler 2001). The
// mixer is the finaliser of MurmurHash3.
struct BucketPair {
  uint64_t first, second;
};
inline BucketPair BucketsOf(uint64_t id, uint64_t seed, uint64_t mask) {
  uint64_t hash = id ^ seed;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return {hash & mask, (hash >> 32) & mask};
}
inline constexpr unsigned kTableLog2Min = 6;  // one page
inline constexpr unsigned kTableLog2Max = 32;

// --- Region ----------------------------------------------------------------------------------

// A thread of a client has a stripe of its own, so that no two threads write one cache line.
inline constexpr size_t kStripes = 64;
inline constexpr size_t kPinsPerStripe = 8;
struct alignas(kLineBytes) PinStripe {
  std::array<Word, kPinsPerStripe> slots;  // written by the client, read by the daemon
};
static_assert(sizeof(PinStripe) == kLineBytes);

// What a client asks. The meaning of `kind`, `argument` and `status` is the service's; what the
// cache knows is that `staged_bytes` at `staged_offset` of the staging area belong to it.
struct Request {
  uint64_t cookie = 0;  // comes back in the reply
  uint32_t kind = 0;
  uint32_t set = 0;
  uint64_t object = 0;
  uint64_t object_version = 0;
  uint64_t argument = 0;
  uint32_t staged_offset = 0;
  uint32_t staged_bytes = 0;
  uint64_t unused[2] = {};
};
static_assert(sizeof(Request) == 64);

struct Reply {
  uint64_t cookie = 0;
  uint32_t status = 0;
  uint32_t staged_bytes = 0;
  uint64_t object_version = 0;
  uint64_t argument = 0;
};
static_assert(sizeof(Reply) == 32);

inline constexpr size_t kRingSlots = 256;
inline constexpr size_t kStagingBytes = 4 << 20;
inline constexpr size_t kStagingUnitBytes = 64 * 1024;
static_assert(kStagingBytes / kStagingUnitBytes == 64, "one word says which units are taken");

// A small object of a volatile set that is lent to one client, which then writes it without asking.
// The word `lent` is the loan's number while it is the client's, the same with kRecalled once the
// daemon wants it back, and 0 once it has it back.
inline constexpr size_t kLoans = 64;
inline constexpr uint32_t kLoanBytesMax = 256;
struct alignas(kLineBytes) LoanSlot {
  Word lent;                        // written by the daemon
  alignas(kLineBytes) Word in_use;  // written by the client: not 0 from grab to put
  Word current;                     // written by the client: a LoanCommit, the last one
  alignas(kLineBytes) std::array<std::array<std::byte, kLoanBytesMax>, 2> buffers;
};
static_assert(sizeof(LoanSlot) == 2 * kLineBytes + 2 * kLoanBytesMax);
inline constexpr uint64_t kRecalled = 1;  // the numbers of loans are even

// One word, so that a commit is one store: which buffer, how long, and how many commits there were.
class LoanCommit {
 public:
  constexpr LoanCommit(unsigned buffer, uint32_t bytes, uint32_t count)
      : word_(uint64_t{count} << 32 | uint64_t{bytes} << 1 | buffer) {}
  static constexpr LoanCommit FromWord(uint64_t word) {
    return {static_cast<unsigned>(word & 1), static_cast<uint32_t>(word) >> 1,
            static_cast<uint32_t>(word >> 32)};
  }
  constexpr uint64_t word() const { return word_; }
  constexpr unsigned buffer() const { return word_ & 1; }
  constexpr uint32_t bytes() const { return static_cast<uint32_t>(word_) >> 1; }
  constexpr uint32_t count() const { return static_cast<uint32_t>(word_ >> 32); }

 private:
  uint64_t word_;
};

struct Region {
  uint64_t magic;
  uint32_t version;
  uint32_t unused;
  alignas(kLineBytes) Word request_tail;  // written by the client
  alignas(kLineBytes) Word request_head;  // written by the daemon
  alignas(kLineBytes) Word reply_tail;    // written by the daemon
  alignas(kLineBytes) Word reply_head;    // written by the client
  alignas(kLineBytes) Word
      client_sleeps;  // written by the client: a reply needs a ring of its bell
  alignas(kPageBytes) std::array<PinStripe, kStripes> stripes;
  alignas(kPageBytes) std::array<std::array<Word, sizeof(Request) / 8>, kRingSlots> requests;
  alignas(kPageBytes) std::array<std::array<Word, sizeof(Reply) / 8>, kRingSlots> replies;
  alignas(kPageBytes) std::array<LoanSlot, kLoans> loans;
  // Plain bytes: those of a request belong to the client until it pushes the request, and to the
  // daemon until it replies.
  alignas(kPageBytes) std::array<std::byte, kStagingBytes> staging;
};
static_assert(sizeof(Region) == 18 * kPageBytes + kStagingBytes);

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_LAYOUT_H_
