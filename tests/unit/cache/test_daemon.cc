// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cache/test_daemon.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

namespace clustix::cache {
namespace {

uint64_t Mix(uint64_t id, uint64_t version, uint64_t index) {
  uint64_t mixed = id * 0x9e3779b97f4a7c15 ^ version * 0xbf58476d1ce4e5b9 ^ index;
  mixed = (mixed ^ (mixed >> 31)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 29);
}

uint32_t PatternBytes(uint64_t id, uint64_t version) {
  const uint64_t drawn = Mix(id, version, UINT64_MAX);
  // Most of them small, so that blocks change their owners often.
  const uint32_t most = drawn % 8 == 0 ? kPatternBytesMax : 120;
  return 1 + static_cast<uint32_t>((drawn >> 8) % most);
}

}  // namespace

std::vector<std::byte> Pattern(uint64_t id, uint64_t version) {
  std::vector<std::byte> data(PatternBytes(id, version));
  for (size_t at = 0; at < data.size(); at += 8) {
    const uint64_t word = Mix(id, version, at);
    std::memcpy(data.data() + at, &word, std::min<size_t>(8, data.size() - at));
  }
  return data;
}

bool IsWhole(uint64_t id, uint64_t version, std::span<const std::byte> data) {
  if (data.size() != PatternBytes(id, version)) return false;
  for (size_t at = 0; at < data.size(); at += 8) {
    const uint64_t word = Mix(id, version, at);
    if (std::memcmp(data.data() + at, &word, std::min<size_t>(8, data.size() - at)) != 0) {
      return false;
    }
  }
  return true;
}

TestDaemon::TestDaemon()
    : set(node.CreateSet(4 << 20)), checker_(node.Attach()), view_(TestNode::View(*set)) {
  base::Prng prng(1);
  for (int i = 0; i < 200; ++i) Change(prng);
}

void TestDaemon::Change(base::Prng& prng) {
  const uint64_t id = prng.Below(kObjects);
  if (prng.Chance(1, 8)) {
    EXPECT_EQ(set->Remove(id), versions_.erase(id) == 1);
    return;
  }
  const uint64_t version = prng.Next();
  const absl::Status put = set->Put(id, version, Pattern(id, version));
  EXPECT_TRUE(put.ok()) << put;
  versions_[id] = version;
}

bool TestDaemon::Serve(HostRegion* region) {
  for (Request request;;) {
    const RingResult result = region->NextRequest(&request);
    if (result != RingResult::kDone) return result == RingResult::kNotNow;
    const Reply reply = {.cookie = request.cookie, .status = Do(region, request)};
    if (region->Answer(reply) != RingResult::kDone) return false;
  }
}

uint32_t TestDaemon::Do(HostRegion* region, const Request& request) {
  if (request.kind == kRemove) {
    versions_.erase(request.object);
    return set->Remove(request.object) ? 0 : 1;
  }
  const std::byte* staged = region->Staged(request);
  if (request.kind != kPut || staged == nullptr || request.object >= kObjects) return 2;
  const absl::Status put =
      set->PutShared(request.object, request.object_version, {staged, request.staged_bytes});
  if (!put.ok()) return 3;
  versions_[request.object] = request.object_version;
  return 0;
}

void TestDaemon::ExpectIntact() {
  std::array<std::byte, kPatternBytesMax> to;
  for (const auto& [id, version] : versions_) {
    ObjectInfo info;
    ASSERT_EQ(checker_->reader->Read(*view_, id, to, &info), Lookup::kHit) << id;
    ASSERT_EQ(info.object_version, version);
    ASSERT_TRUE(IsWhole(id, version, std::span(to.data(), info.bytes))) << id;
  }
  node.host->reclaimer().Collect();
  EXPECT_EQ(node.host->reclaimer().stats().retired_blocks, 0u);
  EXPECT_EQ(set->stats().objects, versions_.size());
  EXPECT_EQ(set->stats().arena.blocks, versions_.size());
}

bool TestWorker::Turn(bool ask) {
  const uint64_t id = prng_.Below(kObjects);
  switch (prng_.Below(ask ? 6 : 4)) {
    case 0:
    case 1:
      return ReadOne(id);
    case 2:
    case 3:
      return PinOne(id);
    default:
      return PutOne(id);
  }
}

bool TestWorker::ReadOne(uint64_t id) {
  std::array<std::byte, kPatternBytesMax> to;
  ObjectInfo info;
  const Lookup result = reader_->Read(*view_, id, to, &info);
  if (result == Lookup::kMiss) return true;
  return result == Lookup::kHit &&
         IsWhole(id, info.object_version, std::span(to.data(), info.bytes));
}

// Looks at a pin that it has held for a while, lets go of it, and takes another.
bool TestWorker::PinOne(uint64_t id) {
  Held& held = held_[prng_.Below(held_.size())];
  if (held.pinned && !IsWhole(held.id, held.pinned.object_version(), held.pinned.data())) {
    return false;
  }
  held.pinned = Pinned();
  held.id = id;
  const Lookup result = reader_->Get(*view_, id, &held.pinned);
  return result == Lookup::kMiss || result == Lookup::kHit;
}

bool TestWorker::PutOne(uint64_t id) {
  const uint64_t version = prng_.Next();
  const std::vector<std::byte> data = Pattern(id, version);
  const auto bytes = static_cast<uint32_t>(data.size());
  const std::optional<uint32_t> offset = region_->staging_use().Take(bytes);
  if (!offset) return false;
  std::memcpy(region_->staging() + *offset, data.data(), bytes);
  const Request request = {.cookie = version,
                           .kind = TestDaemon::kPut,
                           .object = id,
                           .object_version = version,
                           .staged_offset = *offset,
                           .staged_bytes = bytes};
  if (region_->Ask(request) != RingResult::kDone) return false;
  const absl::StatusOr<Reply> reply = region_->AwaitReply(MonotonicNs() + 60 * kNsPerSecond);
  region_->staging_use().Give(*offset, bytes);
  return reply.ok() && reply->cookie == version && reply->status == 0;
}

ClientProcess ClientProcess::Start(TestDaemon& daemon, const Body& body) {
  ClientProcess client;
  client.region = Must(daemon.node.host->Attach());
  Bell bell = client.region->TakeClientBell();
  const pid_t parent = getpid();
  client.pid = fork();
  if (client.pid != 0) return client;  // and `bell`, which is the child's, is closed here
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  {
    const auto node = Must(NodeView::Map(daemon.node.host->node_fd_for_clients()));
    const auto region =
        Must(ClientRegion::Map(client.region->fd_for_client(), std::move(bell), node.get(), 0));
    const auto view = Must(SetView::Map(daemon.set->fd_for_clients()));
    body(node.get(), region.get(), view.get());
  }
  _exit(0);
}

}  // namespace clustix::cache
