// SPDX-License-Identifier: Apache-2.0
//
// Objects whose bytes follow from set, number and how often they were written, so that who reads
// one can tell whether it is whole; a journal, in memory of the test and its children, of how often
// each was tried to be written and how often that was acknowledged; and a program that uses such
// objects in every way, at random, and checks what it sees. One thread each.
#ifndef CLUSTIX_TESTS_UNIT_OBJECTS_JOURNAL_H_
#define CLUSTIX_TESTS_UNIT_OBJECTS_JOURNAL_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clustix/sets.h"
#include "lib/base/prng.h"

namespace clustix {

// Of each set. What is written is told in the journal.
inline constexpr uint64_t kJournaled = 24;
// These are set, touched and removed without a word.
inline constexpr uint64_t kScrap = 16;

// Volatile ones are small, so that they are lent.
inline constexpr std::array<const char*, 2> kJournalSets = {"test/volatile", "test/replicated"};

std::vector<std::byte> JournaledValue(size_t set, ObjectId id, uint64_t number);
// The number, if these are the bytes of it.
std::optional<uint64_t> NumberOf(size_t set, ObjectId id, std::span<const std::byte> value);

class Journal {
 public:
  Journal();
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  struct Progress {
    std::atomic<uint64_t> attempted, acknowledged;
  };
  Progress& at(size_t set, ObjectId id) { return (*progress_)[set][id]; }
  static void Raise(std::atomic<uint64_t>& to, uint64_t number);

 private:
  using All = std::array<std::array<Progress, kJournaled>, kJournalSets.size()>;
  All* progress_;
};

class RandomProgram {
 public:
  // Empty: it goes well; else what is wrong.
  static std::string Connect(const std::string& socket, Journal& journal, uint64_t seed,
                             std::optional<RandomProgram>* program);

  // One turn; empty, or what is wrong.
  std::string Turn();
  // Reads one object, and grabs it without writing: nobody is left who holds it.
  std::string Check(size_t set, ObjectId id);

  base::Prng& prng() { return prng_; }

 private:
  RandomProgram(Client client, std::array<ObjectSet, kJournalSets.size()> sets, Journal& journal,
                uint64_t seed)
      : client_(std::move(client)), sets_(std::move(sets)), journal_(&journal), prng_(seed) {}

  struct Pinned {
    size_t set = 0;
    ObjectId id = 0;
    ReadGuard guard;
  };

  std::string Get();
  std::string Copy();
  std::string Many();
  std::string Update(size_t set, ObjectId id);
  std::string Scrap();
  std::string Watch();
  std::string Judge(size_t set, ObjectId id, uint64_t acknowledged, std::span<const std::byte> data,
                    uint64_t* number = nullptr);
  static std::string Judge(SetOutcome outcome, const char* what);

  Client client_;
  std::array<ObjectSet, kJournalSets.size()> sets_;
  Journal* journal_;
  base::Prng prng_;
  std::array<Pinned, 4> pinned_;
  WriteGuard held_;
  std::optional<Watcher> watcher_;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_OBJECTS_JOURNAL_H_
