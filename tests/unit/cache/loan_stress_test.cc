// SPDX-License-Identifier: Apache-2.0
//
// Loans that are recalled while their clients use them, and of clients that are killed.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "lib/cache/borrower.h"
#include "lib/cache/lender.h"
#include "tests/unit/cache/test_daemon.h"

namespace clustix::cache {
namespace {

constexpr uint32_t kSet = 1;
constexpr uint64_t kLentId = 2;
constexpr size_t kLoanBytes = 200;

// Bytes that follow from the version, of kLoanBytes always.
std::array<std::byte, kLoanBytes> LoanPattern(uint64_t version) {
  std::array<std::byte, kLoanBytes> data;
  data.fill(static_cast<std::byte>(version * 37));
  std::memcpy(data.data(), &version, sizeof version);
  return data;
}

ReturnedObject FirstVersion() {
  const auto data = LoanPattern(0);
  return {.object_version = 0, .data = {data.begin(), data.end()}};
}

void ExpectWhole(const ReturnedObject& object) {
  const auto expected = LoanPattern(object.object_version);
  ASSERT_TRUE(std::equal(object.data.begin(), object.data.end(), expected.begin(), expected.end()));
}

// Grabs what is there, which must be whole, and puts the next version. False: it was not.
bool Advance(Grabbed& grabbed, PutResult* result) {
  uint64_t version;
  std::memcpy(&version, grabbed.buffer().data(), sizeof version);
  const auto before = LoanPattern(version);
  if (std::memcmp(grabbed.buffer().data(), before.data(), kLoanBytes) != 0) return false;
  const auto after = LoanPattern(version + 1);
  std::memcpy(grabbed.buffer().data(), after.data(), kLoanBytes);
  *result = grabbed.Put(kLoanBytes);
  return true;
}

// Two clients want the same object all the time: none of their commits may be lost.
TEST(Loans, Lose_no_commit_while_two_clients_pull_at_one_object) {
  constexpr uint64_t kCommits = 3'000;
  TestNode node;
  std::array<std::unique_ptr<TestClient>, 2> clients = {node.Attach(), node.Attach()};
  std::array<Lender, 2> lenders = {Lender(clients[0]->host_region, node.host->fence()),
                                   Lender(clients[1]->host_region, node.host->fence())};
  std::atomic<int> at_work{2};
  std::atomic<int> wrong{0};
  const auto work = [&](TestClient& client) {
    Borrower borrower(client.node.get(), client.region.get());
    for (uint64_t commits = 0; commits < kCommits && wrong == 0;) {
      Grabbed grabbed;
      if (borrower.Grab(kSet, kLentId, &grabbed) == GrabResult::kGrabbed) {
        PutResult result;
        if (!Advance(grabbed, &result) || result != PutResult::kCommitted) ++wrong;
        ++commits;
        continue;
      }
      client.region->Ask({.object = kLentId});
      const absl::StatusOr<Reply> reply =
          client.region->AwaitReply(MonotonicNs() + 60 * kNsPerSecond);
      if (!reply.ok()) ++wrong;
      if (reply.ok()) borrower.Accept(kSet, kLentId, LoanTicket::FromWord(reply->argument));
    }
    --at_work;
  };
  std::thread first(work, std::ref(*clients[0])), second(work, std::ref(*clients[1]));

  ReturnedObject object = FirstVersion();
  size_t holder = 0;
  std::optional<LoanTicket> ticket;
  uint64_t lent = 0;
  const auto recall = [&] {
    while (ticket) {
      if (std::optional<ReturnedObject> back = lenders[holder].Recall(*ticket)) {
        object = *std::move(back);
        ticket.reset();
      }
    }
  };
  while (at_work > 0) {
    for (size_t i = 0; i < clients.size(); ++i) {
      Request request;
      if (clients[i]->host_region->NextRequest(&request) != RingResult::kDone) continue;
      recall();
      ExpectWhole(object);
      ticket = lenders[holder = i].Lend(object.object_version, object.data);
      ++lent;
      clients[i]->host_region->Answer({.cookie = request.cookie, .argument = ticket->word()});
    }
  }
  first.join();
  second.join();
  recall();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(object.object_version, 2 * kCommits);
  ExpectWhole(object);
  EXPECT_GT(lent, 1u);
}

TEST(Loans, Come_back_whole_from_clients_that_are_killed) {
  TestDaemon daemon;
  base::Prng prng(13);
  // What the clients know to be committed, where it survives them.
  void* shared =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* committed = static_cast<std::atomic<uint64_t>*>(shared);
  ReturnedObject object = FirstVersion();
  for (int kills = 0; kills < 50 && !HasFatalFailure(); ++kills) {
    // The only loan of a new region, so its ticket is known beforehand.
    const ClientProcess client = ClientProcess::Start(
        daemon, [committed](const NodeView* node, ClientRegion* region, const SetView*) {
          Borrower borrower(node, region);
          borrower.Accept(kSet, kLentId, {.number = 2, .slot = 0});
          for (;;) {
            Grabbed grabbed;
            const GrabResult grab = borrower.Grab(kSet, kLentId, &grabbed);
            // Not before it is lent; and then not again.
            if (grab == GrabResult::kNotLent)
              borrower.Accept(kSet, kLentId, {.number = 2, .slot = 0});
            if (grab == GrabResult::kNotLent) continue;
            PutResult result;
            if (grab != GrabResult::kGrabbed || !Advance(grabbed, &result) ||
                result != PutResult::kCommitted) {
              _exit(3);
            }
            committed->fetch_add(1);
          }
        });
    Lender lender(client.region, daemon.node.host->fence());
    const std::optional<LoanTicket> ticket = lender.Lend(object.object_version, object.data);
    ASSERT_TRUE(ticket && ticket->number == 2 && ticket->slot == 0);
    const uint64_t wanted = *committed + prng.Below(200);
    int status = 0;
    while (*committed < wanted) {
      ASSERT_EQ(waitpid(client.pid, &status, WNOHANG), 0) << status;
      sched_yield();
    }
    kill(client.pid, SIGKILL);
    ASSERT_EQ(waitpid(client.pid, &status, 0), client.pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    object = lender.Seize(*ticket);
    daemon.node.host->Detach(client.region);
    ExpectWhole(object);
    // It may have died between the commit and counting it.
    ASSERT_GE(object.object_version, committed->load());
    ASSERT_LE(object.object_version, committed->load() + 1);
    *committed = object.object_version;
  }
  munmap(shared, kPageBytes);
}

}  // namespace
}  // namespace clustix::cache
