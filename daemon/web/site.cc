// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/site.h"

#include <arpa/inet.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daemon/user_names.h"
#include "daemon/web/assets.h"
#include "daemon/web/cluster_json.h"
#include "daemon/web/metrics.h"
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

absl::StatusOr<Answer> Processes(client::Client& daemon) {
  ASSIGN_OR_RETURN(const proc::ClusterSnapshot cluster, daemon.GetSnapshot());
  procview::PsOptions options;
  options.user_name = daemon::UserName;
  options.group_name = daemon::GroupName;
  options.now_s = time(nullptr);
  ASSIGN_OR_RETURN(std::string text, procview::RenderPsJson(cluster, options));
  return Answer{.type = kJson, .body = std::move(text)};
}

absl::StatusOr<Answer> Nodes(client::Client& daemon) {
  ASSIGN_OR_RETURN(const std::vector<proc::NodeSummary> nodes, daemon.GetNodes());
  return Answer{.type = kJson, .body = Print(NodesToJson(nodes))};
}

absl::StatusOr<Answer> Metrics(client::Client& daemon) {
  ASSIGN_OR_RETURN(const client::Status status, daemon.GetStatus());
  ASSIGN_OR_RETURN(const std::vector<proc::NodeSummary> nodes, daemon.GetNodes());
  return Answer{.type = kMetrics, .body = MetricsText(status, nodes)};
}

}  // namespace

absl::StatusOr<client::Client*> Site::Daemon() {
  if (!client_) {
    ASSIGN_OR_RETURN(socket_, find_socket_());
    ASSIGN_OR_RETURN(client_, client::Client::Connect(socket_));
  }
  return &*client_;
}

std::optional<absl::StatusOr<Answer>> Site::Ask(const std::string& path) {
  using Question = absl::StatusOr<Answer> (*)(client::Client&);
  static const std::map<std::string, Question> kQuestions = {
      {"/api/nodes", Nodes}, {"/api/processes", Processes}, {"/metrics", Metrics}};
  const auto question = kQuestions.find(path);
  if (question == kQuestions.end() && path != "/api/status") return std::nullopt;
  absl::StatusOr<client::Client*> daemon = Daemon();
  if (!daemon.ok()) return daemon.status();
  absl::StatusOr<Answer> answer;
  if (question != kQuestions.end()) {
    answer = question->second(**daemon);
  } else if (absl::StatusOr<client::Status> status = (*daemon)->GetStatus(); status.ok()) {
    answer = Answer{.type = kJson, .body = Print(StatusToJson(*status, socket_))};
  } else {
    answer = status.status();
  }
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
