// SPDX-License-Identifier: Apache-2.0
//
// bench-msg-soak: what of Clustix is no comparison with others. `clustix bench msg --cut` and
// `--peers-at-once` run it, one process for each side. Exit codes: 0 done, 1 failed, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tests/bench/msg/soak_client.h"
#include "tests/bench/msg/soak_server.h"

namespace clustix::bench {
namespace {

struct Options {
  PeerOptions peer;
  std::vector<std::string> addresses;
  int nodes = 1;
  uint32_t cut_ms = 100, seconds = 60, duration_ms = 3000;
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
  serve->add_option("--nodes", options.nodes, "How many")->check(CLI::Range(1, kMostNodes));
  serve->callback([&] { chosen = [&] { return ServeSoak(options.peer, options.nodes); }; });
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
  for (CLI::App* command : {cut, many}) {
    command->add_option("--addresses", options.addresses, "Of the servers")
        ->required()
        ->delimiter(',');
  }
  for (CLI::App* command : {serve, cut, many}) AddSharedOptions(command, options);
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
