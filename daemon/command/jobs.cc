// SPDX-License-Identifier: Apache-2.0
//
// `clustix jobs`: what was started with `clustix exec` and `clustix run`, and how it ended.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/command/command.h"
#include "daemon/command/daemon_client.h"
#include "daemon/command/set_command.h"
#include "daemon/command/signals.h"
#include "daemon/command/table.h"
#include "daemon/remote/job_log.h"
#include "daemon/remote/job_state.h"
#include "daemon/user_names.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/ps_row.h"

namespace clustix::command {
namespace {

using remote::Job;
using remote::JobLog;
using remote::JobState;

constexpr Wait kWait{.timeout_ms = 2000};
constexpr ObjectId kPlaceBits = (ObjectId{1} << 48) - 1;

struct JobsArguments {
  uint64_t last = 20;
  bool running = false;
  bool all_users = false;
  bool follow = false;
  bool as_json = false;
};

int64_t NowMs() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// A job beside what the cluster says of it.
struct Shown {
  Job job;
  uid_t uid = 0;
  JobState state = JobState::kUnknown;
  std::string node;  // its name
};

std::string StateText(const Shown& shown) {
  const char* name = remote::JobStateName(shown.state);
  if (shown.state == JobState::kExited) return absl::StrCat(name, " ", shown.job.code);
  if (shown.state == JobState::kKilled) {
    return absl::StrCat(name, " by ", SignalName(shown.job.signal));
  }
  return name;
}

std::string StartedText(const Job& job) {
  const auto time = static_cast<time_t>(job.started_ms / 1000);
  tm parts;
  char text[64];
  if (localtime_r(&time, &parts) == nullptr) return "?";
  return {text, std::strftime(text, sizeof text, "%F %T", &parts)};
}

// Nothing is known of how long one that is gone has run.
std::string TimeText(const Shown& shown) {
  const int64_t end = shown.job.ended_ms != 0             ? shown.job.ended_ms
                      : shown.state == JobState::kRunning ? NowMs()
                                                          : 0;
  if (end < shown.job.started_ms) return "-";
  return FormatDuration(static_cast<uint64_t>(end - shown.job.started_ms));
}

std::vector<std::string> Cells(const Shown& shown) {
  const Job& job = shown.job;
  return {job.Name(),       daemon::UserName(shown.uid),
          shown.node,       absl::StrCat(procview::GlobalPid(job.node, job.pid)),
          StateText(shown), StartedText(job),
          TimeText(shown),  procview::Printable(absl::StrJoin(job.argv, " "))};
}

nlohmann::ordered_json ToJson(const Shown& shown) {
  const Job& job = shown.job;
  nlohmann::ordered_json json = {{"job", job.Name()},
                                 {"uid", shown.uid},
                                 {"node", job.node},
                                 {"name", shown.node},
                                 {"caller", job.caller},
                                 {"pid", job.pid},
                                 {"gpid", procview::GlobalPid(job.node, job.pid)},
                                 {"state", remote::JobStateName(shown.state)},
                                 {"started_ms", job.started_ms},
                                 {"argv", job.argv}};
  if (job.ended_ms != 0) json["ended_ms"] = job.ended_ms;
  if (shown.state == JobState::kExited) json["code"] = job.code;
  if (shown.state == JobState::kKilled) json["signal"] = job.signal;
  return json;
}

std::string Dump(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// The logs that are wanted, with whose they are; an exit code where that fails.
int OpenLogs(Client& client, const JobsArguments& arguments, std::map<uid_t, JobLog>* logs) {
  std::vector<uid_t> uids = {geteuid()};
  if (arguments.all_users) {
    Result<std::vector<SetInfo>> sets = client.ListSets(remote::kJobSets);
    if (!sets) return Fail(sets.error().message);
    uids.clear();
    for (const SetInfo& set : *sets) {
      // Somebody may have given a set of his the name of another's.
      if (set.name == remote::JobSetName(set.uid)) uids.push_back(set.uid);
    }
  }
  for (const uid_t uid : uids) {
    // To follow jobs, there must be something to follow.
    Result<JobLog> log =
        JobLog::Open(client, uid, arguments.follow ? JobLog::Use::kMake : JobLog::Use::kRead);
    if (log) {
      logs->emplace(uid, *std::move(log));
    } else if (log.error().code != ErrorCode::kNotFound) {
      const int failed = Fail(log.error().message);
      if (!arguments.all_users) return failed;  // else one user's set does not hide the others'
    }
  }
  return kExitOk;
}

// Reads and shows; one thread.
class Jobs {
 public:
  Jobs(Connection& daemon, const JobsArguments& arguments)
      : daemon_(daemon), arguments_(arguments) {}

  // Asks the daemon which processes there are.
  int Refresh() {
    absl::StatusOr<proc::ClusterSnapshot> cluster = daemon_.client.GetSnapshot();
    if (!cluster.ok()) return Fail(cluster.status());
    cluster_ = *std::move(cluster);
    return kExitOk;
  }

  // `per_node`: the newest ones.
  std::vector<Shown> Read(uid_t uid, const JobLog& log, uint64_t per_node) {
    std::vector<NodeId> answering;
    std::vector<Shown> shown;
    for (const proc::NodeView& node : cluster_.nodes) {
      if (!node.stale && node.snapshot != nullptr) {
        answering.push_back(node.node);
        continue;
      }
      WarnOnce(node.node);
      for (const Job& job : log.Find(node.node, per_node)) shown.push_back(Look(uid, job));
    }
    const JobLog::Found found = log.Read(answering, per_node, kWait);
    for (const NodeId node : found.missing) WarnOnce(node);
    for (const Job& job : found.jobs) shown.push_back(Look(uid, job));
    if (arguments_.running) {
      std::erase_if(shown, [](const Shown& job) { return job.state != JobState::kRunning; });
    }
    return shown;
  }

  Shown Look(uid_t uid, const Job& job) const {
    Shown shown{.job = job,
                .uid = uid,
                .state = remote::StateOf(job, cluster_, NowMs()),
                .node = absl::StrCat(job.node)};
    for (const proc::NodeView& node : cluster_.nodes) {
      if (node.node == job.node) shown.node = node.name;
    }
    return shown;
  }

 private:
  void WarnOnce(NodeId node) {
    if (!warned_.insert(node).second) return;
    Fail(absl::StrCat("the jobs of node ", node,
                      " may not all be shown: not all that keep them answer (clustix nodes)"));
  }

  Connection& daemon_;
  const JobsArguments& arguments_;
  proc::ClusterSnapshot cluster_;
  std::set<NodeId> warned_;
};

void Print(std::vector<Shown> all, bool as_json) {
  std::stable_sort(all.begin(), all.end(), [](const Shown& a, const Shown& b) {
    return a.job.started_ms < b.job.started_ms;
  });
  if (as_json) {
    auto list = nlohmann::ordered_json::array();
    for (const Shown& shown : all) list.push_back(ToJson(shown));
    std::fputs(Dump(list, 2).c_str(), stdout);
    return;
  }
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"JOB"},
               {"USER"},
               {"NODE"},
               {"PID", kRight},
               {"STATE"},
               {"STARTED"},
               {"TIME", kRight},
               {"COMMAND"}});
  for (const Shown& shown : all) table.Add(Cells(shown));
  std::fputs(table.Render().c_str(), stdout);
}

