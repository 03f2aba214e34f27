// SPDX-License-Identifier: Apache-2.0
#include "daemon/local_proc.h"

#include <gtest/gtest.h>

#include <future>
#include <latch>

#include "daemon/worker_pool.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::daemon {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using Result = absl::StatusOr<LocalProc::Collected>;

std::future<Result> Ask(LocalProc& local, milliseconds max_age) {
  auto promise = std::make_shared<std::promise<Result>>();
  local.Get(max_age, [promise](const Result& result) { promise->set_value(result); });
  return promise->get_future();
}

absl::StatusOr<proc::ProcessChanges> SeeNothing(const proc::NodeSnapshot&,
                                                const std::vector<int32_t>&) {
  return proc::ProcessChanges();
}

TEST(LocalProc, Serves_a_young_collection_again) {
  std::atomic<int> collections = 0;
  LocalProc local([&] { return SampleSnapshot(1, ++collections); }, SeeNothing);
  Result first = Ask(local, hours(1)).get();
  ASSERT_TRUE(first.ok()) << first.status();
  Result second = Ask(local, hours(1)).get();
  EXPECT_EQ(second->snapshot, first->snapshot);
  EXPECT_EQ(collections, 1);
}

TEST(LocalProc, Collects_anew_for_who_wants_nothing_older) {
  std::atomic<int> collections = 0;
  LocalProc local([&] { return SampleSnapshot(1, ++collections); }, SeeNothing);
  EXPECT_TRUE(Ask(local, milliseconds(0)).get().ok());
  EXPECT_EQ(Ask(local, milliseconds(0)).get()->snapshot->processes.size(), 2u);
}

TEST(LocalProc, Shares_one_collection_among_all_who_ask_meanwhile) {
  std::latch begun(1), go_on(1);
  std::atomic<int> collections = 0;
  LocalProc local(
      [&] {
        if (++collections == 1) {
          begun.count_down();
          go_on.wait();
        }
        return SampleSnapshot(1, collections);
      },
      SeeNothing);
  std::future<Result> first = Ask(local, hours(1));
  begun.wait();
  std::future<Result> patient = Ask(local, hours(1));
  std::future<Result> strict = Ask(local, milliseconds(0));  // the one that runs began too early
  go_on.count_down();
  EXPECT_EQ(first.get()->snapshot->processes.size(), 1u);
  EXPECT_EQ(patient.get()->snapshot->processes.size(), 1u);
  EXPECT_EQ(strict.get()->snapshot->processes.size(), 2u);
  EXPECT_EQ(collections, 2);
}

TEST(LocalProc, Reports_a_collection_that_failed_and_tries_again) {
  std::atomic<int> collections = 0;
  LocalProc local(
      [&]() -> absl::StatusOr<proc::NodeSnapshot> {
        if (++collections == 1) return absl::UnavailableError("no /proc");
        return SampleSnapshot(1, 1);
      },
      SeeNothing);
  EXPECT_FALSE(Ask(local, hours(1)).get().ok());
  EXPECT_TRUE(Ask(local, hours(1)).get().ok());
}

TEST(LocalProc, Lets_everybody_go_when_it_stops) {
  std::latch begun(1), go_on(1);
  LocalProc local(
      [&] {
        begun.count_down();
        go_on.wait();
        return SampleSnapshot(1, 1);
      },
      SeeNothing);
  std::future<Result> served = Ask(local, hours(1));
  begun.wait();
  std::future<Result> waiting = Ask(local, milliseconds(0));
  go_on.count_down();
  local.Stop();
  EXPECT_TRUE(served.get().ok());
  Result last = waiting.get();  // served or cancelled, but not forgotten
  EXPECT_TRUE(last.ok() || absl::IsCancelled(last.status()));
  EXPECT_TRUE(absl::IsCancelled(Ask(local, hours(1)).get().status()));
}

TEST(WorkerPool, Turns_away_what_does_not_fit_its_queue) {
  std::latch begun(1), go_on(1);
  WorkerPool pool(1, 1);
  std::promise<void> second;
  ASSERT_TRUE(pool.Submit([&] {
    begun.count_down();
    go_on.wait();
  }));
  begun.wait();
  EXPECT_TRUE(pool.Submit([&] { second.set_value(); }));
  EXPECT_FALSE(pool.Submit([] {}));
  go_on.count_down();
  second.get_future().wait();
  pool.Stop();
  EXPECT_FALSE(pool.Submit([] {}));
}

}  // namespace
}  // namespace clustix::daemon
