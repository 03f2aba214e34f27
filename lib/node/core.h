// SPDX-License-Identifier: Apache-2.0
//
// What a Node is made of: a loop, a messenger on it, and the rules of who may turn it. See
// clustix/node.h for what is promised, and for the threads.
#ifndef CLUSTIX_LIB_NODE_CORE_H_
#define CLUSTIX_LIB_NODE_CORE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "clustix/node.h"
#include "lib/base/mutex.h"
#include "lib/io/uring_io.h"
#include "lib/msg/session_messenger.h"
#include "lib/node/closed_messenger.h"
#include "lib/node/completion_state.h"

namespace clustix {

class NodeCore {
 public:
  static absl::StatusOr<std::unique_ptr<NodeCore>> Open(const msg::MessengerConfig& config,
                                                        const io::UringOptions& loop);
  // As Node::Close(); the second time, nothing.
  void Close();
  NodeCore(const NodeCore&) = delete;
  NodeCore& operator=(const NodeCore&) = delete;

  Messenger& messenger() { return *messenger_; }
  const std::string& address() const { return address_; }  // any thread
  void Stop();                                             // any thread
  void Post(std::function<void()> task);                   // any thread
  Reply CallAndWait(NodeId to, Port port, Bytes payload, const CallOptions& options);

  // Turns the loop until `done`, the timeout or, if it is to be heeded, Stop(); true: Stop() it
  // was. Whoever sets `done` wakes the loop with EndTurn().
  enum class OnStop { kEnd, kGoOn };
  bool Turn(const bool& done, uint64_t timeout_ms, OnStop on_stop);
  void EndTurn() { io_->Stop(); }

  bool OnOwnThread() const { return thread_ == std::this_thread::get_id(); }
  bool InCallback() const { return turning_; }
  // End the process if `function` is called by the wrong thread, or where the loop must not turn.
  void CheckThread(const char* function) const;
  void CheckMayTurn(const char* function) const;

  CompletionState* AddQueue();
  void Forget(CompletionState* queue);

 private:
  explicit NodeCore(std::unique_ptr<io::UringIo> io) : io_(std::move(io)) {}
  void TurnWhatIsReady();

  // Held by other threads while they reach into the loop. Close() takes it once: whoever made the
  // node's thread end has left it then, and what it has reached into may go.
  base::Mutex from_outside_;
  const std::thread::id thread_ = std::this_thread::get_id();
  std::atomic<bool> stop_ = false;  // Stop() was called, and nobody has heeded it
  bool turning_ = false;            // callbacks may be running
  bool closing_ = false;
  bool closed_ = false;  // every connection is

  // In the order of making: the queues outlive the messenger, whose end completes their calls.
  const std::unique_ptr<io::UringIo> io_;
  std::vector<std::unique_ptr<CompletionState>> queues_;
  std::unique_ptr<Messenger> owned_messenger_;
  ClosedMessenger closed_messenger_;
  // Of these two; the first while its end runs callbacks.
  Messenger* messenger_ = &closed_messenger_;
  std::string address_;
  std::vector<std::byte> answer_;  // of the last CallAndWait()
};

}  // namespace clustix

#endif  // CLUSTIX_LIB_NODE_CORE_H_