// A line for each change, as it happens.
class Follower {
 public:
  Follower(Jobs& jobs, uid_t uid, const JobLog& log, const JobsArguments& arguments)
      : jobs_(jobs), uid_(uid), log_(log), arguments_(arguments) {}

  int Run() {
    // Watched first, so that nothing happens between the list and the watch.
    Result<Watcher> watcher = log_.jobs().Watch(0, UINT64_MAX);
    if (!watcher) return Fail(absl::StrCat("cannot follow jobs: ", watcher.error().message));
    ShowAll(arguments_.last);
    for (;;) {
      WatchEvent event;
      const SetOutcome outcome = watcher->Next(&event);
      if (outcome != SetOutcome::kOk) {
        return Fail(absl::StrCat("the watch has ended: ", SetOutcomeName(outcome)));
      }
      if (const int failed = jobs_.Refresh(); failed != kExitOk) return failed;
      if (!event.any && (event.object & kPlaceBits) == 0) continue;
      const std::optional<Job> job = event.any ? std::nullopt : log_.At(event.object, kWait);
      if (job) {
        Show(*job);
      } else {
        ShowAll(remote::kJobsKept);  // what was missed may have been any of them
      }
    }
  }

 private:
  // Of each node, what is new among the last jobs; what is new before them is passed over.
  void ShowAll(uint64_t per_node) {
    std::map<NodeId, uint64_t> count;
    std::vector<Job> wanted;
    for (const Shown& shown : jobs_.Read(uid_, log_, remote::kJobsKept)) {
      if (++count[shown.job.node] <= per_node) {
        wanted.push_back(shown.job);
      } else {
        IsNew(shown.job);
      }
    }
    std::stable_sort(wanted.begin(), wanted.end(),
                     [](const Job& a, const Job& b) { return a.started_ms < b.started_ms; });
    for (const Job& job : wanted) Show(job);
  }

