// SPDX-License-Identifier: Apache-2.0
//
// A daemon's cache and its clients within one process: what the tests of lib/cache share.
#ifndef CLUSTIX_TESTS_UNIT_CACHE_TEST_NODE_H_
#define CLUSTIX_TESTS_UNIT_CACHE_TEST_NODE_H_

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/time_units.h"
#include "lib/cache/client_region.h"
#include "lib/cache/host.h"
#include "lib/cache/node_view.h"
#include "lib/cache/reader.h"
#include "lib/cache/set_view.h"

namespace clustix::cache {

// The value of an absl::StatusOr that the test needs.
template <typename Value>
Value Must(absl::StatusOr<Value> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    abort();
  }
  return *std::move(value);
}

inline std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string Text(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// One client process's view, or what stands for one.
struct TestClient {
  TestClient(const Host& host, HostRegion* from)
      : host_region(from),
        node(Must(NodeView::Map(host.node_fd_for_clients()))),
        region(
            Must(ClientRegion::Map(from->fd_for_client(), from->TakeClientBell(), node.get(), 0))),
        reader(Reader::Create(node.get(), region.get())) {}

  HostRegion* host_region;
  std::unique_ptr<NodeView> node;
  std::unique_ptr<ClientRegion> region;
  std::unique_ptr<Reader> reader;
};

struct TestNode {
  explicit TestNode(const Host::Options& options = Host::Options())
      : host(Must(Host::Create(options))) {
    host->lease().ExtendUntil(MonotonicNs() + 3600 * kNsPerSecond);
  }
  std::unique_ptr<ObjectStore> CreateSet(uint64_t bytes = 16 << 20) {
    return Must(host->CreateSet("test", bytes));
  }
  std::unique_ptr<TestClient> Attach() {
    return std::make_unique<TestClient>(*host, Must(host->Attach()));
  }
  static std::unique_ptr<SetView> View(const ObjectStore& set) {
    return Must(SetView::Map(set.fd_for_clients()));
  }

  std::unique_ptr<Host> host;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_TESTS_UNIT_CACHE_TEST_NODE_H_
