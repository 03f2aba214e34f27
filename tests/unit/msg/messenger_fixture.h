// SPDX-License-Identifier: Apache-2.0
//
// Messengers on the test's own thread and loop, over real sockets: of user space on the loopback,
// or over the kernel module where it is loaded and the network namespaces n1 and n2 are joined by a
// cable, as in tests/vm/messaging_test.py.
#ifndef CLUSTIX_TESTS_UNIT_MSG_MESSENGER_FIXTURE_H_
#define CLUSTIX_TESTS_UNIT_MSG_MESSENGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/io/uring_io.h"
#include "lib/msg/session_messenger.h"

namespace clustix::msg {

inline constexpr Port kPort = 7;

inline Bytes AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }
inline std::string AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What nodes 1 and 2 are made of; node 3 is always one of user space.
struct Transports {
  bool module_1 = false, module_2 = false;

  bool user_space() const { return !module_1 && !module_2; }
  bool module(NodeId node) const { return (node == 1 && module_1) || (node == 2 && module_2); }
};
// Those that this machine can have.
std::vector<Transports> TransportsHere();
std::string NameOf(const Transports& transports);

class MessengerFixture : public ::testing::Test {
 protected:
  explicit MessengerFixture(Transports transports = {}) : transports_(transports) {}
  void SetUp() override;
  void TearDown() override;

  MessengerConfig Config(NodeId self, const std::vector<NodeId>& peers);
  std::unique_ptr<Messenger> Make(const MessengerConfig& config, std::function<void()> closed);
  Messenger& Start(const MessengerConfig& config);
  // Nodes 1 and 2, until each knows that the other is up.
  void StartPair();
  // Ends a node, until nothing of it is left.
  void End(NodeId node);

  // Lets the loop handle what has been closed.
  void Turn();
  // Turns the loop until `done`, which is asked every millisecond; false: it took too long.
  bool RunUntil(const std::function<bool()>& done);

  static PeerState StateOf(Messenger& messenger, NodeId peer);
  static uint64_t Counter(Messenger& messenger, const std::string& name);

  const Transports transports_;
  std::unique_ptr<io::UringIo> io_;
  std::map<NodeId, std::string> addresses_;
  std::map<NodeId, int> unclosed_;
  std::map<NodeId, std::unique_ptr<Messenger>> nodes_;

 private:
  base::UniqueFd home_;           // the namespace that the thread began in
  base::UniqueFd namespaces_[3];  // n1 and n2, by their number
};

}  // namespace clustix::msg

#endif  // CLUSTIX_TESTS_UNIT_MSG_MESSENGER_FIXTURE_H_