  // From then on it is not.
  bool IsNew(const Job& job) {
    const std::pair<uint64_t, int64_t> news = {job.serial, job.ended_ms};
    const auto [seen, first] = seen_.try_emplace({job.node, job.serial % remote::kJobsKept}, news);
    if (!first && seen->second >= news) return false;
    seen->second = news;
    return true;
  }

  void Show(const Job& job) {
    if (!IsNew(job)) return;
    const Shown shown = jobs_.Look(uid_, job);
    if (arguments_.as_json) {
      std::fputs(Dump(ToJson(shown), -1).c_str(), stdout);
    } else {
      const std::vector<std::string> cells = Cells(shown);
      std::printf("%s  %-8s %-10s %-14s %s\n", cells[5].c_str(), cells[0].c_str(), cells[2].c_str(),
                  cells[4].c_str(), cells[7].c_str());
    }
    std::fflush(stdout);
  }

  Jobs& jobs_;
  const uid_t uid_;
  const JobLog& log_;
  const JobsArguments& arguments_;
  // What was seen last in each of a node's places: a serial number, and when the job ended.
  std::map<std::pair<NodeId, uint64_t>, std::pair<uint64_t, int64_t>> seen_;
};

int RunJobs(const Context& context, const JobsArguments& arguments) {
  if (arguments.all_users && geteuid() != 0) {
    Fail("only root may see the jobs of all users");
    return kExitDenied;
  }
  absl::StatusOr<Connection> daemon = ConnectToDaemon(context);
  if (!daemon.ok()) return Fail(daemon.status());
  Result<Client> client = Client::Connect({.socket = daemon->socket});
  if (!client) return Fail(client.error().message);
  std::map<uid_t, JobLog> logs;
  if (const int failed = OpenLogs(*client, arguments, &logs); failed != kExitOk) return failed;
  Jobs jobs(*daemon, arguments);
  if (const int failed = jobs.Refresh(); failed != kExitOk) return failed;
  if (arguments.follow) {
    return Follower(jobs, geteuid(), logs.at(geteuid()), arguments).Run();
  }
  std::vector<Shown> all;
  for (const auto& [uid, log] : logs) {
    // One that has run for long may have been followed by any number of others.
    const uint64_t per_node = arguments.running ? remote::kJobsKept : arguments.last;
    for (Shown& shown : jobs.Read(uid, log, per_node)) all.push_back(std::move(shown));
  }
  Print(std::move(all), arguments.as_json);
  return kExitOk;
}

}  // namespace

void AddJobsCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<JobsArguments>();
  CLI::App* command =
      app.add_subcommand("jobs", "List what was started on other nodes, and how it ended");
  command->footer(
      "What clustix exec and clustix run start is written into an object set that two nodes keep,\n"
      "jobs/UID, so that it can be looked up from every node: after the connection was lost, or\n"
      "the caller has ended. Each node remembers the last 256 of each user.\n"
      "STATE: running; exited, with its exit code; killed, by a signal; gone, it runs no more and\n"
      "how it ended could not be written; unknown, its node does not answer.\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 denied (--all without root).\n"
      "Examples:\n"
      "  clustix jobs --running\n"
      "  clustix jobs --json | jq '.[] | select(.state == \"exited\" and .code != 0)'\n"
      "  clustix jobs --follow\n"
      "  clustix set destroy jobs/$(id -u)    # forget them all");
  command->add_option("-n,--last", arguments->last, "The last N of each node")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, remote::kJobsKept))
      ->capture_default_str();
  command->add_flag("-r,--running", arguments->running,
                    "Only those that run, of all that are remembered");
  CLI::Option* all =
      command->add_flag("-a,--all", arguments->all_users, "Those of all users (root only)");
  command
      ->add_flag("-f,--follow", arguments->follow,
                 "Print a line whenever one begins or ends, until interrupted")
      ->excludes(all);
  command->add_flag("--json", arguments->as_json,
                    "Print a list of objects; followed, an object a line");
  command->callback([&context, arguments] {
    context.run = [&context, arguments] { return RunJobs(context, *arguments); };
  });
}

}  // namespace clustix::command
