// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace clustix::command {
namespace {

using Words = std::vector<std::string>;

TEST(ParseSignal, Takes_names_and_numbers) {
  EXPECT_EQ(ParseSignal("TERM"), SIGTERM);
  EXPECT_EQ(ParseSignal("SIGTERM"), SIGTERM);
  EXPECT_EQ(ParseSignal("hup"), SIGHUP);
  EXPECT_EQ(ParseSignal("9"), SIGKILL);
  EXPECT_EQ(ParseSignal("0"), 0);
  EXPECT_EQ(ParseSignal("RTMIN+1"), SIGRTMIN + 1);
  EXPECT_EQ(ParseSignal("SIGRTMAX-2"), SIGRTMAX - 2);
  for (const char* none :
       {"", "SIG", "TERMX", "-1", "65", "1x", "RTMIN+99", "RTMAX+1", "RTMIN-1"}) {
    EXPECT_EQ(ParseSignal(none), std::nullopt) << none;
  }
}

TEST(ParseSignal, Understands_every_name_that_is_listed) {
  const std::string list = SignalList();
  EXPECT_NE(list.find("15 TERM\n"), std::string::npos);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    EXPECT_EQ(ParseSignal(SignalName(signal)), signal);
  }
}

TEST(SpellOutSignals, Rewrites_the_signals_of_kill_and_pkill_alone) {
  EXPECT_EQ(SpellOutSignals({"kill", "-9", "8388630"}), (Words{"kill", "--signal=9", "8388630"}));
  EXPECT_EQ(SpellOutSignals({"--socket", "kill", "pkill", "-SIGHUP", "-f", "x"}),
            (Words{"--socket", "kill", "pkill", "--signal=SIGHUP", "-f", "x"}));
  EXPECT_EQ(SpellOutSignals({"pkill", "--", "-9"}), (Words{"pkill", "--", "-9"}));
  EXPECT_EQ(SpellOutSignals({"kill", "-h", "-l"}), (Words{"kill", "-h", "-l"}));
  EXPECT_EQ(SpellOutSignals({"kill", "-BOGUS", "-99", "1"}),
            (Words{"kill", "--signal=BOGUS", "--signal=99", "1"}));
  EXPECT_EQ(SpellOutSignals({"ps", "-9"}), (Words{"ps", "-9"}));
  EXPECT_EQ(SpellOutSignals({"--socket"}), (Words{"--socket"}));
  EXPECT_EQ(SpellOutSignals({}), Words{});
}

}  // namespace
}  // namespace clustix::command
