// SPDX-License-Identifier: Apache-2.0
#include "lib/io/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace clustix::io {
namespace {

using base::UniqueFd;

SocketAddress Address(const std::string& text) { return ParseAddress(text).value(); }

int IntOption(int fd, int level, int option) {
  int value = -1;
  socklen_t bytes = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, option, &value, &bytes), 0);
  return value;
}

std::string Congestion(int fd) {
  char name[32] = {};
  socklen_t bytes = sizeof name;
  EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes), 0);
  return name;
}

TEST(Socket, Connections_take_the_options_of_their_listener_and_connector) {
  const StreamOptions options = {.no_delay = true, .user_timeout_ms = 1234, .congestion = "reno"};
  const auto listener = OpenListener(Address("127.0.0.1:0"), options);
  ASSERT_TRUE(listener.ok()) << listener.status();
  const SocketAddress bound = LocalAddressOf(listener->get()).value();
  const auto connector = OpenConnector(bound, "", options);
  ASSERT_TRUE(connector.ok()) << connector.status();
  ASSERT_EQ(connect(connector->get(), bound.get(), bound.bytes), 0);
  const UniqueFd accepted(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  for (int fd : {connector->get(), accepted.get()}) {
    EXPECT_EQ(IntOption(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(IntOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
    EXPECT_EQ(Congestion(fd), "reno");
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(Socket, An_unknown_congestion_control_is_an_error_that_names_it) {
  const auto connector =
      OpenConnector(Address("127.0.0.1:1"), "", StreamOptions{.congestion = "nonesuch"});
  ASSERT_FALSE(connector.ok());
  EXPECT_NE(connector.status().message().find("nonesuch"), absl::string_view::npos);
}

TEST(Socket, Connects_from_the_local_address_it_is_given) {
  for (const auto& [any, from] : {std::pair("127.0.0.1:0", "127.0.0.5"), {"[::1]:0", "::1"}}) {
    const auto listener = OpenListener(Address(any), {});
    if (!listener.ok() && std::string(any).front() == '[') continue;  // no IPv6 here
    ASSERT_TRUE(listener.ok()) << listener.status();
    const SocketAddress bound = LocalAddressOf(listener->get()).value();
    const auto connector = OpenConnector(bound, from, {});
    ASSERT_TRUE(connector.ok()) << connector.status();
    ASSERT_EQ(connect(connector->get(), bound.get(), bound.bytes), 0);
    const std::string local = FormatAddress(LocalAddressOf(connector->get()).value());
    EXPECT_NE(local.find(from), std::string::npos) << local;
  }
}

TEST(Socket, Refuses_a_local_address_of_another_family_or_machine) {
  EXPECT_EQ(OpenConnector(Address("127.0.0.1:1"), "::1", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto foreign = OpenConnector(Address("127.0.0.1:1"), "192.0.2.1", {});
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.status().message().find("192.0.2.1"), absl::string_view::npos);
}

TEST(Socket, Notices_a_connection_to_itself) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketAddress address = Address("127.0.0.1:0");
  ASSERT_EQ(bind(fd.get(), address.get(), address.bytes), 0);
  address = LocalAddressOf(fd.get()).value();
  ASSERT_EQ(connect(fd.get(), address.get(), address.bytes), 0);
  EXPECT_TRUE(IsConnectedToItself(fd.get()));
}

class UnixSocketTest : public testing::Test {
 protected:
  UnixSocketTest() {
    std::string name = testing::TempDir() + "clustix_socket_XXXXXX";
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/s";
  }
  ~UnixSocketTest() override { std::filesystem::remove_all(directory_); }
  std::string directory_, path_;
};

TEST_F(UnixSocketTest, A_stale_socket_file_is_replaced) {
  { ASSERT_TRUE(OpenListener(Address("unix:" + path_), {}).ok()); }
  ASSERT_TRUE(std::filesystem::exists(path_));
  const auto again = OpenListener(Address("unix:" + path_), {});
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(UnixSocketTest, A_socket_in_use_is_left_alone) {
  const auto first = OpenListener(Address("unix:" + path_), {});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = OpenListener(Address("unix:" + path_), {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = Address("unix:" + path_);
  EXPECT_EQ(connect(client.get(), address.get(), address.bytes), 0);
}

TEST_F(UnixSocketTest, A_file_that_is_no_socket_is_left_alone) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(OpenListener(Address("unix:" + path_), {}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(UnixSocketTest, A_missing_directory_is_an_error_that_names_the_path) {
  const auto listener = OpenListener(Address("unix:" + directory_ + "/none/s"), {});
  ASSERT_FALSE(listener.ok());
  EXPECT_NE(listener.status().message().find("/none/s"), absl::string_view::npos);
}

}  // namespace
}  // namespace clustix::io
