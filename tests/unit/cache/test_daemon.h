// SPDX-License-Identifier: Apache-2.0
//
// A daemon that keeps objects whose bytes follow from their id and version, so that whoever reads
// one can tell whether it is whole; and clients that check what they read, as processes that can be
// killed.
#ifndef CLUSTIX_TESTS_UNIT_CACHE_TEST_DAEMON_H_
#define CLUSTIX_TESTS_UNIT_CACHE_TEST_DAEMON_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/prng.h"
#include "tests/unit/cache/test_node.h"

namespace clustix::cache {

inline constexpr uint64_t kObjects = 48;
inline constexpr uint32_t kPatternBytesMax = 3000;

std::vector<std::byte> Pattern(uint64_t id, uint64_t version);
// Whether these are the bytes of that version.
bool IsWhole(uint64_t id, uint64_t version, std::span<const std::byte> data);

class TestDaemon {
 public:
  enum Kind : uint32_t { kPut = 1, kRemove = 2 };

  TestDaemon();
  // A random change of its own.
  void Change(base::Prng& prng);
  // Does what the client asks for. False: the client has broken its region.
  bool Serve(HostRegion* region);
  // Every object is there in its last version, and no memory is lost, if nobody has pins.
  void ExpectIntact();

  TestNode node;
  std::unique_ptr<ObjectStore> set;

 private:
  uint32_t Do(HostRegion* region, const Request& request);

  std::unique_ptr<TestClient> checker_;
  std::unique_ptr<SetView> view_;
  std::map<uint64_t, uint64_t> versions_;
};

// One turn of a client: reads, pins, puts, checks. False: what it read was not whole, or served
// wrongly.
class TestWorker {
 public:
  TestWorker(const NodeView* node, ClientRegion* region, const SetView* view, uint64_t seed)
      : region_(region), view_(view), prng_(seed), reader_(Reader::Create(node, region)) {}
  // `ask`: may put and remove, and waits for the daemon's answer.
  bool Turn(bool ask);

 private:
  bool ReadOne(uint64_t id);
  bool PinOne(uint64_t id);
  bool PutOne(uint64_t id);

  ClientRegion* region_;
  const SetView* view_;
  base::Prng prng_;
  std::unique_ptr<Reader> reader_;
  struct Held {
    uint64_t id = 0;
    Pinned pinned;
  };
  std::array<Held, kPinsPerStripe - 1> held_;  // one is left for Read()
};

// A child process that runs `body` with its views of the daemon, made by itself.
struct ClientProcess {
  using Body = std::function<void(const NodeView*, ClientRegion*, const SetView*)>;
  static ClientProcess Start(TestDaemon& daemon, const Body& body);

  pid_t pid = 0;
  HostRegion* region = nullptr;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_TESTS_UNIT_CACHE_TEST_DAEMON_H_
