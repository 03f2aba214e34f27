// SPDX-License-Identifier: Apache-2.0
//
// Objects of volatile sets that the daemon lends to a program: when it does, and how they come
// back. Programs use the library here; those that misbehave use the shared memory by hand.
#include <unistd.h>

#include <atomic>
#include <thread>

#include "clustix/sets.h"
#include "lib/cache/borrower.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using Kind = RawProgram::Kind;
using Status = RawProgram::Status;
using Wanted = RawProgram::Wanted;
using Numbers = TypedSet<uint64_t>;

constexpr char kLentName[] = "test/lent";

class Loans : public LoopbackCluster {
 protected:
  // As a program of the node has it.
  ObjectSet Open(NodeId node, Durability durability = Durability::kVolatile) {
    Result<Client> client = Client::Connect({.socket = this->node(node).socket_path()});
    if (!client) return Failed(client.error());
    Result<ObjectSet> set =
        client->OpenSet(kLentName, {.create = true, .policy = {.durability = durability}});
    if (!set) return Failed(set.error());
    return *std::move(set);
  }
  static bool Increment(const ObjectSet& set, ObjectId id) {
    return static_cast<bool>(Numbers(set).Update(id, [](uint64_t& number) { ++number; }));
  }
  // As often as it takes to be lent the object.
  void BeLent(const ObjectSet& set, ObjectId id, NodeId node) {
    const uint64_t lent = this->node(node).Counter("sets_lent");
    for (int i = 0; i < 4 && this->node(node).Counter("sets_lent") == lent; ++i) {
      ASSERT_TRUE(Increment(set, id));
    }
    ASSERT_EQ(this->node(node).Counter("sets_lent"), lent + 1);
  }
  // Until somebody else's request has come to the node.
  void AwaitCounter(NodeId node, const std::string& name, uint64_t value) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (this->node(node).Counter(name) < value) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << name;
    }
  }
  static uint64_t ValueOf(const ObjectSet& set, ObjectId id) {
    const Value<uint64_t> value = Numbers(set).Get(id);
    EXPECT_TRUE(value) << SetOutcomeName(value.outcome);
    return value ? value.value : 0;
  }

  static std::string TextOf(const ObjectSet& set, ObjectId id) {
    const ReadGuard read = set.Get(id);
    if (!read) return SetOutcomeName(read.outcome());
    return {reinterpret_cast<const char*>(read.data().data()), read.data().size()};
  }

 private:
  static ObjectSet Failed(const Error& error) {
    ADD_FAILURE() << error.message;
    abort();
  }
};

// A program that knows what it was lent and does with it as it likes.
struct ByHand {
  explicit ByHand(std::unique_ptr<RawProgram> its_program) : program(std::move(its_program)) {
    Wanted wanted;
    wanted.durability = RawProgram::Durability::VOLATILE;
    set = program->Open(kLentName, wanted);
    EXPECT_EQ(set.error, "");
  }
  // Writes until it is lent the object.
  void BeLent(uint64_t object, const std::string& value) {
    for (int i = 0; i < 4; ++i) {
      const auto held = program->Ask(Kind::kGrab, set.handle, object);
      const auto put = program->Ask(Kind::kPut, set.handle, object, value, held.argument);
      ASSERT_EQ(put.status, Status::kOk);
      if (put.argument == 0) continue;
      borrower.Accept(set.handle, object, cache::LoanTicket::FromWord(put.argument));
      return;
    }
    ADD_FAILURE() << "nothing is lent";
  }
  bool Grab(uint64_t object, cache::Grabbed* grabbed) {
    return borrower.Grab(set.handle, object, grabbed) == cache::GrabResult::kGrabbed;
  }
  static cache::PutResult Put(cache::Grabbed& grabbed, const std::string& value) {
    std::memcpy(grabbed.buffer().data(), value.data(), value.size());
    return grabbed.Put(static_cast<uint32_t>(value.size()));
  }

  // Ends as if it were killed between grab and put.
  void DieHolding() {
    for (cache::LoanSlot& slot : program->region().loans()) {
      if (slot.lent == 0) continue;
      slot.in_use = 1;
      for (auto& buffer : slot.buffers) {
        if (&buffer != &slot.buffers[cache::LoanCommit::FromWord(slot.current).buffer()]) {
          buffer.fill(std::byte{'?'});
        }
      }
    }
    program.reset();
  }

  std::unique_ptr<RawProgram> program;
  cache::Borrower borrower{&program->node(), &program->region()};
  RawProgram::Opened set;
};

TEST_F(Loans, Are_made_to_who_writes_again_and_again_and_come_back_to_who_reads) {
  StartNodes(2);
  const ObjectSet here = Open(1), there = Open(2);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Increment(here, 7));
  EXPECT_EQ(node(1).Counter("sets_lent"), 1u);
  EXPECT_EQ(ValueOf(here, 7), 100u) << "who was lent it reads it, too";
  EXPECT_EQ(node(1).Counter("sets_lent"), 1u);
  EXPECT_EQ(ValueOf(there, 7), 100u);
  EXPECT_EQ(node(1).Counter("sets_lent"), 0u);
  EXPECT_EQ(node(1).Counter("sets_loans"), 1u);
  EXPECT_EQ(ValueOf(here, 7), 100u);
}

