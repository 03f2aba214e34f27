// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/peer_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace clustix::bench {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kFields[] = {"messages",   "seconds",        "p50_us",  "p99_us",
                                   "latency_us", "cpu_us_per_msg", "mb_per_s"};

json GoodRound() {
  return json::parse(R"({"messages": 1000, "seconds": 0.5, "p50_us": 11.5, "p99_us": 20,
                         "latency_us": [[11.5, 900], [20, 100]], "cpu_us_per_msg": 9,
                         "mb_per_s": 0.128})");
}

std::string ErrorOf(const json& round) {
  const absl::StatusOr<Round> parsed = ParseRound(round.dump());
  return parsed.ok() ? "" : std::string(parsed.status().message());
}

TEST(PeerOutput, Reads_a_round) {
  const absl::StatusOr<Round> round = ParseRound(GoodRound().dump());
  ASSERT_TRUE(round.ok()) << round.status();
  EXPECT_EQ(round->messages, 1000u);
  EXPECT_EQ(round->seconds, 0.5);
  EXPECT_EQ(round->p50_us, 11.5);
  EXPECT_EQ(round->p99_us, 20);
  EXPECT_EQ(round->cpu_us_per_msg, 9);
  EXPECT_THAT(round->latency, ElementsAre(LatencyBucket{11.5, 900}, LatencyBucket{20, 100}));
}

TEST(PeerOutput, Takes_a_latency_of_null_as_none) {
  json round = GoodRound();
  round["p50_us"] = round["p99_us"] = nullptr;
  round["latency_us"] = json::array();
  const absl::StatusOr<Round> parsed = ParseRound(round.dump());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->p50_us, 0);
}

TEST(PeerOutput, Takes_system_calls_from_peers_that_count_them) {
  EXPECT_EQ(ParseRound(GoodRound().dump())->syscalls_per_msg, 0);
  json round = GoodRound();
  round["syscalls_per_msg"] = 0.25;
  EXPECT_EQ(ParseRound(round.dump())->syscalls_per_msg, 0.25);
  round["syscalls_per_msg"] = -1;
  EXPECT_THAT(ErrorOf(round), HasSubstr("syscalls_per_msg"));
}

TEST(PeerOutput, Refuses_a_round_that_lacks_anything) {
  for (const char* field : kFields) {
    json round = GoodRound();
    round.erase(field);
    EXPECT_NE(ErrorOf(round), "") << field;
  }
}

TEST(PeerOutput, Refuses_fields_of_another_type) {
  for (const char* field : kFields) {
    json round = GoodRound();
    round[field] = "many";
    EXPECT_NE(ErrorOf(round), "") << field;
  }
}

TEST(PeerOutput, Refuses_figures_that_cannot_be) {
  for (const char* key :
       {"messages", "seconds", "p50_us", "p99_us", "cpu_us_per_msg", "mb_per_s"}) {
    json round = GoodRound();
    round[key] = -1;
    EXPECT_NE(ErrorOf(round), "") << key;
  }
  json round = GoodRound();
  round["messages"] = 0;
  EXPECT_THAT(ErrorOf(round), HasSubstr("no number of messages"));
  round = GoodRound();
  round["seconds"] = 0;
  EXPECT_THAT(ErrorOf(round), HasSubstr("no time"));
}

TEST(PeerOutput, Refuses_wrong_buckets) {
  for (const char* buckets : {"[[1, 2], [1, 3]]", "[[2, 2], [1, 3]]", "[[1]]", "[1]", "[[1, -2]]",
                              "[[1, 2.5]]", "[[\"1\", 2]]", "{}"}) {
    json round = GoodRound();
    round["latency_us"] = json::parse(buckets);
    EXPECT_THAT(ErrorOf(round), HasSubstr("latency_us")) << buckets;
  }
}

TEST(PeerOutput, Refuses_what_is_no_JSON_object_and_quotes_it) {
  for (const char* line : {"", "Segmentation fault", "[1, 2]", "{\"messages\": 10", "nan"}) {
    const absl::StatusOr<Round> round = ParseRound(line);
    ASSERT_FALSE(round.ok()) << line;
    EXPECT_THAT(std::string(round.status().message()), HasSubstr(line));
  }
  EXPECT_LT(std::string(ParseRound(std::string(10000, 'x')).status().message()).size(), 200u);
}

TEST(PeerOutput, Reads_the_address_of_a_server) {
  EXPECT_EQ(*ParseListening("listening 127.0.0.1:4000"), "127.0.0.1:4000");
  EXPECT_FALSE(ParseListening("listening ").ok());
  EXPECT_FALSE(ParseListening("ready on 127.0.0.1:4000").ok());
  EXPECT_FALSE(ParseListening("").ok());
}

TEST(PeerOutput, Reads_a_description) {
  const absl::StatusOr<PeerDescription> description =
      ParseDescription(R"({"name": "nng", "title": "nng", "modes": ["sync", "oneway"]})");
  ASSERT_TRUE(description.ok()) << description.status();
  EXPECT_EQ(description->name, "nng");
  EXPECT_THAT(description->modes, ElementsAre(Mode::kSync, Mode::kOneway));
}

TEST(PeerOutput, Refuses_a_description_with_an_unknown_mode) {
  EXPECT_FALSE(ParseDescription(R"({"name": "a", "title": "a", "modes": ["fast"]})").ok());
  EXPECT_FALSE(ParseDescription(R"({"name": "a", "title": "a", "modes": [1]})").ok());
  EXPECT_FALSE(ParseDescription(R"({"name": "a", "title": "a"})").ok());
  EXPECT_FALSE(ParseDescription(R"({"name": 1, "title": "a", "modes": []})").ok());
}

}  // namespace
}  // namespace clustix::bench
