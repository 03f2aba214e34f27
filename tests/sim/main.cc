// SPDX-License-Identifier: Apache-2.0
//
// The main program of the simulators: runs simulated clusters by seed. See README.md.
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "CLI/CLI.hpp"
#include "lib/base/log.h"
#include "tests/sim/run.h"

namespace {

struct Options {
  uint64_t seed = 0;
  uint64_t first = 1;
  uint64_t count = 0;
  uint64_t shard = 0, shards = 1;
  uint64_t percent = 100;
  bool trace = false;
  bool expect_violation = false;
  bool keep_going = false;
  bool quiet = false;
  bool messages = false;
};

int ReportViolation(const char* program, uint64_t seed, const std::string& violation) {
  std::printf("seed %" PRIu64 ": %s\nreplay: %s --seed %" PRIu64 " --trace\n", seed,
              violation.c_str(), program, seed);
  return 1;
}

// One seed, twice: the second run must tell the same story.
int RunOne(const char* program, const Options& options) {
  const clustix::sim::RunResult first = clustix::sim::RunSeed(options.seed, options.trace);
  const clustix::sim::RunResult second = clustix::sim::RunSeed(options.seed, false);
  std::printf("seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64
              " messages, %.1f s simulated, trace %016" PRIx64 "\n",
              options.seed, first.events, first.messages,
              static_cast<double>(first.simulated_ns) / 1e9, first.trace_hash);
  if (first.trace_hash != second.trace_hash) {
    std::printf("seed %" PRIu64 " is not deterministic: a second run has trace %016" PRIx64 "\n",
                options.seed, second.trace_hash);
    return 1;
  }
  if (!first.violation.empty()) return ReportViolation(program, options.seed, first.violation);
  return 0;
}

int RunMany(const char* program, const Options& options) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Clock::time_point told = start;
  uint64_t done = 0, events = 0, messages = 0, violations = 0;
  auto rate = [&] {
    const std::chrono::duration<double> passed = Clock::now() - start;
    return static_cast<double>(done) / passed.count();
  };
  for (uint64_t seed = options.first + options.shard; seed < options.first + options.count;
       seed += options.shards) {
    const clustix::sim::RunResult result = clustix::sim::RunSeed(seed, false);
    done++;
    events += result.events;
    messages += result.messages;
    if (!result.violation.empty()) {
      ReportViolation(program, seed, result.violation);
      violations++;
      if (options.keep_going) continue;
      if (!options.expect_violation) return 1;
      std::printf("caught after %" PRIu64 " seeds\n", done);
      return 0;
    }
    // Now and then again, to see that a seed tells one story only.
    if (done % 100 == 1 && clustix::sim::RunSeed(seed, false).trace_hash != result.trace_hash) {
      std::printf("seed %" PRIu64 " is not deterministic\n", seed);
      return 1;
    }
    if (!options.quiet && Clock::now() - told > std::chrono::seconds(5)) {
      told = Clock::now();
      std::printf("%" PRIu64 " seeds, %.0f a second\n", done, rate());
      std::fflush(stdout);
    }
  }
  std::printf("%" PRIu64 " seeds, %" PRIu64 " violations: %" PRIu64 " events, %" PRIu64
              " messages, %.0f seeds a second\n",
              done, violations, events, messages, rate());
  if (violations > 0) return 1;
  if (!options.expect_violation) return 0;
  std::printf("survived: no seed of these catches this mutation\n");
  return 1;
}

// With --expect-violation a crash counts as one: an assertion has noticed what the checker would.
extern "C" void CaughtByCrash(int) {
  constexpr char kText[] = "caught by a crash\n";
  (void)!write(STDOUT_FILENO, kText, sizeof(kText) - 1);
  _exit(0);
}

uint64_t DefaultCount() {
  const char* wish = std::getenv("CLUSTIX_SIM_SEEDS");
  const uint64_t count = wish == nullptr ? 0 : std::strtoull(wish, nullptr, 10);
  return count == 0 ? 2000 : count;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string range, shard;
  CLI::App app("Runs simulated clusters, each drawn from a seed, and checks every promise.");
  auto* seed = app.add_option("--seed", options.seed, "run this seed alone, twice");
  app.add_option("--seeds", range, "run the seeds FROM-TO, both included");
  app.add_option("--count", options.count, "run so many seeds, from 1 on");
  app.add_option("--shard", shard, "run the I-th of N parts of the seeds: I/N, from 0");
  app.add_option("--percent", options.percent, "run so many percent of $CLUSTIX_SIM_SEEDS");
  app.add_flag("--trace", options.trace, "print every event (with --seed)");
  app.add_flag("--expect-violation", options.expect_violation, "exit 0 if a seed is violated");
  app.add_flag("--keep-going", options.keep_going, "go on after a violation");
  app.add_flag("--quiet", options.quiet, "no progress");
  app.add_flag("--messages", options.messages, "print what operations cost in messages");
  CLI11_PARSE(app, argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  // Thousands of nodes lose their peers here; the trace says when.
  clustix::base::SetLogLevel(clustix::base::LogLevel::kError);
  if (options.expect_violation) {
    std::signal(SIGABRT, CaughtByCrash);
    std::signal(SIGSEGV, CaughtByCrash);
  }
  if (options.messages) {
    const std::string table = clustix::sim::MessageTable();
    if (table.empty()) {
      std::fprintf(stderr, "%s: --messages: there is no such table of this simulator\n", argv[0]);
      return 2;
    }
    std::fputs(table.c_str(), stdout);
    return 0;
  }
  if (seed->count() > 0) return RunOne(argv[0], options);
  if (options.count == 0) options.count = DefaultCount() * options.percent / 100;
  uint64_t last = 0;
  if (!range.empty()) {
    if (std::sscanf(range.c_str(), "%" SCNu64 "-%" SCNu64, &options.first, &last) != 2 ||
        last < options.first) {
      std::fprintf(stderr, "%s: --seeds wants FROM-TO, as in 1-2000\n", argv[0]);
      return 2;
    }
    options.count = last - options.first + 1;
  }
  if (!shard.empty() &&
      (std::sscanf(shard.c_str(), "%" SCNu64 "/%" SCNu64, &options.shard, &options.shards) != 2 ||
       options.shard >= options.shards)) {
    std::fprintf(stderr, "%s: --shard wants I/N with I below N, as in 0/2\n", argv[0]);
    return 2;
  }
  return RunMany(argv[0], options);
}
