// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/session_messenger.h"

#include <utility>

#include "lib/base/system_random.h"
#include "lib/msg/core.h"

namespace clustix::msg {
namespace {

class SessionMessenger final : public Messenger {
 public:
  explicit SessionMessenger(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~SessionMessenger() override { core_->Stop(); }

  NodeId self() const override { return core_->config().node; }
  size_t max_payload() const override { return KCCM_PAYLOAD_MAX; }
  std::string address() const override { return core_->address(); }
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) override {
    return core_->Send(to, port, payload, lane, std::move(done));
  }
  Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane, SentCallback done) override {
    return core_->SendInPlace(to, port, payload, lane, std::move(done));
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
  const std::shared_ptr<Core> core_;
};

}  // namespace

RandomFn SystemRandom() { return base::FillRandom; }

absl::StatusOr<std::unique_ptr<Messenger>> StartSessionMessenger(io::Io& io,
                                                                 const MessengerConfig& config,
                                                                 RandomFn random,
                                                                 std::function<void()> closed) {
  auto core = std::make_shared<Core>(io, config, std::move(random), std::move(closed));
  const absl::Status status = core->Start();
  if (!status.ok()) {
    core->Stop();
    return status;
  }
  return std::make_unique<SessionMessenger>(std::move(core));
}

}  // namespace clustix::msg
