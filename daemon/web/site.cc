// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/site.h"

#include <arpa/inet.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daemon/user_names.h"
#include "daemon/web/assets.h"
#include "daemon/web/cluster_json.h"
#include "daemon/web/metrics.h"
#include "daemon/web/set_json.h"
#include "lib/base/status.h"
#include "lib/procview/ps.h"

namespace clustix::web {
namespace {

constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kJson[] = "application/json";
constexpr char kMetrics[] = "text/plain; version=0.0.4; charset=utf-8";

struct Asset {
  std::string_view path;
  const char* type;
  const char* text;
};
constexpr std::array<Asset, 3> kAssets = {{
    {"/", "text/html; charset=utf-8", kPageHtml},
    {"/page.js", "text/javascript; charset=utf-8", kPageJs},
    {"/page.css", "text/css; charset=utf-8", kPageCss},
}};

std::string OwnName() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

// "[::1]:80", "127.0.0.1:80" and "name:80" without the port and the brackets.
std::string WithoutPort(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool IsOurs(const std::string& host) {
  const std::string name = WithoutPort(host);
  std::array<unsigned char, sizeof(in6_addr)> address;
  return name == "localhost" || inet_pton(AF_INET, name.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), address.data()) == 1 ||
         (!name.empty() && name == OwnName());
}

}  // namespace

absl::StatusOr<client::Client*> Site::Daemon() {
  if (!client_) {
    ASSIGN_OR_RETURN(socket_, find_socket_());
    ASSIGN_OR_RETURN(client_, client::Client::Connect(socket_));
  }
  return &*client_;
}

Result<std::vector<SetInfo>> Site::Sets() {
  if (!sets_ || !sets_->alive()) {
    Result<clustix::Client> session = clustix::Client::Connect({.socket = socket_});
    if (!session) return session.error();
    sets_ = *std::move(session);
  }
  Result<std::vector<SetInfo>> sets = sets_->ListSets();
  if (!sets) {
    sets_.reset();
  } else {
    std::sort(sets->begin(), sets->end(),
              [](const SetInfo& a, const SetInfo& b) { return a.name < b.name; });
  }
  return sets;
}

absl::StatusOr<Answer> Site::AnswerNodes(client::Client& daemon) {
  ASSIGN_OR_RETURN(const std::vector<proc::NodeSummary> nodes, daemon.GetNodes());
  return Answer{.type = kJson, .body = Print(NodesToJson(nodes))};
}

absl::StatusOr<Answer> Site::AnswerProcesses(client::Client& daemon) {
  ASSIGN_OR_RETURN(const proc::ClusterSnapshot cluster, daemon.GetSnapshot());
  procview::PsOptions options;
  options.user_name = daemon::UserName;
  options.group_name = daemon::GroupName;
  options.now_s = time(nullptr);
  ASSIGN_OR_RETURN(std::string text, procview::RenderPsJson(cluster, options));
  return Answer{.type = kJson, .body = std::move(text)};
}

absl::StatusOr<Answer> Site::AnswerStatus(client::Client& daemon) {
  ASSIGN_OR_RETURN(const client::Status status, daemon.GetStatus());
  return Answer{.type = kJson, .body = Print(StatusToJson(status, socket_))};
}

absl::StatusOr<Answer> Site::AnswerSets(client::Client&) {
  const Result<std::vector<SetInfo>> sets = Sets();
  if (!sets) return absl::UnavailableError(sets.error().message);
  return Answer{.type = kJson, .body = Print(SetsToJson(*sets))};
}

absl::StatusOr<Answer> Site::AnswerMetrics(client::Client& daemon) {
  ASSIGN_OR_RETURN(const client::Status status, daemon.GetStatus());
  ASSIGN_OR_RETURN(const std::vector<proc::NodeSummary> nodes, daemon.GetNodes());
  // Without those of the sets, rather than not at all.
  const Result<std::vector<SetInfo>> sets = Sets();
  return Answer{.type = kMetrics,
                .body = MetricsText(status, nodes, sets ? *sets : std::vector<SetInfo>())};
}

std::optional<absl::StatusOr<Answer>> Site::Ask(const std::string& path) {
  using Question = absl::StatusOr<Answer> (Site::*)(client::Client&);
  static const std::map<std::string, Question> kQuestions = {
      {"/api/nodes", &Site::AnswerNodes},
      {"/api/processes", &Site::AnswerProcesses},
      {"/api/sets", &Site::AnswerSets},
      {"/api/status", &Site::AnswerStatus},
      {"/metrics", &Site::AnswerMetrics}};
  const auto question = kQuestions.find(path);
  if (question == kQuestions.end()) return std::nullopt;
  absl::StatusOr<client::Client*> daemon = Daemon();
  if (!daemon.ok()) return daemon.status();
  absl::StatusOr<Answer> answer = (this->*question->second)(**daemon);
  if (!answer.ok()) client_.reset();  // of no more use after an error
  return answer;
}

Answer Site::Get(const std::string& path, const std::string& host) {
  if (!IsOurs(host)) {
    return {421, kText, "this server is known by its address, localhost or its own name only\n"};
  }
  for (const Asset& asset : kAssets) {
    if (asset.path == path) return {200, asset.type, asset.text};
  }
  const auto now = std::chrono::steady_clock::now();
  if (const auto kept = kept_.find(path); kept != kept_.end() && now - kept->second.at < kFresh) {
    return kept->second.answer;
  }
  std::optional<absl::StatusOr<Answer>> asked = Ask(path);
  if (!asked) return {404, kText, "there is no such page\n"};
  Answer answer = asked->ok() ? **std::move(asked)
                              : Answer{502, kText, std::string(asked->status().message()) + "\n"};
  kept_[path] = {std::chrono::steady_clock::now(), answer};
  return answer;
}

}  // namespace clustix::web
