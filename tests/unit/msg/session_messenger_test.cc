// SPDX-License-Identifier: Apache-2.0
// What belongs to the messenger of user space alone; messenger_contract_test.cc has the rest.
#include "lib/msg/session_messenger.h"

#include <gtest/gtest.h>

#include "tests/unit/msg/messenger_fixture.h"

namespace clustix::msg {
namespace {

class SessionMessenger : public MessengerFixture {};

TEST_F(SessionMessenger, The_end_of_one_without_connections_is_reported_too) {
  int closed = 0;
  MessengerConfig config = Config(1, {2});
  config.listen_address = "nowhere";
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom(), [&] { ++closed; }).ok());
  EXPECT_TRUE(RunUntil([&] { return closed == 1; }));
  auto alone = StartSessionMessenger(*io_, Config(1, {}), SystemRandom(), [&] { ++closed; });
  ASSERT_TRUE(alone.ok()) << alone.status();
  alone->reset();
  EXPECT_TRUE(RunUntil([&] { return closed == 2; }));
}

TEST_F(SessionMessenger, A_configuration_that_cannot_work_is_refused) {
  MessengerConfig config = Config(1, {1});
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom()).ok());
  config = Config(1, {2});
  config.tolerance_ms = 1;
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom()).ok());
  config = Config(1, {2});
  config.listen_address = "nowhere";
  EXPECT_FALSE(StartSessionMessenger(*io_, config, SystemRandom()).ok());
}

}  // namespace
}  // namespace clustix::msg
