// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/connector_events.h"

#include <gtest/gtest.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#include <cstring>
#include <initializer_list>

namespace clustix::procview {
namespace {

using Kind = ConnectorEvent::Kind;
// By number: newer headers have the names elsewhere.
constexpr uint32_t kFork = 0x1, kExec = 0x2, kUid = 0x4, kComm = 0x200, kExit = 0x80000000;
using Bytes = std::vector<std::byte>;

template <typename T>
void Put(const T& value, Bytes* bytes) {
  const size_t at = bytes->size();
  bytes->resize(at + sizeof(T));
  std::memcpy(bytes->data() + at, &value, sizeof(T));
}

// A netlink message as the kernel makes it: `what`, and the first words of the event's data.
Bytes Datagram(uint32_t what, std::initializer_list<int32_t> words) {
  proc_event event = {};
  Bytes data;
  Put(event, &data);
  std::memcpy(data.data() + offsetof(proc_event, what), &what, sizeof(what));
  size_t at = offsetof(proc_event, event_data);
  for (int32_t word : words) {
    std::memcpy(data.data() + at, &word, sizeof(word));
    at += sizeof(word);
  }
  cn_msg message = {};
  message.id = {CN_IDX_PROC, CN_VAL_PROC};
  message.len = static_cast<uint16_t>(data.size());
  nlmsghdr header = {};
  header.nlmsg_type = NLMSG_DONE;
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + sizeof(message) + data.size());
  Bytes bytes;
  Put(header, &bytes);
  Put(message, &bytes);
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

std::vector<ConnectorEvent> Parse(const Bytes& bytes) {
  std::vector<ConnectorEvent> events;
  EXPECT_TRUE(ParseConnectorDatagram(bytes, &events));
  return events;
}

void ExpectOne(const std::vector<ConnectorEvent>& events, Kind kind, int32_t pid) {
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, kind);
  EXPECT_EQ(events[0].pid, pid);
}

TEST(ConnectorEvents, Tell_of_processes) {
  ExpectOne(Parse(Datagram(kFork, {10, 10, 11, 11})), Kind::kChanged, 11);
  ExpectOne(Parse(Datagram(kExec, {12, 11})), Kind::kChanged, 11);
  ExpectOne(Parse(Datagram(kUid, {11, 11, 0, 0})), Kind::kChanged, 11);
  ExpectOne(Parse(Datagram(kComm, {11, 11})), Kind::kChanged, 11);
  ExpectOne(Parse(Datagram(kExit, {11, 11, 0, 17})), Kind::kExited, 11);
}

TEST(ConnectorEvents, Say_nothing_of_threads_and_of_what_no_view_shows) {
  EXPECT_TRUE(Parse(Datagram(kFork, {10, 10, 12, 10})).empty());
  EXPECT_TRUE(Parse(Datagram(kExit, {12, 10, 0, 17})).empty());
  EXPECT_TRUE(Parse(Datagram(kComm, {12, 10})).empty());
  EXPECT_TRUE(Parse(Datagram(0x40000000u, {12, 10})).empty()) << "a coredump";
  EXPECT_TRUE(Parse(Datagram(0x7u, {12, 10})).empty()) << "of a kernel to come";
}

TEST(ConnectorEvents, Begin_with_an_answer_to_the_listener) {
  const auto events = Parse(Datagram(0, {1}));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Kind::kAcknowledged);
  EXPECT_EQ(events[0].error, 1);
}

TEST(ConnectorEvents, Come_several_in_one_datagram) {
  Bytes two = Datagram(kExec, {11, 11});
  two.resize(NLMSG_ALIGN(two.size()));
  const Bytes second = Datagram(kExec, {12, 12});
  two.insert(two.end(), second.begin(), second.end());
  EXPECT_EQ(Parse(two).size(), 2u);
}

TEST(ConnectorEvents, Are_refused_when_they_are_cut_short_anywhere) {
  const Bytes whole = Datagram(kFork, {10, 10, 11, 11});
  for (size_t length = 1; length < whole.size(); ++length) {
    std::vector<ConnectorEvent> events;
    EXPECT_FALSE(ParseConnectorDatagram({whole.data(), length}, &events)) << length;
  }
}

TEST(ConnectorEvents, Are_refused_when_they_are_another_subsystems_or_lie_about_their_length) {
  std::vector<ConnectorEvent> events;
  for (const size_t at : {sizeof(nlmsghdr) + offsetof(cn_msg, id), offsetof(nlmsghdr, nlmsg_type),
                          sizeof(nlmsghdr) + offsetof(cn_msg, len)}) {
    Bytes other = Datagram(kExec, {11, 11});
    other[at] = std::byte{0xfe};
    EXPECT_FALSE(ParseConnectorDatagram(other, &events)) << at;
  }
}

}  // namespace
}  // namespace clustix::procview
