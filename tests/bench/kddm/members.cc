// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/members.h"

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/objects/driver.h"
#include "lib/base/status.h"
#include "lib/kddm/store.h"
#include "tests/bench/msg/clustix_node.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

constexpr uint64_t kTimeoutMs = 5000;
constexpr const char* kAnyPort = "127.0.0.1:0";
// Of peers that dial: the discard port.
constexpr const char* kNoAddress = "127.0.0.1:9";

}  // namespace

// One operation after the other, on the loop's thread.
class Chain {
 public:
  Chain(daemon::Driver& driver, const Work& work, Histogram* latency)
      : driver_(driver),
        work_(work),
        latency_(latency),
        set_(kddm::MakeSetId(work.durability, kddm::Placement::kIdBits, 1, 1)) {}

  std::future<absl::Status> ended() { return ended_.get_future(); }
  void Next() {
    if (next_ == work_.objects.size()) return ended_.set_value(absl::OkStatus());
    const kddm::ObjectKey key = {.object = work_.objects[next_++], .set = set_};
    const bool grabs = work_.op == Op::kGrab || work_.op == Op::kPut;
    begin_ = NowNs();
    driver_.Begin({.kind = KindOf(work_.op), .key = key, .data = Value(work_.op == Op::kSet)},
                  kTimeoutMs, [this, grabs](const kddm::Completion& completion) {
                    grabs ? OnGrabbed(completion) : OnDone(completion);
                  });
  }

 private:
  kddm::Data Value(bool wanted) const {
    return wanted ? std::make_shared<std::vector<std::byte>>(work_.bytes) : nullptr;
  }
  void OnGrabbed(const kddm::Completion& completion) {
    if (completion.status != kddm::Status::kOk || work_.op == Op::kGrab) {
      const uint64_t end = NowNs();
      driver_.Release(completion.op);
      return End(completion, end);
    }
    const kddm::Data value = Value(true);
    begin_ = NowNs();
    driver_.Put(completion.op, value, kTimeoutMs,
                [this](const kddm::Completion& put) { OnDone(put); });
  }
  void OnDone(const kddm::Completion& completion) { End(completion, NowNs()); }
  void End(const kddm::Completion& completion, uint64_t end_ns) {
    const bool absent = completion.status == kddm::Status::kNotFound ||
                        (work_.op == Op::kGet && completion.data == nullptr);
    if (absent ? !work_.absent : completion.status != kddm::Status::kOk) {
      return ended_.set_value(absl::InternalError(
          absl::StrCat("an operation of a node ended with ", kddm::StatusName(completion.status))));
    }
    if (latency_ != nullptr) latency_->Add(end_ns - begin_);
    Next();
  }

  daemon::Driver& driver_;
  const Work& work_;
  Histogram* const latency_;
  const kddm::SetId set_;
  size_t next_ = 0;
  uint64_t begin_ = 0;
  std::promise<absl::Status> ended_;
};

// Made and ended on its own thread.
class Members::Node {
 public:
  Node(NodeId self, std::vector<NodeId> nodes, std::vector<msg::PeerConfig> peers)
      : self_(self), all_(std::move(nodes)), peers_(std::move(peers)) {
    std::promise<absl::StatusOr<std::string>> started;
    std::future<absl::StatusOr<std::string>> result = started.get_future();
    thread_ = std::thread([this, &started] { RunLoop(started); });
    address_ = result.get();
  }
  ~Node() {
    if (address_.ok()) io_->Stop();
    thread_.join();
  }

  const absl::StatusOr<std::string>& address() const { return address_; }
  absl::Status Do(const Work& work, Histogram* latency) {
    Chain chain(*driver_, work, latency);
    std::future<absl::Status> ended = chain.ended();
    io_->loop().Post([&chain] { chain.Next(); });
    return ended.get();
  }
  // Nobody sends anything any more. All do so before the first ends.
  void StopDriver() {
    std::promise<void> stopped;
    io_->loop().Post([this, &stopped] {
      driver_->Stop();
      stopped.set_value();
    });
    stopped.get_future().wait();
  }

 private:
  absl::StatusOr<std::string> Make() {
    ASSIGN_OR_RETURN(
        io_, MakeLoop({.address = {}, .congestion = {}, .spin_us = io::UringOptions().spin_us}));
    msg::MessengerConfig config = MakeConfig(PeerOptions(), self_, kAnyPort);
    config.peers = peers_;
    ASSIGN_OR_RETURN(messenger_,
                     msg::StartSessionMessenger(*io_, config, msg::SystemRandom(), [this] {
                       closed_ = true;
                       io_->Stop();
                     }));
    driver_ = std::make_unique<daemon::Driver>(
        io_->loop(), *messenger_, store_,
        daemon::Driver::Options{.view = {.nodes = all_, .life = config.incarnation}});
    messenger_->OnEvent(
        [this](NodeId peer, PeerEvent event) { driver_->OnPeerEvent(peer, event); });
    driver_->Start();
    return messenger_->address();
  }
  void RunLoop(std::promise<absl::StatusOr<std::string>>& started) {
    absl::StatusOr<std::string> address = Make();
    const bool made = address.ok();
    started.set_value(std::move(address));
    if (made) io_->Run();
    if (driver_ != nullptr) driver_->Stop();
    if (messenger_ == nullptr) return;
    messenger_.reset();
    while (!closed_) io_->Run();
  }

  const NodeId self_;
  const std::vector<NodeId> all_;
  const std::vector<msg::PeerConfig> peers_;
  std::unique_ptr<io::UringIo> io_;
  kddm::HeapStore store_;
  std::unique_ptr<Messenger> messenger_;
  std::unique_ptr<daemon::Driver> driver_;
  bool closed_ = false;
  absl::StatusOr<std::string> address_;
  std::thread thread_;
};

Members::Members() = default;

// The lower id dials, so the highest starts first: whom a node dials is there.
absl::StatusOr<std::unique_ptr<Members>> Members::Start(NodeId nodes) {
  std::unique_ptr<Members> members(new Members);
  std::vector<NodeId> all;
  for (NodeId node = 1; node <= nodes; ++node) all.push_back(node);
  std::vector<std::string> addresses(nodes, kNoAddress);  // by id - 1
  members->nodes_.resize(nodes);
  for (NodeId node = nodes; node >= 1; --node) {
    std::vector<msg::PeerConfig> peers;
    for (NodeId peer = 1; peer <= nodes; ++peer) {
      if (peer != node) peers.push_back({.node = peer, .address = addresses[peer - 1u]});
    }
    std::unique_ptr<Node>& made = members->nodes_[node - 1u];
    made = std::make_unique<Node>(node, all, std::move(peers));
    if (!made->address().ok()) {
      const absl::Status failed = made->address().status();
      made.reset();
      return failed;
    }
    addresses[node - 1u] = *made->address();
  }
  return members;
}

Members::~Members() {
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (node != nullptr) node->StopDriver();
  }
}

absl::Status Members::Do(const Work& work, Histogram* latency) {
  return nodes_[work.node - 1u]->Do(work, latency);
}

}  // namespace clustix::bench
