// SPDX-License-Identifier: Apache-2.0
#include "lib/io/genl.h"

#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace clustix::io {
namespace {

std::vector<std::byte> Message(uint16_t type, const std::vector<std::byte>& body,
                               uint32_t claimed = 0) {
  nlmsghdr head = {};
  head.nlmsg_len = claimed != 0 ? claimed : static_cast<uint32_t>(NLMSG_HDRLEN + body.size());
  head.nlmsg_type = type;
  std::vector<std::byte> bytes(NLMSG_ALIGN(NLMSG_HDRLEN + body.size()));
  memcpy(bytes.data(), &head, sizeof head);
  if (!body.empty()) memcpy(bytes.data() + NLMSG_HDRLEN, body.data(), body.size());
  return bytes;
}

std::vector<std::byte> Number(int32_t number) {
  std::vector<std::byte> bytes(sizeof number);
  memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

TEST(Genl, Reads_back_what_a_request_holds) {
  GenlRequest request(7);
  request.PutU16(1, 300);
  request.PutString(2, "name");
  request.PutFlag(3);
  request.PutU32(4, 70'000);
  std::vector<GenlAttribute> seen;
  EXPECT_TRUE(ForEachAttribute(request.attributes(),
                               [&](const GenlAttribute& one) { seen.push_back(one); }));
  ASSERT_EQ(seen.size(), 4u);
  for (uint16_t i = 0; i < 4; ++i) EXPECT_EQ(seen[i].type, i + 1);
  EXPECT_EQ(seen[0].U16(), 300);
  EXPECT_EQ(seen[0].U32(), std::nullopt) << "it has another size";
  EXPECT_EQ(seen[1].String(), "name");
  EXPECT_TRUE(seen[2].value.empty());
  EXPECT_EQ(seen[3].U32(), 70'000u);
}

TEST(Genl, Ends_a_string_at_its_attribute) {
  GenlRequest request(7);
  const char text[] = {'a', 'b'};
  request.Put(1, std::as_bytes(std::span(text)));
  ForEachAttribute(request.attributes(),
                   [](const GenlAttribute& attribute) { EXPECT_EQ(attribute.String(), "ab"); });
}

TEST(Genl, Takes_a_datagram_apart) {
  std::vector<std::byte> datagram = Message(20, std::vector<std::byte>(GENL_HDRLEN + 4));
  const std::vector<std::byte> done = Message(NLMSG_DONE, Number(0));
  datagram.insert(datagram.end(), done.begin(), done.end());
  const auto parsed = ParseGenlDatagram(datagram);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->messages.size(), 1u);
  EXPECT_EQ(parsed->messages[0].family, 20);
  EXPECT_EQ(parsed->messages[0].attributes.size(), 4u);
  EXPECT_TRUE(parsed->done);
  EXPECT_EQ(parsed->error, 0);
}

TEST(Genl, Tells_the_errors_of_the_kernel) {
  const auto parsed = ParseGenlDatagram(Message(NLMSG_ERROR, Number(-EPERM)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->done);
  EXPECT_EQ(parsed->error, EPERM);
}

TEST(Genl, Refuses_lengths_that_cannot_be) {
  EXPECT_FALSE(ParseGenlDatagram(Message(20, {}, 4)).ok());
  EXPECT_FALSE(ParseGenlDatagram(Message(20, {}, 1000)).ok());
  EXPECT_FALSE(ParseGenlDatagram(Message(20, {})).ok()) << "no head of generic netlink";
  EXPECT_FALSE(ParseGenlDatagram(Message(NLMSG_ERROR, {})).ok());
  EXPECT_FALSE(ParseGenlDatagram(Message(NLMSG_ERROR, Number(1))).ok());
  EXPECT_FALSE(ParseGenlDatagram(std::vector<std::byte>(3)).ok());
  EXPECT_FALSE(ForEachAttribute(std::vector<std::byte>(4), [](const GenlAttribute&) {}));
}

TEST(GenlSocket, Finds_the_family_that_every_kernel_has) {
  auto socket = GenlSocket::Open("nlctrl");
  ASSERT_TRUE(socket.ok()) << socket.status();
  bool answered = false;
  GenlRequest request(CTRL_CMD_GETFAMILY);
  request.PutString(CTRL_ATTR_FAMILY_NAME, "nlctrl");
  EXPECT_TRUE(socket->Ask(request, false, [&](const GenlMessage&) { answered = true; }).ok());
  EXPECT_TRUE(answered);
  EXPECT_TRUE(socket->Join("notify").ok());
  EXPECT_FALSE(socket->Join("nonsense").ok());
  const auto lost = socket->ReadEvents([](const GenlMessage&) {});
  ASSERT_TRUE(lost.ok()) << lost.status();
  EXPECT_FALSE(*lost);
}

TEST(GenlSocket, Says_that_there_is_no_such_family) {
  EXPECT_TRUE(absl::IsNotFound(GenlSocket::Open("clustix-none").status()));
}

}  // namespace
}  // namespace clustix::io
