// SPDX-License-Identifier: Apache-2.0
//
// What a node that was closed has for a messenger: it knows nobody. Any thread.
#ifndef CLUSTIX_LIB_NODE_CLOSED_MESSENGER_H_
#define CLUSTIX_LIB_NODE_CLOSED_MESSENGER_H_

#include <string>
#include <vector>

#include "clustix/messenger.h"

namespace clustix {

class ClosedMessenger final : public Messenger {
 public:
  NodeId self() const override { return 0; }
  size_t max_payload() const override { return 0; }
  std::string address() const override { return ""; }
  Outcome Send(NodeId, Port, Bytes, Lane, SentCallback) override { return Outcome::kNoSuchPeer; }
  Outcome SendInPlace(NodeId, Port, Bytes, Lane, SentCallback) override {
    return Outcome::kNoSuchPeer;
  }
  Outcome Call(NodeId, Port, Bytes, const CallOptions&, ReplyCallback, CallId*) override {
    return Outcome::kNoSuchPeer;
  }
  bool Cancel(const CallId&) override { return false; }
  Outcome Answer(NodeId, Lane, uint64_t, uint16_t, Bytes) override { return Outcome::kNoSuchPeer; }
  void Handle(Port, Handler) override {}
  void OnEvent(EventCallback) override {}
  void OnWritable(WritableCallback) override {}
  std::vector<PeerInfo> Peers() const override { return {}; }
  std::vector<MessengerCounter> Counters() const override { return {}; }
};

}  // namespace clustix

#endif  // CLUSTIX_LIB_NODE_CLOSED_MESSENGER_H_
