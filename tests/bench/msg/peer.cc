// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/peer.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "lib/base/status.h"
#include "lib/base/time_units.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {
namespace {

using nlohmann::json;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
// Of calls that are outstanding together. No divisor of the usual windows, so that the sample is
// not always the same place of a batch.
constexpr uint32_t kAsyncSampleEvery = 17;

struct RunOptions {
  Case what{Mode::kSync, 64, 1};
  uint32_t duration_ms = 1000;
  uint32_t warmup_ms = 200;
  int server_pid = 0;  // 0: it runs on another machine
};

int Fail(const Peer& peer, const absl::Status& status) {
  std::fprintf(stderr, "bench-msg-%s: %s\n", peer.name.c_str(),
               std::string(status.message()).c_str());
  return kExitFailed;
}

uint64_t ReadClockNs(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The CPU time that both processes have used so far.
class CpuClock {
 public:
  static absl::StatusOr<CpuClock> Of(int server_pid) {
    CpuClock clock;
    const int error = clock_getcpuclockid(server_pid, &clock.server_);
    if (error != 0) {
      return base::ErrnoStatus(
          error, absl::StrCat("cannot read the CPU time of the server, process ", server_pid));
    }
    return clock;
  }
  uint64_t Ns() const { return ReadClockNs(CLOCK_PROCESS_CPUTIME_ID) + ReadClockNs(server_); }

 private:
  clockid_t server_ = CLOCK_PROCESS_CPUTIME_ID;
};

uint32_t SampleEvery(Mode mode) {
  switch (mode) {
    case Mode::kSync:
      return 1;
    case Mode::kAsync:
      return kAsyncSampleEvery;
    case Mode::kOneway:
      return 0;  // nothing comes back that could be timed
  }
  return 0;
}

int Describe(const Peer& peer) {
  json modes = json::array();
  for (Mode mode : peer.modes) modes.push_back(ModeName(mode));
  std::printf("%s\n",
              json({{"name", peer.name}, {"title", peer.title}, {"modes", modes}}).dump().c_str());
  return 0;
}

int Serve(const Peer& peer, const PeerOptions& options) {
  base::UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return Fail(peer, base::ErrnoStatus(errno, "cannot make an eventfd"));
  std::unique_ptr<Server> server = peer.make_server();
  absl::StatusOr<std::string> address = server->Listen(options);
  if (!address.ok()) return Fail(peer, address.status());
  std::printf("listening %s\n", address->c_str());
  std::fflush(stdout);
  // Whoever started this program holds the other end of its stdin, whatever becomes of them.
  std::thread until_stdin_ends([&stop] {
    char bytes[64];
    while (true) {
      const ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
      if (count == 0 || (count < 0 && errno != EINTR)) break;
    }
    eventfd_write(stop.get(), 1);
  });
  const absl::Status served = server->Serve(stop.get());
  if (!served.ok()) {
    // The thread still reads; it ends with the process.
    until_stdin_ends.detach();
    const int code = Fail(peer, served);
    std::fflush(stdout);
    _exit(code);
  }
  until_stdin_ends.join();
  return 0;
}

// messages: answered calls, or one-way messages that arrived. seconds: until the last of them.
// p50_us, p99_us: null for one-way messages. latency_us: [upper bound, samples] of each bucket.
// cpu_us_per_msg: of both processes; 0 if the server's cannot be known. mb_per_s: payload in one
// direction, 10^6 bytes. syscalls_per_msg: of both processes; not there if the peer does not count
// them.
void PrintResult(const Case& what, const Meter& meter, double seconds, uint64_t cpu_ns,
                 std::optional<uint64_t> syscalls) {
  const double messages = static_cast<double>(meter.messages());
  json buckets = json::array();
  for (const Histogram::Bucket& bucket : meter.latency().Buckets()) {
    buckets.push_back({static_cast<double>(bucket.upper_ns) / 1e3, bucket.count});
  }
  json result = {{"messages", meter.messages()},
                 {"seconds", seconds},
                 {"p50_us", nullptr},
                 {"p99_us", nullptr},
                 {"latency_us", std::move(buckets)},
                 {"cpu_us_per_msg", static_cast<double>(cpu_ns) / 1e3 / messages},
                 {"mb_per_s", messages * static_cast<double>(what.size_bytes) / seconds / 1e6}};
  if (meter.latency().total() > 0) {
    result["p50_us"] = static_cast<double>(meter.latency().Percentile(0.50)) / 1e3;
    result["p99_us"] = static_cast<double>(meter.latency().Percentile(0.99)) / 1e3;
  }
  if (syscalls) result["syscalls_per_msg"] = static_cast<double>(*syscalls) / messages;
  std::printf("%s\n", result.dump().c_str());
}

absl::Status Measure(const Peer& peer, const PeerOptions& options, const RunOptions& run) {
  std::unique_ptr<Client> client = peer.make_client();
  RETURN_IF_ERROR(client->Connect(options));
  ASSIGN_OR_RETURN(const int server_pid, client->ServerPid(run.server_pid));
  std::optional<CpuClock> cpu;
  if (server_pid != 0) {
    ASSIGN_OR_RETURN(cpu, CpuClock::Of(server_pid));
  }
  const uint32_t sample_every = SampleEvery(run.what.mode);
  auto warmup = std::make_unique<Meter>(run.warmup_ms * kNsPerMs, sample_every);
  RETURN_IF_ERROR(client->Run(run.what, *warmup));
  ASSIGN_OR_RETURN(std::optional<uint64_t> syscalls_before, client->SystemCalls());
  const uint64_t cpu_before_ns = cpu ? cpu->Ns() : 0;
  const uint64_t begin_ns = NowNs();
  auto meter = std::make_unique<Meter>(run.duration_ms * kNsPerMs, sample_every);
  RETURN_IF_ERROR(client->Run(run.what, *meter));
  const double seconds = static_cast<double>(NowNs() - begin_ns) / 1e9;
  const uint64_t cpu_ns = cpu ? cpu->Ns() - cpu_before_ns : 0;
  if (meter->messages() == 0) {
    return absl::DeadlineExceededError(
        absl::StrCat("not one message came through in ", run.duration_ms, " ms"));
  }
  ASSIGN_OR_RETURN(std::optional<uint64_t> syscalls, client->SystemCalls());
  if (syscalls && syscalls_before) *syscalls -= *syscalls_before;
  PrintResult(run.what, *meter, seconds, cpu_ns, syscalls);
  return absl::OkStatus();
}

void AddSharedOptions(CLI::App* command, PeerOptions& options) {
  command->add_option("--address", options.address, "IPv4:port")->required();
  command->add_option("--congestion", options.congestion,
                      "Congestion control of TCP (default: the system's)");
  command->add_option("--spin-us", options.spin_us,
                      "Spin that long before blocking, for peers that can (default: 0, never)");
}

void AddRunOptions(CLI::App* command, const Peer& peer, RunOptions& run) {
  std::map<std::string, Mode> modes;
  for (Mode mode : peer.modes) modes.emplace(ModeName(mode), mode);
  constexpr size_t kLargestBytes = 1024 * 1024;
  constexpr size_t kLargestWindow = 16384;
  constexpr uint32_t kLongestMs = 3'600'000;
  command->add_option("--mode", run.what.mode, "sync, async or oneway")
      ->required()
      ->transform(CLI::CheckedTransformer(modes));
  command->add_option("--size", run.what.size_bytes, "Bytes of a payload")
      ->required()
      ->check(CLI::Range(size_t{1}, kLargestBytes));
  command->add_option("--window", run.what.window, "Requests outstanding in async (default: 1)")
      ->check(CLI::Range(size_t{1}, kLargestWindow));
  command->add_option("--duration-ms", run.duration_ms, "Measured time (default: 1000)")
      ->check(CLI::Range(1u, kLongestMs));
  command->add_option("--warmup-ms", run.warmup_ms, "Time before it (default: 200)")
      ->check(CLI::Range(0u, kLongestMs));
  command
      ->add_option("--server-pid", run.server_pid,
                   "The server, for its CPU time, unless it runs on another machine")
      ->check(CLI::PositiveNumber);
}

int Run(const Peer& peer, const PeerOptions& options, RunOptions run) {
  if (run.what.mode == Mode::kSync) run.what.window = 1;
  const absl::Status status = Measure(peer, options, run);
  return status.ok() ? 0 : Fail(peer, status);
}

}  // namespace

int PeerMain(int argc, char** argv, const Peer& peer) {
  signal(SIGPIPE, SIG_IGN);
  CLI::App app("One side of a messaging benchmark: " + peer.title + ".", "bench-msg-" + peer.name);
  app.require_subcommand(1);
  PeerOptions options;
  RunOptions run;
  std::function<int()> chosen;
  app.add_subcommand("describe", "Print what this peer is and can do")->callback([&] {
    chosen = [&] { return Describe(peer); };
  });
  CLI::App* serve = app.add_subcommand("serve", "Answer requests until stdin ends");
  AddSharedOptions(serve, options);
  serve->callback([&] { chosen = [&] { return Serve(peer, options); }; });
  CLI::App* measure = app.add_subcommand("run", "Measure against a server, and print the result");
  AddSharedOptions(measure, options);
  AddRunOptions(measure, peer, run);
  measure->callback([&] { chosen = [&] { return Run(peer, options, run); }; });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return chosen();
}

}  // namespace clustix::bench
