// SPDX-License-Identifier: Apache-2.0
//
// clustixd: the daemon of one node, in the foreground. Reads the command line and the
// configuration; everything else is Daemon's.
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/remote/session.h"
#include "daemon/remote/starter.h"
#include "lib/base/descriptor_limit.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/client/socket_path.h"
#include "lib/session/wire.h"

namespace clustix::daemon {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct Arguments {
  std::string config;
  std::string node;
  std::string runtime_dir;
  std::string transport;
  std::string log_level;
  bool no_proc = false;
  bool proc_optional = false;
  std::string local_proc;
  std::string session_socket;
};

absl::StatusOr<DaemonOptions> MakeOptions(const Arguments& arguments) {
  DaemonOptions options;
  ASSIGN_OR_RETURN(options.config, LoadConfig(arguments.config));
  ASSIGN_OR_RETURN(options.self,
                   FindLocalNode(options.config, arguments.node, ReadLocalIdentity()));
  options.runtime_dir = options.config.runtime_dir.value_or(client::RuntimeBase());
  if (!arguments.runtime_dir.empty()) options.runtime_dir = arguments.runtime_dir;
  // What `clustix status` prints must be true in any working directory.
  options.runtime_dir = std::filesystem::absolute(options.runtime_dir).string();
  options.transport = options.config.transport;
  if (!arguments.transport.empty()) {
    options.transport = *ParseTransportChoice(arguments.transport);
  }
  options.proc = options.config.proc && !arguments.no_proc;
  options.proc_optional = arguments.proc_optional;
  options.local_proc = arguments.local_proc;
  options.session_socket = arguments.session_socket;
  base::LogLevel level = options.config.log_level;
  if (!arguments.log_level.empty()) level = *base::ParseLogLevel(arguments.log_level);
  base::SetLogLevel(level);
  return options;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "clustixd: %s\n", std::string(base::ToStd(status.message())).c_str());
  return kExitFailed;
}

void Declare(CLI::App& app, Arguments& arguments) {
  app.footer(
      "Runs until SIGTERM or SIGINT. Logs to stderr; tells systemd when it is ready.\n"
      "Examples:\n"
      "  clustixd --config /etc/clustix/cluster.toml\n"
      "  clustixd --config cluster.toml --node 2 --runtime-dir /run/clustix/node2");
  app.set_version_flag("--version", absl::StrCat("clustixd ", CLUSTIX_VERSION, " (wire protocol ",
                                                 KCCM_VERSION_MAX, ")"));
  app.add_option("--config", arguments.config, "The cluster's configuration")
      ->type_name("FILE")
      ->required();
  app.add_option(
         "--node", arguments.node,
         "Which of its nodes to be, by id or name (default: the one named as this host, or the one "
         "whose address is local)")
      ->type_name("NODE");
  app.add_option("--runtime-dir", arguments.runtime_dir,
                 "Where the socket and the mount go (default: the configuration's, or " +
                     client::RuntimeBase() + ")")
      ->type_name("DIR");
  app.add_flag("--no-proc", arguments.no_proc, "Do not mount the cluster's /proc");
  app.add_flag("--proc-optional", arguments.proc_optional,
               "Run without the cluster's /proc where it cannot be mounted, instead of failing");
  app.add_option("--local-proc", arguments.local_proc,
                 "Where clustix shell binds the node's own /proc, which the cluster's covers: fd, "
                 "ns, maps, ... of its processes are links to there (default: localproc in the "
                 "runtime directory)")
      ->type_name("DIR");
  app.add_option("--session-socket", arguments.session_socket,
                 "Where every connection becomes a session for a program that another node asks "
                 "for: clustixd-session.socket of systemd (default: a process of its own)")
      ->type_name("PATH");
  app.add_option("--transport", arguments.transport,
                 "What carries the messages: auto (the kernel module kccm if it can be used), "
                 "module, or user")
      ->type_name("KIND")
      ->check(CLI::IsMember({"auto", "module", "user"}));
  app.add_option("--log-level", arguments.log_level, "debug, info, warning or error")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
}

// The cluster key is in this process's memory for as long as it runs, for every handshake proves
// it: in lib/session, on stacks, in libcrypto. So no core file and no handler of cores gets any of
// that memory, and another process of this user cannot read it. The price is that a crash leaves a
// line in the log and no core, and that the files in /proc/PID are root's. Leaving a page with the
// key out of cores (MADV_DONTDUMP) would keep them, but would trust each of those places never to
// make a copy.
void KeepMemoryPrivate() { prctl(PR_SET_DUMPABLE, 0); }

// The processes beside the daemon that are the same program: see daemon/remote/starter.h.
std::optional<int> RunAsHelper(int argc, char** argv) {
  if (argc != 2) return std::nullopt;
  const std::string_view kind = argv[1];
  if (kind == remote::kStarterArgument) return remote::RunStarter();
  // Of the service manager, with the connection as stdin and the journal as stderr.
  if (kind == remote::kSessionArgument) return remote::RunSession(STDIN_FILENO);
  return std::nullopt;
}

int Main(int argc, char** argv) {
  KeepMemoryPrivate();
  if (const std::optional<int> code = RunAsHelper(argc, argv)) return *code;
  CLI::App app("The daemon of one node of a Clustix cluster.", "clustixd");
  Arguments arguments;
  Declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "clustixd: %s (see: clustixd --help)\n", error.what());
    return kExitUsage;
  }
  absl::StatusOr<DaemonOptions> options = MakeOptions(arguments);
  if (!options.ok()) return Fail(options.status());
  // Each program with object sets costs four descriptors, and each set that one has open another.
  base::RaiseDescriptorLimit();
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(*std::move(options));
  if (!daemon.ok()) return Fail(daemon.status());
  (*daemon)->Run();
  return kExitOk;
}

}  // namespace
}  // namespace clustix::daemon

int main(int argc, char** argv) { return clustix::daemon::Main(argc, argv); }
