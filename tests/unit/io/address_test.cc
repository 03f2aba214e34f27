// SPDX-License-Identifier: Apache-2.0
#include "lib/io/address.h"

#include <gtest/gtest.h>

#include <string>

namespace clustix::io {
namespace {

TEST(Address, Formats_what_it_parsed) {
  for (const char* text :
       {"127.0.0.1:7400", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:7400", "[2001:db8::5]:1",
        "[fe80::1%lo]:80", "unix:/run/clustix/clustixd.sock", "unix:relative.sock"}) {
    const auto address = ParseAddress(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(FormatAddress(*address), text);
  }
}

TEST(Address, Refuses_names_and_every_other_shape) {
  for (const char* text : {"",
                           ":",
                           "7400",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:+1",
                           "127.0.0.1: 1",
                           "127.0.0.1:1 ",
                           "127.1:80",
                           "localhost:80",
                           "::1:80",
                           "[::1]",
                           "[::1]80",
                           "[127.0.0.1]:80",
                           "[::1%nosuchinterface]:80",
                           "[]:80",
                           "unix:",
                           "1.2.3.4.5:6"}) {
    EXPECT_EQ(ParseAddress(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Address, Takes_unix_paths_up_to_the_kernels_limit) {
  EXPECT_TRUE(ParseAddress("unix:" + std::string(107, 'a')).ok());
  EXPECT_FALSE(ParseAddress("unix:" + std::string(108, 'a')).ok());
  EXPECT_FALSE(ParseAddress(std::string("unix:a\0b", 8)).ok());
}

TEST(Address, Of_an_IP_alone_has_port_zero) {
  EXPECT_EQ(FormatAddress(ParseIp("10.0.0.1").value()), "10.0.0.1:0");
  EXPECT_EQ(FormatAddress(ParseIp("::1").value()), "[::1]:0");
  EXPECT_EQ(FormatAddress(ParseIp("[::1]").value()), "[::1]:0");
  EXPECT_FALSE(ParseIp("10.0.0.1:80").ok());
  EXPECT_FALSE(ParseIp("").ok());
}

TEST(Address, Errors_name_the_text) {
  EXPECT_NE(ParseAddress("node2:7400").status().message().find("\"node2:7400\""),
            absl::string_view::npos);
}

}  // namespace
}  // namespace clustix::io
