// SPDX-License-Identifier: Apache-2.0
//
// `clustix web`: the cluster in a browser, and for Prometheus. A program beside the daemon: whoever
// talks HTTP to it talks to nobody who has the cluster's key or is root.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "daemon/address.h"
#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/web/http_server.h"
#include "daemon/web/site.h"

namespace clustix::command {
namespace {

constexpr char kDefaultListen[] = "127.0.0.1:7480";
constexpr uint16_t kDefaultWebPort = 7480;

bool IsLoopback(const daemon::Address& address) {
  return address.ip == "::1" || address.ip.starts_with("127.");
}

int RunWeb(const Context& context, const std::string& listen) {
  absl::StatusOr<daemon::Address> address = daemon::ParseAddress(listen, kDefaultWebPort);
  if (!address.ok()) {
    Fail(address.status());
    return kExitUsage;
  }
  // Before the server has a thread, which must not take them.
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, signal);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  // Somebody who types this wants to know at once that there is no daemon. The connection is not
  // kept: the daemon counts them.
  if (absl::StatusOr<Connection> now = ConnectToDaemon(context); !now.ok()) {
    return Fail(now.status());
  }
  web::Site site([&context]() -> absl::StatusOr<std::string> {
    absl::StatusOr<Connection> found = ConnectToDaemon(context);
    if (!found.ok()) return found.status();
    return found->socket;
  });
  absl::StatusOr<std::unique_ptr<web::HttpServer>> server = web::HttpServer::Start(
      *address,
      [&site](const std::string& path, const std::string& host) { return site.Get(path, host); });
  if (!server.ok()) return Fail(server.status());
  std::printf(
      "http://%s/ shows the cluster, http://%s/metrics is for Prometheus (Ctrl-C ends it)\n",
      address->Text().c_str(), address->Text().c_str());
  if (!IsLoopback(*address)) {
    std::printf(
        "whoever reaches this address sees the processes of all nodes: there is no login\n");
  }
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  return kExitOk;
}

}  // namespace

void AddWebCommand(CLI::App& app, Context& context) {
  auto listen = std::make_shared<std::string>(kDefaultListen);
  CLI::App* command =
      app.add_subcommand("web", "Serve a page that shows the cluster, and metrics for Prometheus");
  command->footer(
      "Paths: / the page; /metrics; /api/nodes, /api/processes, /api/sets and /api/status, what "
      "the\n"
      "commands nodes, ps, set ls and status print with --json. Runs until it is ended; any user "
      "may\n"
      "run it.\n"
      "Examples:\n"
      "  clustix web\n"
      "  clustix web --listen 127.0.0.1:8080 &\n"
      "  ssh -L 7480:127.0.0.1:7480 node1 clustix web   # seen from another machine");
  command->add_option("--listen", *listen, "Where; without a port, at 7480")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command->callback([&context, listen] {
    context.run = [&context, listen] { return RunWeb(context, *listen); };
  });
}

}  // namespace clustix::command
