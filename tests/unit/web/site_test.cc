// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace clustix::web {
namespace {

using ::testing::HasSubstr;

class SiteTest : public testing::Test {
 protected:
  int asked_ = 0;
  Site site_{[this]() -> absl::StatusOr<std::string> {
    ++asked_;
    return absl::NotFoundError("no daemon runs here");
  }};
};

TEST_F(SiteTest, Has_a_page_that_needs_nothing_from_elsewhere) {
  const Answer page = site_.Get("/", "127.0.0.1:7480");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  EXPECT_EQ(page.body.find("http"), std::string::npos);
  for (const char* part : {"/page.js", "/page.css"}) {
    EXPECT_THAT(page.body, HasSubstr(part));
    EXPECT_EQ(site_.Get(part, "127.0.0.1").status, 200) << part;
  }
}

TEST_F(SiteTest, Is_known_by_its_address_and_own_name_alone) {
  char own[256] = {};
  gethostname(own, sizeof(own) - 1);
  for (const std::string& host : {std::string("localhost"), std::string("[::1]:7480"),
                                  std::string("10.1.2.3:80"), std::string(own)}) {
    EXPECT_EQ(site_.Get("/", host).status, 200) << host;
  }
  for (const char* host :
       {"", "example.org", "localhost.example.org:7480", "[", "127.0.0.1.example.org"}) {
    EXPECT_EQ(site_.Get("/", host).status, 421) << host;
    EXPECT_EQ(site_.Get("/api/processes", host).status, 421) << host;
  }
  EXPECT_EQ(asked_, 0);
}

TEST_F(SiteTest, Says_why_the_daemon_does_not_answer_and_asks_seldom) {
  const Answer answer = site_.Get("/metrics", "localhost");
  EXPECT_EQ(answer.status, 502);
  EXPECT_EQ(answer.body, "no daemon runs here\n");
  for (int i = 0; i < 100; ++i) site_.Get("/metrics", "localhost");
  EXPECT_LT(asked_, 50);
}

TEST_F(SiteTest, Has_no_other_pages) {
  for (const char* path : {"/page", "/api", "/api/", "//", "/../etc/passwd", ""}) {
    EXPECT_EQ(site_.Get(path, "localhost").status, 404) << path;
  }
  EXPECT_EQ(asked_, 0);
}

}  // namespace
}  // namespace clustix::web
