// SPDX-License-Identifier: Apache-2.0
//
// bench-msg-soak: what of Clustix is no comparison with others. `clustix bench msg --cut`,
// `--peers-at-once`, `--beside-bulk` and `--stall` run it, one process for each side. Exit codes: 0
// done, 1 failed, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/msg/soak_client.h"
#include "tests/bench/msg/soak_server.h"

namespace clustix::bench {
namespace {

struct Options {
  PeerOptions peer;
  std::vector<std::string> addresses;
  int first_node = kSoakFirstServer, nodes = 1;
  uint32_t cut_ms = 100, seconds = 60, duration_ms = 3000, rounds = 5;
  StallKind stall = StallKind::kHold;
  int stalled_pid = 0;
  size_t size_bytes = 64, window = 16;
};

void AddSharedOptions(CLI::App* command, Options& options) {
  command->add_option("--congestion", options.peer.congestion, "Congestion control of TCP");
  command->add_option("--spin-us", options.peer.spin_us, "Spin that long before blocking");
}

int Main(int argc, char** argv) {
  constexpr int kMostNodes = 500;
  CLI::App app("Clustix under cut connections and with many peers.", "bench-msg-soak");
  app.require_subcommand(1);
  Options options;
  std::function<absl::Status()> chosen;
  CLI::App* serve = app.add_subcommand("serve", "Check and answer what comes until stdin ends");
  serve->add_option("--address", options.peer.address, "IPv4:0")->required();
  serve->add_option("--first-node", options.first_node, "Id of the first (default: 2)")
      ->check(CLI::Range(kSoakFirstServer, kMostNodes));
  serve->add_option("--nodes", options.nodes, "How many")->check(CLI::Range(1, kMostNodes));
  serve->callback(
      [&] { chosen = [&] { return ServeSoak(options.peer, options.first_node, options.nodes); }; });
  CLI::App* cut = app.add_subcommand("cut", "Reset connections under load");
  cut->add_option("--cut-ms", options.cut_ms, "Between two cuts, on average")
      ->check(CLI::PositiveNumber);
  cut->add_option("--seconds", options.seconds, "With cuts")->check(CLI::PositiveNumber);
  cut->callback([&] {
    chosen = [&] {
      return RunCut(options.peer, options.addresses, options.cut_ms, options.seconds);
    };
  });
  CLI::App* many = app.add_subcommand("many", "Call all servers at once");
  many->add_option("--size", options.size_bytes, "Bytes")->check(CLI::PositiveNumber);
  many->add_option("--window", options.window, "Outstanding to each")->check(CLI::PositiveNumber);
  many->add_option("--duration-ms", options.duration_ms, "Measured")->check(CLI::PositiveNumber);
  many->callback([&] {
    chosen = [&] {
      return RunMany(options.peer, options.addresses, options.size_bytes, options.window,
                     options.duration_ms);
    };
  });
  CLI::App* bulk = app.add_subcommand("bulk", "Call beside a stream of large messages");
  bulk->add_option("--rounds", options.rounds, "How many")->check(CLI::PositiveNumber);
  bulk->add_option("--duration-ms", options.duration_ms, "Of a round's halves")
      ->check(CLI::PositiveNumber);
  bulk->callback([&] {
    chosen = [&] {
      return RunBulk(options.peer, options.addresses, options.rounds, options.duration_ms);
    };
  });
  CLI::App* stall = app.add_subcommand("stall", "Let the first server stop to read");
  stall->add_option("--kind", options.stall, "hold or stop")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, StallKind>{{"hold", StallKind::kHold}, {"stop", StallKind::kStop}}))
      ->required();
  stall->add_option("--seconds", options.seconds, "How long")->check(CLI::PositiveNumber);
  stall->add_option("--stalled-pid", options.stalled_pid, "Its process")
      ->check(CLI::PositiveNumber)
      ->required();
  stall->callback([&] {
    chosen = [&] {
      return RunStall(options.peer, options.addresses, options.stall, options.stalled_pid,
                      options.seconds);
    };
  });
  for (CLI::App* command : {cut, many, bulk, stall}) {
    command->add_option("--addresses", options.addresses, "Of the servers")
        ->required()
        ->delimiter(',');
  }
  for (CLI::App* command : {serve, cut, many, bulk, stall}) AddSharedOptions(command, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = chosen();
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench-msg-soak: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) { return clustix::bench::Main(argc, argv); }