TEST_F(Loans, Cost_the_daemon_no_request) {
  StartNodes(1);
  const ObjectSet set = Open(1);
  Result<Client> client = Client::Connect({.socket = node(1).socket_path()});
  ASSERT_TRUE(client);
  const auto counter = [&](const std::string& wanted) -> uint64_t {
    Result<SetInfo> info = client->StatSet(kLentName);
    for (const auto& [name, value] : info->counters) {
      if (name == wanted) return value;
    }
    ADD_FAILURE() << wanted;
    return 0;
  };
  BeLent(set, 1, 1);
  const uint64_t asked = counter("grabs_asked") + counter("writes_asked");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(Increment(set, 1));
  EXPECT_EQ(counter("grabs_asked") + counter("writes_asked"), asked);
  EXPECT_EQ(Open(1).Get(1).outcome(), SetOutcome::kOk);  // brings it back
  EXPECT_EQ(counter("writes_lent"), 1000u);
  EXPECT_EQ(counter("loans"), 1u);
}

TEST_F(Loans, Are_made_of_volatile_objects_alone) {
  StartNodes(2);
  const ObjectSet set = Open(1, Durability::kReplicas2);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Increment(set, 1));
  EXPECT_EQ(node(1).Counter("sets_loans"), 0u);
}

TEST_F(Loans, Hide_the_old_value_from_all_others_on_the_node) {
  StartNodes(1);
  const ObjectSet writer = Open(1), reader = Open(1);
  for (uint64_t i = 1; i <= 300; ++i) {
    ASSERT_TRUE(Increment(writer, 1));
    if (i % 30 == 0) {
      ASSERT_EQ(ValueOf(reader, 1), i);
    }
  }
  EXPECT_GE(node(1).Counter("sets_loans"), 2u);
}

TEST_F(Loans, That_are_wanted_in_the_middle_of_a_write_come_back_with_what_is_put) {
  StartNodes(2);
  const ObjectSet here = Open(1), there = Open(2);
  BeLent(here, 1, 1);
  WriteGuard guard = here.Grab(1);
  ASSERT_TRUE(guard);
  std::atomic<bool> has_read = false;
  std::thread reader([&] {
    EXPECT_EQ(ValueOf(there, 1), 999u);
    has_read = true;
  });
  AwaitCounter(1, "sets_loans_recalled", 1);
  EXPECT_FALSE(has_read);
  const uint64_t number = 999;
  std::memcpy(guard.data().data(), &number, sizeof number);
  EXPECT_EQ(guard.Put(), SetOutcome::kOk);
  reader.join();
  EXPECT_EQ(node(1).Counter("sets_loans_seized"), 0u);
}

TEST_F(Loans, That_grow_too_large_are_left_and_written_all_the_same) {
  StartNodes(1);
  const ObjectSet set = Open(1);
  BeLent(set, 1, 1);
  WriteGuard guard = set.Grab(1);
  ASSERT_EQ(guard.Resize(5000), SetOutcome::kOk);
  EXPECT_EQ(guard.Put(), SetOutcome::kOk);
  EXPECT_EQ(set.Get(1).data().size(), 5000u);
  EXPECT_EQ(node(1).Counter("sets_lent"), 0u);
}

TEST_F(Loans, Come_back_as_committed_last_from_a_program_that_dies_while_it_writes) {
  StartNodes(2);
  {
    ByHand dying(Program(1));
    dying.BeLent(1, "lent");
    cache::Grabbed grabbed;
    ASSERT_TRUE(dying.Grab(1, &grabbed));
    ASSERT_EQ(ByHand::Put(grabbed, "committed"), cache::PutResult::kCommitted);
    dying.DieHolding();
  }
  EXPECT_EQ(TextOf(Open(2), 1), "committed");
  EXPECT_EQ(node(1).Counter("sets_loans_seized"), 1u);
  EXPECT_EQ(node(1).Counter("sets_lent"), 0u);
}

TEST_F(Loans, Are_seized_from_a_program_that_holds_them_for_too_long) {
  StartNodes(2, {.memory_bytes = 64 << 20, .busy_every = 0, .max_hold_ms = 50});
  ByHand slow(Program(1));
  slow.BeLent(1, "before");
  cache::Grabbed grabbed;
  ASSERT_TRUE(slow.Grab(1, &grabbed));
  EXPECT_EQ(TextOf(Open(2), 1), "before");
  EXPECT_EQ(node(1).Counter("sets_loans_seized"), 1u);
  EXPECT_EQ(ByHand::Put(grabbed, "late"), cache::PutResult::kUnknown);
  EXPECT_EQ(TextOf(Open(2), 1), "before");
  EXPECT_FALSE(slow.Grab(1, &grabbed));
}

