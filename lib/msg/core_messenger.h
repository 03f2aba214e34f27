// SPDX-License-Identifier: Apache-2.0
//
// A Messenger whose work is done by a core that may outlive it: the kernel, or a write in flight,
// reads the core's memory until it has let go of it. Used on the loop's thread, as any Messenger.
#ifndef CLUSTIX_LIB_MSG_CORE_MESSENGER_H_
#define CLUSTIX_LIB_MSG_CORE_MESSENGER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "clustix/messenger.h"
#include "lib/session/wire.h"

namespace clustix::msg {

template <class CoreType>
class CoreMessenger final : public Messenger {
 public:
  explicit CoreMessenger(std::shared_ptr<CoreType> core) : core_(std::move(core)) {}
  ~CoreMessenger() override { core_->Stop(); }

  NodeId self() const override { return core_->self(); }
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
  const std::shared_ptr<CoreType> core_;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_CORE_MESSENGER_H_
