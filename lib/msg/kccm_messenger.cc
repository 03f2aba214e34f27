// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_messenger.h"

#include <poll.h>

#include <utility>

#include "include/uapi/kccm.h"
#include "lib/base/status.h"
#include "lib/msg/kccm_core.h"

namespace clustix::msg {
namespace {

// A process that was killed lets go of its ports when the kernel has taken its io_uring apart, soon
// after its end, and of which nothing tells.
constexpr int kBindAttempts = 300;
constexpr int kBindAgainMs = 10;

class MessengerImpl final : public Messenger {
 public:
  MessengerImpl(std::shared_ptr<KccmCore> core, NodeId self)
      : core_(std::move(core)), self_(self) {}
  ~MessengerImpl() override { core_->Stop(); }

  NodeId self() const override { return self_; }
  size_t max_payload() const override { return KCCM_PAYLOAD_MAX; }
  std::string address() const override { return core_->node().address; }
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) override {
    return core_->Send(to, port, payload, lane, false, std::move(done));
  }
  Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) override {
    return core_->Send(to, port, payload, lane, true, std::move(done));
  }
  Outcome Call(NodeId to, Port port, Bytes payload, const CallOptions& options, ReplyCallback done,
               CallId* id) override {
    return core_->Call(to, port, payload, options, std::move(done), id);
  }
  bool Cancel(const CallId& id) override { return core_->Cancel(id); }
  Outcome Answer(NodeId to, Lane lane, uint64_t request, uint16_t status, Bytes payload) override {
    return core_->Answer(to, lane, request, status, payload);
  }
  void Handle(Port port, Handler handler) override { core_->Handle(port, std::move(handler)); }
  void OnEvent(EventCallback callback) override { core_->OnEvent(std::move(callback)); }
  void OnWritable(WritableCallback callback) override { core_->OnWritable(std::move(callback)); }
  std::vector<PeerInfo> Peers() const override { return core_->Peers(); }
  std::vector<MessengerCounter> Counters() const override { return core_->Counters(); }

 private:
  const std::shared_ptr<KccmCore> core_;
  const NodeId self_;
};

absl::StatusOr<std::unique_ptr<KccmPort>> BindFreePort(Port number) {
  for (int attempts = kBindAttempts;; --attempts) {
    absl::StatusOr<std::unique_ptr<KccmPort>> port = KccmPort::Bind(number);
    if (port.ok() || !absl::IsFailedPrecondition(port.status()) || attempts == 0) return port;
    poll(nullptr, 0, kBindAgainMs);
  }
}

}  // namespace

absl::StatusOr<KccmMessenger> StartKccmMessenger(io::DeviceIo& io, const MessengerConfig& config,
                                                 const std::vector<Port>& ports,
                                                 std::function<void()> closed) {
  if (!config.bind_address.empty() || !config.congestion.empty()) {
    return absl::InvalidArgumentError(
        "the module kccm takes neither an address to dial from nor a congestion control");
  }
  ASSIGN_OR_RETURN(KccmNetlink netlink, KccmNetlink::Open());
  ASSIGN_OR_RETURN(KccmEvents events, KccmEvents::Open());
  // Before a node is ended that is there: a process that lives serves its ports.
  std::vector<std::unique_ptr<KccmPort>> bound;
  for (const Port number : ports) {
    absl::StatusOr<std::unique_ptr<KccmPort>> port = BindFreePort(number);
    if (absl::IsFailedPrecondition(port.status())) {
      return absl::FailedPreconditionError(
          absl::StrCat(port.status().message(), " (another clustixd of this network namespace?)"));
    }
    RETURN_IF_ERROR(port.status());
    bound.push_back(*std::move(port));
  }
  auto core = std::make_shared<KccmCore>(io, config, std::move(netlink), std::move(events));
  RETURN_IF_ERROR(core->Start(config, std::move(bound), std::move(closed)));
  const KccmNode node = core->node();
  return KccmMessenger{.messenger = std::make_unique<MessengerImpl>(std::move(core), config.node),
                       .incarnation = node.incarnation,
                       .protocol = node.protocol};
}

}  // namespace clustix::msg
