// SPDX-License-Identifier: Apache-2.0
//
// The asking side of the clustix peer, as a program would use a messenger: the next call goes out
// from the answer to one before it; one-way messages go out until the queue is full, and again when
// there is room.
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/clustix_node.h"

namespace clustix::bench {
namespace {

constexpr uint64_t kConnectNs = 10'000'000'000;
constexpr uint64_t kCallTimeoutMs = 60'000;
constexpr size_t kInPlaceBytes = 16 * 1024;

// One Run().
class ClustixRun {
 public:
  ClustixRun(ClustixNode& node, const Case& what, Meter& meter)
      : io_(node.io()),
        messenger_(node.messenger()),
        what_(what),
        meter_(meter),
        lane_(LaneFor(what.size_bytes)),
        payload_(what.size_bytes) {
    for (size_t i = 0; i < payload_.size(); ++i) payload_[i] = static_cast<std::byte>(i * 7);
  }

  // Sends what is possible now. After the start, called whenever there may be more.
  void Pump() {
    if (what_.mode == Mode::kOneway) {
      PumpOneway();
    } else {
      PumpCalls();
    }
  }
  bool done() const { return done_; }
  const absl::Status& status() const { return status_; }

 private:
  void PumpCalls() {
    while (!done_ && outstanding_ < what_.window && meter_.running()) {
      if (!Call()) break;
    }
    // Otherwise the answers go on, or, if there is no room even for one call, OnWritable().
    if (outstanding_ == 0 && !meter_.running()) Finish(absl::OkStatus());
  }

  // False if there is no room, or an error.
  bool Call() {
    const uint64_t begin = meter_.Begin();
    const CallOptions options{.lane = lane_, .timeout_ms = kCallTimeoutMs};
    const Outcome outcome =
        messenger_.Call(kServerNode, kEchoPort, payload_, options,
                        [this, begin](const Reply& reply) { Answered(reply, begin); });
    if (outcome == Outcome::kOk) {
      ++outstanding_;
      return true;
    }
    if (outcome != Outcome::kBusy) Fail("a call failed", outcome);
    return false;
  }

  void Answered(const Reply& reply, uint64_t begin) {
    --outstanding_;
    if (done_) return;
    if (reply.outcome != Outcome::kOk) return Fail("a call failed", reply.outcome);
    if (reply.payload.size() != payload_.size()) {
      return Finish(absl::DataLossError(
          absl::StrCat("an answer of ", reply.payload.size(), " bytes to ", payload_.size())));
    }
    meter_.End(begin);
    PumpCalls();
  }

  void PumpOneway() {
    while (!done_ && !asked_ && meter_.running()) {
      // The same buffer every time, as a raw peer has it: large ones need no copy.
      const Outcome outcome =
          payload_.size() >= kInPlaceBytes
              ? messenger_.SendInPlace(kServerNode, kOnewayPort, payload_, lane_)
              : messenger_.Send(kServerNode, kOnewayPort, payload_, lane_);
      if (outcome == Outcome::kBusy) return;
      if (outcome != Outcome::kOk) return Fail("a message could not be sent", outcome);
      meter_.End(0);
      ++sent_;
    }
    if (!done_ && !asked_) AskWhatArrived();
  }

  // Follows all messages on their lane.
  void AskWhatArrived() {
    const Outcome outcome = messenger_.Call(
        kServerNode, kArrivedPort, {}, {.lane = lane_, .timeout_ms = kCallTimeoutMs},
        [this](const Reply& reply) {
          if (done_) return;
          uint64_t arrived = 0;
          if (reply.outcome != Outcome::kOk || reply.payload.size() != sizeof(arrived)) {
            return Fail("the server does not say what arrived", reply.outcome);
          }
          std::memcpy(&arrived, reply.payload.data(), sizeof(arrived));
          Finish(arrived == sent_ ? absl::OkStatus()
                                  : absl::DataLossError(absl::StrCat(
                                        "sent ", sent_, " messages, and ", arrived, " arrived")));
        });
    if (outcome == Outcome::kBusy) return;
    asked_ = true;
    if (outcome != Outcome::kOk) Fail("cannot ask what arrived", outcome);
  }

  void Fail(const char* what, Outcome outcome) {
    Finish(absl::UnavailableError(absl::StrCat(what, ": ", OutcomeName(outcome))));
  }
  void Finish(absl::Status status) {
    if (done_) return;
    done_ = true;
    status_ = std::move(status);
    io_.Stop();
  }

  io::UringIo& io_;
  Messenger& messenger_;
  const Case what_;
  Meter& meter_;
  const Lane lane_;
  std::vector<std::byte> payload_;
  size_t outstanding_ = 0;
  uint64_t sent_ = 0;
  bool asked_ = false;
  bool done_ = false;
  absl::Status status_;
};

class ClustixClient final : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(node_, ClustixNode::Start(options, kClientNode, "127.0.0.1:0",
                                               {.node = kServerNode, .address = options.address}));
    io::UringIo& io = node_->io();
    bool up = false;
    node_->messenger().OnEvent([this, &up, &io](NodeId, PeerEvent event) {
      if (connected_ || event != PeerEvent::kUp) return;
      connected_ = up = true;
      io.Stop();
    });
    node_->messenger().OnWritable([this](NodeId, Lane) {
      if (run_ != nullptr) run_->Pump();
    });
    const io::TimerId timer = io.loop().RunAt(io.loop().Now() + kConnectNs, [&io] { io.Stop(); });
    io.Run();
    io.loop().Cancel(timer);
    if (!up) {
      return absl::DeadlineExceededError(absl::StrCat("no connection to ", options.address));
    }
    return absl::OkStatus();
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    ClustixRun run(*node_, what, meter);
    run_ = &run;
    node_->io().loop().Post([&run] { run.Pump(); });
    while (!run.done()) node_->io().Run();
    run_ = nullptr;
    // After an error, calls may still be outstanding, and their callbacks name `run`.
    if (!run.status().ok()) node_.reset();
    return run.status();
  }

  absl::StatusOr<std::optional<uint64_t>> SystemCalls() override {
    io::UringIo& io = node_->io();
    Outcome outcome = Outcome::kUnknown;
    uint64_t calls = 0;
    bool answered = false;
    const auto answer = [&](const Reply& reply) {
      answered = true;
      outcome = reply.outcome;
      if (reply.payload.size() == sizeof(calls)) {
        std::memcpy(&calls, reply.payload.data(), sizeof(calls));
      }
      io.Stop();
    };
    const Outcome asked = node_->messenger().Call(kServerNode, kSystemCallsPort, {},
                                                  {.timeout_ms = kCallTimeoutMs}, answer);
    if (asked != Outcome::kOk) outcome = asked;
    while (asked == Outcome::kOk && !answered) io.Run();
    if (outcome == Outcome::kOk && calls > 0) return SystemCallsOf(io) + calls;
    return absl::UnavailableError(
        absl::StrCat("the server does not count its system calls: ", OutcomeName(outcome)));
  }

 private:
  std::unique_ptr<ClustixNode> node_;
  bool connected_ = false;
  ClustixRun* run_ = nullptr;
};

}  // namespace

std::unique_ptr<Client> MakeClustixClient() { return std::make_unique<ClustixClient>(); }

}  // namespace clustix::bench
