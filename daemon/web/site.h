// SPDX-License-Identifier: Apache-2.0
//
// What `clustix web` answers: the page, what it reads, and the metrics. Used by one thread.
#ifndef CLUSTIX_DAEMON_WEB_SITE_H_
#define CLUSTIX_DAEMON_WEB_SITE_H_

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/sets.h"
#include "lib/client/client.h"

namespace clustix::web {

struct Answer {
  int status = 200;  // of HTTP
  std::string type;  // Content-Type
  std::string body;
};

class Site {
 public:
  // Where the daemon is; asked again whenever a connection to it is made.
  using FindSocket = std::function<absl::StatusOr<std::string>()>;

  explicit Site(FindSocket find_socket) : find_socket_(std::move(find_socket)) {}

  // To GET `path` with the header `Host: host`. A host that is neither an address, nor localhost,
  // nor this machine's name is refused: a foreign page must not read this one under a name of its
  // own that leads here (DNS rebinding). What the daemon says is kept for kFresh, so that many
  // readers cost as much as one. 502: the daemon does not answer, and the body says why.
  Answer Get(const std::string& path, const std::string& host);

  static constexpr std::chrono::milliseconds kFresh{500};

 private:
  struct Kept {
    std::chrono::steady_clock::time_point at;
    Answer answer;
  };

  absl::StatusOr<client::Client*> Daemon();
  // What the daemon at socket_ has of the sets, by name.
  Result<std::vector<SetInfo>> Sets();
  absl::StatusOr<Answer> AnswerNodes(client::Client& daemon);
  absl::StatusOr<Answer> AnswerProcesses(client::Client& daemon);
  absl::StatusOr<Answer> AnswerSets(client::Client& daemon);
  absl::StatusOr<Answer> AnswerStatus(client::Client& daemon);
  absl::StatusOr<Answer> AnswerMetrics(client::Client& daemon);
  // What `path` says now; nullopt: there is no such path.
  std::optional<absl::StatusOr<Answer>> Ask(const std::string& path);

  const FindSocket find_socket_;
  std::string socket_;
  std::optional<client::Client> client_;
  std::optional<clustix::Client> sets_;
  std::map<std::string, Kept> kept_;  // by path
};

}  // namespace clustix::web

#endif  // CLUSTIX_DAEMON_WEB_SITE_H_
