// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/backlog.h"

#include <algorithm>
#include <utility>

namespace clustix::remote {
namespace {

size_t BytesOf(const Backlog::Message& message) { return sizeof(message) + message.bytes.size(); }

}  // namespace

void Backlog::Add(Message message) {
  bytes_ += BytesOf(message);
  messages_.push_back(std::move(message));
}

void Backlog::RemoveFirst() {
  bytes_ -= BytesOf(messages_.front());
  messages_.pop_front();
}

bool Backlog::TakeBack(const TunnelKey& key) {
  const bool asks = std::any_of(messages_.begin(), messages_.end(), [&key](const Message& message) {
    return message.key == key && message.kind == proto::ExecMessage::OPEN;
  });
  if (asks) Remove(key);
  return asks;
}

void Backlog::Remove(const TunnelKey& key) {
  RemoveIf([&key](const Message& message) { return message.key == key; });
}

void Backlog::KeepEnds() {
  RemoveIf([](const Message& message) { return message.kind != proto::ExecMessage::CLOSE; });
}

void Backlog::RemoveIf(const std::function<bool(const Message&)>& matches) {
  std::erase_if(messages_, matches);
  bytes_ = 0;
  for (const Message& message : messages_) bytes_ += BytesOf(message);
}

}  // namespace clustix::remote
