// SPDX-License-Identifier: Apache-2.0
//
// What must be true of the frames between two nodes, whatever the applications notice:
//
//	sequence numbers follow each other, but for those that were acknowledged meanwhile, and a
//	message keeps its length when it is sent again;
//	nothing is acknowledged before its last byte was handed to the process that acknowledges it;
//	nobody grants more than its window, and nobody sends more than was granted;
//	a connection never supersedes one that a later attempt of the same dialer established.
//
// These are the promises that bound memory and that make the others true by construction.
#ifndef CLUSTIX_TESTS_SIM_WIRE_WATCH_H_
#define CLUSTIX_TESTS_SIM_WIRE_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/network.h"

namespace clustix::sim {

// What one incarnation of a node grants each peer per lane.
struct Window {
  uint64_t messages;
  uint64_t bytes;
};

class WireWatch final : public Tap {
 public:
  explicit WireWatch(std::function<void(const std::string&)> fail) : fail_(std::move(fail)) {}

  // Only incarnations announced here are watched; intruders may send what they like.
  void Announce(uint64_t incarnation, Window window) { windows_[incarnation] = window; }

  void OnFrame(const Connection& connection, int side, const Frame& frame) override;
  void OnRead(const Connection& connection, int reader, uint64_t offset) override;

  // How many connections carried a session, over all nodes.
  uint64_t established() const { return established_; }

 private:
  // One direction of a lane of a session.
  struct Flow {
    std::vector<uint64_t> bytes{0};  // payload bytes of all messages up to this number
    uint64_t read = 0;               // messages whose last byte the receiver was handed
    uint64_t accepted = 0;           // messages that it has acknowledged, heard or not
    uint64_t granted_messages = 0;
    uint64_t granted_bytes = 0;
    Window window{};
  };
  using FlowKey = std::tuple<uint64_t, uint64_t, uint8_t>;  // sender's, receiver's session, lane
  struct Hello {
    bool heard = false;
    uint8_t verdict = 0;
    uint64_t incarnation = 0, session = 0, attempt = 0, next_expected = 0;
    uint64_t credit_messages = 0, credit_bytes = 0;
    uint8_t lane = 0;
  };
  struct Line {  // one connection
    Hello hello[2];
    bool established[2] = {false, false};
    FlowKey sends[2];  // by side
    uint64_t last_seq[2] = {0, 0};
    std::vector<std::pair<uint64_t, uint64_t>> unread[2];  // (end offset, number) per direction
    size_t unread_from[2] = {0, 0};
  };

  static Hello Parse(const Frame& frame);
  void Establish(Line& line, int side);
  void Message(Line& line, int side, const Frame& frame);
  void Grant(Line& line, int side, uint64_t accepted, uint64_t messages, uint64_t bytes);
  void Fail(const Line& line, const std::string& what);

  const std::function<void(const std::string&)> fail_;
  std::map<uint64_t, Window> windows_;
  std::map<uint64_t, Line> lines_;
  std::map<FlowKey, Flow> flows_;
  // Highest attempt that the responder has established: (dialer, responder, lane).
  std::map<FlowKey, uint64_t> attempts_;
  uint64_t established_ = 0;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_WIRE_WATCH_H_
