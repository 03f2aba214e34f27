// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace clustix::msg {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Entry : LaneEntry {
  int number = 0;
};

class ALane : public ::testing::Test, public LaneSubmitter {
 protected:
  ALane() { lane_.Configure(this, {.messages = 100, .bytes = 1000}); }

  void Submit(LaneEntry& entry, bool resume) override {
    const int number = static_cast<Entry&>(entry).number;
    log_.push_back(std::to_string(number) + (resume ? "!" : ""));
  }
  Entry& Add(int number) {
    Entry& entry = entries_.emplace_back();
    entry.number = number;
    lane_.Add(entry);
    return entry;
  }
  std::vector<std::string> Log() { return std::exchange(log_, {}); }

  KccmLane lane_;
  std::deque<Entry> entries_;
  std::vector<std::string> log_;
};

TEST_F(ALane, Submits_at_once_while_nothing_is_refused) {
  Add(1);
  Add(2);
  EXPECT_THAT(Log(), ElementsAre("1", "2"));
}

TEST_F(ALane, Resumes_with_the_first_that_was_refused_when_all_are_back) {
  Add(1);
  Entry& two = Add(2);
  Entry& three = Add(3);
  Log();
  lane_.Refused(two);
  Add(4);
  lane_.Retry();
  EXPECT_THAT(Log(), IsEmpty()) << "3 is on its way back";
  lane_.Refused(three);
  EXPECT_THAT(Log(), ElementsAre("2!", "3", "4"));
  EXPECT_FALSE(lane_.stalled());
}

TEST_F(ALane, Waits_for_room_after_all_are_back) {
  Entry& one = Add(1);
  Log();
  lane_.Refused(one);
  Add(2);
  EXPECT_THAT(Log(), IsEmpty());
  lane_.Retry();
  EXPECT_THAT(Log(), ElementsAre("1!", "2"));
}

TEST_F(ALane, Takes_no_old_news_of_room_for_a_refusal_that_follows) {
  Entry& one = Add(1);
  Log();
  lane_.Retry();
  lane_.Refused(one);
  EXPECT_THAT(Log(), IsEmpty());
}

TEST_F(ALane, Does_not_wait_for_what_ended_in_another_way) {
  Entry& one = Add(1);
  Entry& two = Add(2);
  Log();
  lane_.Refused(one);
  lane_.Retry();
  lane_.Remove(two);  // the kernel found it wrong
  EXPECT_THAT(Log(), ElementsAre("1!"));
}

TEST_F(ALane, Lets_the_next_message_resume_when_all_that_waited_were_given_up) {
  Entry& one = Add(1);
  Log();
  lane_.Refused(one);
  lane_.Remove(one);
  lane_.Retry();
  EXPECT_TRUE(lane_.stalled());
  Add(2);
  Add(3);
  EXPECT_THAT(Log(), ElementsAre("2!", "3"));
}

TEST_F(ALane, Is_bounded_in_messages_and_bytes_and_takes_one_that_is_larger) {
  EXPECT_TRUE(lane_.HasRoomFor(5000));
  Entry& large = entries_.emplace_back();
  large.bytes = 900;
  lane_.Add(large);
  EXPECT_TRUE(lane_.HasRoomFor(100));
  EXPECT_FALSE(lane_.HasRoomFor(101));
  EXPECT_FALSE(lane_.IsHalfEmpty());
  lane_.Remove(large);
  for (int i = 0; i < 100; ++i) Add(i);
  EXPECT_FALSE(lane_.HasRoomFor(0));
}

// A kernel with little room, which keeps to KCCM_URING_ORDERED: whatever it does, what it takes
// comes in order, and all of it in the end.
TEST_F(ALane, Keeps_the_order_against_a_kernel_that_refuses_at_random) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    KccmLane lane;
    struct Kernel : LaneSubmitter {
      struct Submitted {
        Entry* entry;
        bool resume;
      };
      std::deque<Submitted> queued;  // not looked at yet
      void Submit(LaneEntry& entry, bool resume) override {
        queued.push_back({static_cast<Entry*>(&entry), resume});
      }
    } kernel;
    lane.Configure(&kernel, {.messages = 1000, .bytes = 1000});
    std::deque<Entry> entries;
    std::vector<int> taken;
    std::deque<std::pair<Entry*, bool>> completions;  // true: refused
    std::vector<Entry*> parked;                       // taken, and completed some time later
    bool refusing = false;
    while (taken.size() < 100) {
      switch (random() % 4) {
        case 0:
          if (entries.size() < 100) {
            Entry& entry = entries.emplace_back();
            entry.number = static_cast<int>(entries.size());
            lane.Add(entry);
          }
          break;
        case 1:
          while (!kernel.queued.empty()) {
            const auto [entry, resume] = kernel.queued.front();
            kernel.queued.pop_front();
            if (resume) refusing = false;
            refusing = refusing || random() % 3 == 0;
            if (refusing) {
              completions.push_back({entry, true});
            } else {
              taken.push_back(entry->number);
              parked.push_back(entry);
            }
          }
          break;
        case 2:
          if (!completions.empty()) {
            lane.Refused(*completions.front().first);
            completions.pop_front();
          } else if (!parked.empty()) {
            const size_t any = random() % parked.size();
            lane.Remove(*parked[any]);
            parked.erase(parked.begin() + static_cast<ptrdiff_t>(any));
          }
          break;
        default:
          lane.Retry();
      }
    }
    ASSERT_TRUE(std::is_sorted(taken.begin(), taken.end())) << "seed " << seed;
  }
}

}  // namespace
}  // namespace clustix::msg
