// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/soak_client.h"

#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/soak_server.h"

namespace clustix::bench {

absl::StatusOr<std::unique_ptr<SoakClient>> SoakClient::Connect(
    const PeerOptions& options, const std::vector<std::string>& addresses) {
  constexpr double kPatienceSeconds = 20;
  auto client = std::make_unique<SoakClient>();
  ASSIGN_OR_RETURN(client->io_, MakeLoop(options));
  io::UringIo& io = *client->io_;
  msg::MessengerConfig config = MakeConfig(options, kClientNode, "127.0.0.1:0");
  for (const std::string& address : addresses) {
    const auto node = static_cast<NodeId>(kSoakFirstServer + static_cast<int>(config.peers.size()));
    config.peers.push_back({.node = node, .address = address});
    client->servers_.push_back(node);
  }
  ASSIGN_OR_RETURN(client->messenger_, msg::StartSessionMessenger(io, config, msg::SystemRandom(),
                                                                  [client = client.get()] {
                                                                    client->closed_ = true;
                                                                    client->io_->Stop();
                                                                  }));
  // Outlives this function with the listener.
  auto up = std::make_shared<std::set<NodeId>>();
  client->messenger_->OnEvent([up, &io](NodeId node, PeerEvent event) {
    if (event == PeerEvent::kUp && up->insert(node).second) io.Stop();
  });
  if (!client->RunUntil([&] { return up->size() == addresses.size(); }, kPatienceSeconds)) {
    return absl::DeadlineExceededError(
        absl::StrCat("only ", up->size(), " of ", addresses.size(), " servers are connected"));
  }
  return client;
}

SoakClient::~SoakClient() {
  if (messenger_ == nullptr) return;
  messenger_.reset();
  while (!closed_) io_->Run();
}

bool SoakClient::RunUntil(const std::function<bool()>& done, double seconds) {
  bool late = false;
  const auto patience_ns = static_cast<uint64_t>(seconds * 1e9);
  const io::TimerId timer = io_->loop().RunAt(io_->loop().Now() + patience_ns, [&] {
    late = true;
    io_->Stop();
  });
  while (!late && !done()) io_->Run();
  io_->loop().Cancel(timer);
  return done();
}

absl::StatusOr<std::vector<std::byte>> SoakClient::Ask(NodeId node, Port port, Bytes payload) {
  constexpr double kPatienceSeconds = 30;
  struct Answer {
    bool came = false;
    Outcome outcome = Outcome::kDeadline;
    std::vector<std::byte> payload;
  };
  // Outlives this function with a call that is not answered in time.
  auto answer = std::make_shared<Answer>();
  const Outcome asked =
      messenger_->Call(node, port, payload, {.timeout_ms = 0}, [this, answer](const Reply& reply) {
        answer->came = true;
        answer->outcome = reply.outcome;
        answer->payload.assign(reply.payload.begin(), reply.payload.end());
        io_->Stop();
      });
  if (asked == Outcome::kOk) {
    RunUntil([&answer] { return answer->came; }, kPatienceSeconds);
  } else {
    answer->outcome = asked;
  }
  if (answer->outcome == Outcome::kOk) return std::move(answer->payload);
  return absl::UnavailableError(
      absl::StrCat("node ", node, " does not answer: ", OutcomeName(answer->outcome)));
}

absl::StatusOr<SoakCounts> SoakClient::AskCounts(NodeId node) {
  ASSIGN_OR_RETURN(const std::vector<std::byte> answer, Ask(node, kSoakCountsPort, {}));
  SoakCounts counts;
  if (answer.size() != sizeof(counts)) {
    return absl::UnavailableError(absl::StrCat("node ", node, " does not say what arrived"));
  }
  std::memcpy(counts.data(), answer.data(), sizeof(counts));
  return counts;
}

}  // namespace clustix::bench
