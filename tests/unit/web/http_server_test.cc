// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/web/http_get.h"

namespace clustix::web {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<HttpServer> Echo() {
  auto server =
      HttpServer::Start({.ip = "127.0.0.1"}, [](const std::string& path, const std::string& host) {
        return Answer{.type = "text/plain", .body = host + " asks for " + path};
      });
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(HttpServer, Answers_with_what_its_handler_says) {
  const auto server = Echo();
  const HttpAnswer answer = HttpGet(server->port(), "/a%20b?c=d", "localhost:1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "localhost:1 asks for /a b");
  EXPECT_THAT(answer.headers, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(answer.headers, HasSubstr("Content-Security-Policy: default-src 'none'"));
}

TEST(HttpServer, Sends_no_body_to_head) {
  const auto server = Echo();
  const HttpAnswer answer =
      SendHttp(server->port(), "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.headers, HasSubstr("Content-Length: 20\r\n"));
  EXPECT_EQ(answer.body, "");
}

TEST(HttpServer, Changes_nothing_for_anybody) {
  const auto server = Echo();
  const HttpAnswer answer = SendHttp(server->port(),
                                     "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                                     "Connection: close\r\n\r\nabc");
  EXPECT_EQ(answer.status, 405);
  EXPECT_THAT(answer.headers, HasSubstr("Allow: GET, HEAD\r\n"));
}

TEST(HttpServer, Refuses_what_is_no_request_and_serves_the_next) {
  const auto server = Echo();
  EXPECT_NE(SendHttp(server->port(), "\x16\x03\x01 hello\r\n\r\n").status, 200);
  EXPECT_NE(
      SendHttp(server->port(), "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\n\r\n").status,
      200);
  EXPECT_EQ(HttpGet(server->port(), "/").status, 200);
}

TEST(HttpServer, Says_that_its_port_is_taken) {
  const auto server = Echo();
  const auto second = HttpServer::Start({.ip = "127.0.0.1", .port = server->port()}, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--listen"));
}

}  // namespace
}  // namespace clustix::web
