// SPDX-License-Identifier: Apache-2.0
//
// Messages for one node that found the messenger's queue full, in their order. Private to
// ExecService; the loop's thread.
#ifndef CLUSTIX_DAEMON_REMOTE_BACKLOG_H_
#define CLUSTIX_DAEMON_REMOTE_BACKLOG_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "clustix/messenger.h"
#include "daemon/remote/tunnel.h"
#include "proto/exec.capnp.h"

namespace clustix::remote {

class Backlog {
 public:
  struct Message {
    TunnelKey key;  // of the end that is here
    proto::ExecMessage::Which kind;
    std::vector<std::byte> bytes;
    Messenger::SentCallback done;  // of OPEN, which is a call: whether the other daemon has it
  };

  void Add(Message message);
  bool empty() const { return messages_.empty(); }
  const Message& first() const { return messages_.front(); }
  void RemoveFirst();

  // All that follow are O(messages).
  //
  // Takes back what is here of a session, if its request still is: nobody has heard of it then.
  bool TakeBack(const TunnelKey& key);
  // Of a session whose other end has gone.
  void Remove(const TunnelKey& key);
  // Of a node that is given up: it is told of ends alone, should it come back.
  void KeepEnds();

  // What is held, with what it takes to hold it.
  size_t bytes() const { return bytes_; }

 private:
  void RemoveIf(const std::function<bool(const Message&)>& matches);

  std::deque<Message> messages_;
  size_t bytes_ = 0;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_BACKLOG_H_
