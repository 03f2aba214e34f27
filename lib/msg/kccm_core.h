// SPDX-License-Identifier: Apache-2.0
//
// What a messenger over the kernel module is made of. Lives until nothing of it is in flight, which
// may be after the messenger: until then the kernel works on its memory. Belongs to the loop's
// thread.
#ifndef CLUSTIX_LIB_MSG_KCCM_CORE_H_
#define CLUSTIX_LIB_MSG_KCCM_CORE_H_

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clustix/messenger.h"
#include "include/uapi/kccm.h"
#include "lib/base/log_limiter.h"
#include "lib/base/unique_fd.h"
#include "lib/io/device_io.h"
#include "lib/msg/answer_rooms.h"
#include "lib/msg/handlers.h"
#include "lib/msg/kccm_batch.h"
#include "lib/msg/kccm_lane.h"
#include "lib/msg/kccm_messenger.h"
#include "lib/msg/kccm_netlink.h"
#include "lib/msg/kccm_port.h"
#include "lib/msg/slots.h"

namespace clustix::msg {

class KccmCore final : public std::enable_shared_from_this<KccmCore>,
                       public KccmPort::Owner,
                       public LaneSubmitter {
 public:
  KccmCore(io::DeviceIo& io, const MessengerConfig& config, KccmNetlink netlink, KccmEvents events);
  ~KccmCore() override;

  // `ports` have been bound, and the node is not there yet.
  absl::Status Start(const MessengerConfig& config, std::vector<std::unique_ptr<KccmPort>> ports,
                     std::function<void()> closed);
  // Ends the node, settles everything that is pending, and lets go of the kernel.
  void Stop();
  const KccmNode& node() const { return node_; }

  // As in clustix/messenger.h
  NodeId self() const { return node_.node; }
  std::string address() const { return node_.address; }
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, Messenger::SentCallback&& done) {
    return Send(to, port, payload, lane, /*in_place=*/false, std::move(done));
  }
  Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane,
                      Messenger::SentCallback&& done) {
    return Send(to, port, payload, lane, /*in_place=*/true, std::move(done));
  }
  Outcome Call(NodeId to, Port port, Bytes payload, const CallOptions& options,
               Messenger::ReplyCallback&& done, CallId* id);
  bool Cancel(const CallId& id);
  Outcome Answer(NodeId to, Lane lane, uint64_t request, uint16_t status, Bytes payload);
  void Handle(Port port, Messenger::Handler handler);
  void OnEvent(Messenger::EventCallback callback) { on_event_.push_back(std::move(callback)); }
  void OnWritable(Messenger::WritableCallback callback) {
    on_writable_.push_back(std::move(callback));
  }
  std::vector<PeerInfo> Peers() const;
  std::vector<MessengerCounter> Counters() const;

  // KccmPort::Owner and LaneSubmitter
  bool OnMessage(KccmPort& port, const kccm_uring_descriptor& message, Bytes payload) override;
  void OnPortCommand(uint32_t tag, int result) override { OnCommand(tag, result); }
  void OnPortClosed(KccmPort& port) override;
  void Submit(LaneEntry& entry, bool resume) override;

 private:
  // `in_place`: the payload stays the caller's until `done`.
  Outcome Send(NodeId to, Port port, Bytes payload, Lane lane, bool in_place,
               Messenger::SentCallback&& done);

  // A descriptor of which only completions or events matter.
  class Device final : public io::DeviceHandler {
   public:
    std::function<void(uint32_t tag, int result)> on_command;
    std::function<void(uint32_t events)> on_events;
    std::function<void()> on_detached;
    void OnCommand(uint32_t tag, int result) override { on_command(tag, result); }
    void OnEvents(uint32_t events) override { on_events(events); }
    void OnDetached() override { on_detached(); }
    io::DeviceId id = 0;
  };

  enum class Kind : uint8_t { kFree, kSend, kCall, kAnswer, kBatch };
  // A command of io_uring: its arguments, on which the kernel works until it ends, and who wants to
  // know how. Its tag is its index in commands_.
  struct Command : LaneEntry {
    Kind kind = Kind::kFree;
    bool given_up = false;  // nobody waits for its outcome
    uint32_t index = 0;
    uint64_t id = 0;  // of this use of it: CallId::request
    KccmLane* lane = nullptr;
    kccm_uring_call call = {};  // of a send: call.request alone
    kccm_uring_reply answer = {};
    uint32_t binding = 0;  // of an answer: KccmPort::id()
    io::TimeNs deadline = io::kNever;
    AnswerRoom room;
    std::vector<std::byte> copy;  // of the payload
    std::unique_ptr<KccmBatch> batch;
    Messenger::SentCallback sent;
    Messenger::ReplyCallback answered;
  };
  struct Peer {
    PeerConfig config;
    std::array<KccmLane, KCCM_LANES> lanes;
    KccmPeerNews news;
    bool logged_up = false;
  };
  // A call that has come and is not answered.
  struct OpenCall {
    uint32_t binding;
    uint32_t number;  // in the ring
    NodeId from;
    Lane lane;
  };
  struct WritableWanted {
    NodeId node;
    Lane lane;
  };

  absl::Status TakeOverNode(const MessengerConfig& config);
  absl::Status MakeNode(const MessengerConfig& config);
  void Attach(Device& device, int fd);
  void DeviceDetached();
  void ReportIfClosed();

  Peer* Find(NodeId node);
  Outcome Admit(Peer* peer, Lane lane, Bytes payload);
  Command& NewCommand(Kind kind);
  void FillRequest(Command& command, NodeId to, Port port, Bytes payload, Lane lane, bool copy);
  const std::byte* CopyPayload(Command& command, Bytes payload);
  void FreeCommand(Command& command);
  void OnCommand(uint32_t tag, int result);
  void Ended(Command& command, int result);
  void EndSend(Command& command, Outcome outcome);
  void EndCall(Command& command, const Reply& reply);
  void WasRefused(Command& command, int error);
  void RetryLanes();
  void RetryLanesSoon();
  void ExpectDeadline(io::TimeNs deadline);
  void EndLateCalls();
  void WantWritable(NodeId node, Lane lane);
  void TellWritable();

  // All commands of a turn but its last let the kernel wait with writing: they leave together.
  void LeaveTogether(Command& command);
  void EndTurn();
  // Small messages that nobody waits for go to the kernel many at a time, before whatever is
  // submitted after them.
  void AddToBatch(Command& command);
  void SubmitBatch();
  void BatchEnded(Command& carrier, int result);
  void RetryBehind(const KccmBatch& batch, size_t refused);
  void SubmitAnswer(Command& command);
  void AnswerEnded(Command& command, int result);

  void AddPort(std::unique_ptr<KccmPort> port);
  KccmPort* PortOf(Port port);
  void BindAgain(Port port, int attempts);

  void OnPeerEvents();
  void Happened(Peer& peer, PeerEvent event, const KccmPeerNews& news);
  void Resynchronize();
  void LogEvent(Peer& peer, PeerEvent event);
  void SweepHandlers();

  io::DeviceIo& io_;
  mutable KccmNetlink netlink_;
  KccmEvents events_;
  KccmNode node_;
  std::function<void()> closed_;
  std::shared_ptr<KccmCore> self_;  // while anything is attached
  bool stopped_ = false;
  int attached_ = 0;

  base::UniqueFd sender_fd_;
  Device sender_, listener_;
  std::map<NodeId, Peer> peers_;  // lanes never move: commands point at them
  std::array<Peer*, KCCM_NODE_MAX + 1> peer_of_node_ = {};

  std::deque<Command> commands_;  // never move
  std::vector<uint32_t> free_commands_;
  Command* last_of_turn_ = nullptr;
  bool sends_many_ = false;        // the module knows SEND_MANY
  Command* open_batch_ = nullptr;  // the kernel does not have it yet
  std::vector<std::unique_ptr<KccmBatch>> free_batches_;
  size_t kept_copy_bytes_ = 0;  // of free commands
  AnswerRooms rooms_{kKccmCalls, KCCM_PAYLOAD_MAX};
  std::vector<WritableWanted> wanted_;
  io::TimerId retry_timer_ = 0;
  io::TimerId deadline_timer_ = 0;
  io::TimeNs deadline_timer_at_ = io::kNever;

  std::map<uint32_t, std::unique_ptr<KccmPort>> ports_;  // by id
  uint32_t next_port_ = 1;
  Slots<OpenCall> open_calls_;
  Handlers handlers_;
  bool sweep_pending_ = false;
  // Deques: a callback that adds another one stays where it is.
  std::deque<Messenger::EventCallback> on_event_;
  std::deque<Messenger::WritableCallback> on_writable_;
  uint64_t lost_sends_ = 0;
  uint64_t lost_answers_ = 0;
  base::LogLimiter log_limiter_;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_KCCM_CORE_H_