TEST_F(Loans, Stay_though_the_object_was_waited_for_before) {
  StartNodes(1, {.memory_bytes = 64 << 20, .busy_every = 0, .max_hold_ms = 300});
  ByHand one(Program(1)), two(Program(1));
  // `other` waits for the object that `holder` has, until that is put or taken.
  const auto contend = [](ByHand& holder, ByHand& other, uint64_t object, bool put) {
    const auto held = holder.program->Ask(Kind::kGrab, holder.set.handle, object);
    ASSERT_TRUE(other.program->Begin({.cookie = 1000,
                                      .kind = static_cast<uint32_t>(Kind::kGrab),
                                      .set = other.set.handle,
                                      .object = object}));
    // Requests are heard in their order.
    EXPECT_EQ(other.program->Ask(Kind::kFind, other.set.handle, 99).status, Status::kNotFound);
    if (put) holder.program->Ask(Kind::kPut, holder.set.handle, object, "x", held.argument);
    const auto granted = other.program->AwaitReply();
    ASSERT_TRUE(granted);
    EXPECT_EQ(granted->cookie, 1000u);
    other.program->Ask(Kind::kRelease, other.set.handle, object, "", granted->argument);
  };
  contend(one, two, 1, true);
  one.BeLent(1, "lent");
  // What was waited for later has been taken by force: so the time of what was before is over.
  contend(one, two, 2, false);
  EXPECT_EQ(node(1).Counter("sets_loans_seized"), 0u);
  EXPECT_EQ(node(1).Counter("sets_lent"), 1u);
}

TEST_F(Loans, End_with_the_handle_that_they_were_made_by) {
  StartNodes(1);
  ByHand program(Program(1));
  program.BeLent(1, "lent");
  cache::Grabbed grabbed;
  ASSERT_TRUE(program.Grab(1, &grabbed));
  EXPECT_EQ(program.program->CloseSet(program.set.handle), "");
  EXPECT_EQ(node(1).Counter("sets_lent"), 0u);
  EXPECT_EQ(ByHand::Put(grabbed, "late"), cache::PutResult::kUnknown);
}

TEST_F(Loans, Of_a_removed_set_end) {
  StartNodes(1);
  ByHand program(Program(1));
  program.BeLent(1, "lent");
  EXPECT_EQ(program.program->Remove(kLentName), "");
  AwaitCounter(1, "sets_loans_recalled", 1);
  EXPECT_EQ(node(1).Counter("sets_lent"), 0u);
  cache::Grabbed grabbed;
  EXPECT_FALSE(program.Grab(1, &grabbed));
}

TEST_F(Loans, Come_back_though_the_node_has_no_room_any_more) {
  StartNodes(1, {.memory_bytes = 1 << 20});
  ByHand program(Program(1));
  program.BeLent(1, "small");
  uint64_t object = 2;
  while (program.program->Set(program.set.handle, object, std::string(1000, 'x')).status ==
         Status::kOk) {
    ++object;
  }
  ASSERT_GT(object, 100u);
  cache::Grabbed grabbed;
  ASSERT_TRUE(program.Grab(1, &grabbed));
  const std::string grown(cache::kLoanBytesMax, 'y');
  EXPECT_EQ(ByHand::Put(grabbed, grown), cache::PutResult::kCommitted);
  EXPECT_EQ(program.program->Get(program.set.handle, 1).value, grown);
  EXPECT_EQ(node(1).Counter("sets_loans_failed"), 0u);
}

TEST_F(Loans, Of_more_objects_than_a_program_is_lent_at_once_lose_nothing) {
  StartNodes(2);
  constexpr ObjectId kObjects = 3 * cache::kLoans;
  const ObjectSet here = Open(1), there = Open(2);
  constexpr uint64_t kRounds = 12;
  for (uint64_t round = 0; round < kRounds; ++round) {
    for (ObjectId id = 0; id < kObjects; ++id) ASSERT_TRUE(Increment(here, id));
  }
  EXPECT_LE(node(1).Counter("sets_lent"), cache::kLoans);
  EXPECT_GT(node(1).Counter("sets_loans"), cache::kLoans);
  for (ObjectId id = 0; id < kObjects; ++id) EXPECT_EQ(ValueOf(there, id), kRounds) << id;
}

TEST_F(Loans, Lose_no_increment_of_programs_that_contend) {
  StartNodes(2, {.memory_bytes = 64 << 20, .busy_every = 5});
  constexpr uint64_t kEach = 2000, kObjects = 3;
  std::vector<std::thread> programs;
  for (const NodeId node : {1, 1, 2}) {
    programs.emplace_back([&, set = Open(node)] {
      for (uint64_t i = 0; i < kEach; ++i) {
        // In stretches, so that loans are made and are wanted back.
        ASSERT_TRUE(Increment(set, i / 50 % kObjects));
      }
    });
  }
  for (std::thread& program : programs) program.join();
  uint64_t sum = 0;
  for (ObjectId id = 0; id < kObjects; ++id) sum += ValueOf(Open(2), id);
  EXPECT_EQ(sum, kEach * programs.size());
  EXPECT_EQ(node(1).Counter("sets_loans_failed") + node(2).Counter("sets_loans_failed"), 0u);
}

}  // namespace
}  // namespace clustix
