// SPDX-License-Identifier: Apache-2.0
//
// Messages and answers of a KccmCore: the commands of io_uring that carry them, and their ends.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/time_units.h"
#include "lib/msg/core.h"
#include "lib/msg/kccm_core.h"

namespace clustix::msg {
namespace {

// When to try again what the kernel had no memory for: nothing tells when it has some.
constexpr io::TimeNs kRetryNs = 10 * kNsPerMs;
// Commands that are free keep what they have for payloads, so that the next ones allocate nothing.
constexpr size_t kKeptCopyBytes = 4096;
constexpr size_t kKeptCopyBytesMax = 4 * 1024 * 1024;
constexpr size_t kKeptBatches = 4;
// An id is a command's index and, above, how often it was used: never the same again.
constexpr unsigned kIndexBits = 32;

io::TimeNs DeadlineAfter(io::TimeNs now, uint64_t timeout_ms) {
  if (timeout_ms == 0 || timeout_ms > KCCM_URING_TIMEOUT_MAX_MS) {
    timeout_ms = KCCM_URING_TIMEOUT_MAX_MS;
  }
  return now + timeout_ms * kNsPerMs;
}

bool IsRefusal(int result) { return result == -EAGAIN || result == -ENOMEM; }

}  // namespace

// --- commands

KccmCore::Command& KccmCore::NewCommand(Kind kind) {
  if (free_commands_.empty()) {
    Command& made = commands_.emplace_back();
    made.index = static_cast<uint32_t>(commands_.size() - 1);
    made.id = made.index;
    free_commands_.push_back(made.index);
  }
  Command& command = commands_[free_commands_.back()];
  free_commands_.pop_back();
  kept_copy_bytes_ -= command.copy.capacity();
  command.kind = kind;
  command.id += uint64_t{1} << kIndexBits;
  return command;
}

void KccmCore::FreeCommand(Command& command) {
  if (command.room.data != nullptr) {
    const auto used = std::min<uint64_t>(command.call.reply_length, command.call.reply_room);
    rooms_.Give(std::exchange(command.room, {}), used);
  }
  const size_t capacity = command.copy.capacity();
  if (capacity > kKeptCopyBytes || kept_copy_bytes_ + capacity > kKeptCopyBytesMax) {
    std::exchange(command.copy, {}).clear();
  }
  kept_copy_bytes_ += command.copy.capacity();
  command.kind = Kind::kFree;
  command.given_up = false;
  command.lane = nullptr;
  command.deadline = io::kNever;
  free_commands_.push_back(command.index);
}

const std::byte* KccmCore::CopyPayload(Command& command, Bytes payload) {
  command.copy.assign(payload.begin(), payload.end());
  return command.copy.data();
}

void KccmCore::FillRequest(Command& command, NodeId to, Port port, Bytes payload, Lane lane,
                           bool copy) {
  const std::byte* data = copy ? CopyPayload(command, payload) : payload.data();
  command.bytes = payload.size();
  command.lane = &peer_of_node_[to]->lanes[static_cast<uint8_t>(lane)];
  command.call = {};
  command.call.request.payload = reinterpret_cast<uint64_t>(data);
  command.call.request.length = static_cast<uint32_t>(payload.size());
  command.call.request.node = to;
  command.call.request.port = port;
  command.call.request.lane = static_cast<uint8_t>(lane);
}

// --- on the way out

Outcome KccmCore::Admit(Peer* peer, Lane lane, Bytes payload) {
  if (peer == nullptr) return Outcome::kNoSuchPeer;
  if (payload.size() > KCCM_PAYLOAD_MAX) return Outcome::kTooLarge;
  if (peer->lanes[static_cast<uint8_t>(lane)].HasRoomFor(payload.size())) return Outcome::kOk;
  WantWritable(peer->config.node, lane);
  return Outcome::kBusy;
}

Outcome KccmCore::Send(NodeId to, Port port, Bytes payload, Lane lane, bool in_place,
                       Messenger::SentCallback&& done) {
  if (const Outcome admitted = Admit(Find(to), lane, payload); admitted != Outcome::kOk) {
    return admitted;
  }
  Command& command = NewCommand(Kind::kSend);
  // Without a callback nobody would learn when the memory is his again.
  FillRequest(command, to, port, payload, lane, !in_place || !done);
  command.sent = std::move(done);
  command.lane->Add(command);
  return Outcome::kOk;
}

Outcome KccmCore::Call(NodeId to, Port port, Bytes payload, const CallOptions& options,
                       Messenger::ReplyCallback&& done, CallId* id) {
  if (const Outcome admitted = Admit(Find(to), options.lane, payload); admitted != Outcome::kOk) {
    return admitted;
  }
  if (!rooms_.HasRoom()) {
    WantWritable(to, options.lane);
    return Outcome::kBusy;
  }
  const AnswerRoom room = rooms_.Take();
  if (room.data == nullptr) return Outcome::kOutOfMemory;
  Command& command = NewCommand(Kind::kCall);
  FillRequest(command, to, port, payload, options.lane, true);
  command.room = room;
  command.call.request.epoch = options.epoch;
  command.call.reply = reinterpret_cast<uint64_t>(room.data);
  command.call.reply_room = KCCM_PAYLOAD_MAX;
  command.deadline = DeadlineAfter(io_.loop().CoarseNow(), options.timeout_ms);
  command.answered = std::move(done);
  if (id != nullptr) *id = {.node = to, .request = command.id};
  command.lane->Add(command);
  if (!command.submitted) ExpectDeadline(command.deadline);
  return Outcome::kOk;
}

void KccmCore::Submit(LaneEntry& entry, bool resume) {
  auto& command = static_cast<Command&>(entry);
  kccm_uring_send& request = command.call.request;
  request.flags = KCCM_URING_ORDERED | KCCM_URING_MORE;
  if (resume) request.flags |= KCCM_URING_RESUME;
  if (sends_many_ && command.kind == Kind::kSend && !command.sent &&
      request.length <= KccmBatch::kPayloadMax) {
    AddToBatch(command);
    return;
  }
  SubmitBatch();
  LeaveTogether(command);
  if (command.kind == Kind::kCall) {
    const io::TimeNs now = io_.loop().CoarseNow();
    const io::TimeNs left = command.deadline > now ? command.deadline - now : 0;
    request.timeout_ms = static_cast<uint32_t>(
        std::clamp<uint64_t>((left + kNsPerMs - 1) / kNsPerMs, 1, KCCM_URING_TIMEOUT_MAX_MS));
    io_.Submit(sender_.id, KCCM_URING_CALL, KccmArguments(&command.call, sizeof command.call),
               command.index);
    return;
  }
  if (command.sent) {
    request.flags |= KCCM_URING_CONFIRM;
    request.timeout_ms = KCCM_URING_TIMEOUT_MAX_MS;
  }
  io_.Submit(sender_.id, KCCM_URING_SEND, KccmArguments(&request, sizeof request), command.index);
}

// The kernel reads the arguments when it gets the turn's commands: by then the last one knows.
void KccmCore::LeaveTogether(Command& command) {
  if (last_of_turn_ == nullptr) {
    io_.loop().AtEndOfTurn([self = shared_from_this()] { self->EndTurn(); });
  }
  last_of_turn_ = &command;
}

void KccmCore::EndTurn() {
  SubmitBatch();
  Command& last = *std::exchange(last_of_turn_, nullptr);
  last.call.request.flags &= static_cast<uint8_t>(~KCCM_URING_MORE);
  last.answer.flags &= ~KCCM_URING_MORE;
  if (last.batch != nullptr) last.batch->arguments().flags &= ~KCCM_URING_MORE;
}

void KccmCore::AddToBatch(Command& command) {
  if (open_batch_ != nullptr && !open_batch_->batch->HasRoomFor(command.call.request.length)) {
    SubmitBatch();
  }
  if (open_batch_ == nullptr) {
    open_batch_ = &NewCommand(Kind::kBatch);
    if (free_batches_.empty()) free_batches_.push_back(std::make_unique<KccmBatch>());
    open_batch_->batch = std::move(free_batches_.back());
    free_batches_.pop_back();
    LeaveTogether(*open_batch_);
  }
  open_batch_->batch->Add(command.call.request, command.index);
}

void KccmCore::SubmitBatch() {
  if (open_batch_ == nullptr) return;
  Command& carrier = *std::exchange(open_batch_, nullptr);
  if (stopped_) {
    BatchEnded(carrier, 0);
    return;
  }
  io_.Submit(sender_.id, KCCM_URING_SEND_MANY,
             KccmArguments(&carrier.batch->Seal(), sizeof(kccm_uring_send_many)), carrier.index);
}

bool KccmCore::Cancel(const CallId& id) {
  const uint64_t index = id.request & ((uint64_t{1} << kIndexBits) - 1);
  if (stopped_ || index >= commands_.size()) return false;
  Command& command = commands_[index];
  if (command.kind != Kind::kCall || command.id != id.request ||
      command.call.request.node != id.node || !command.answered) {
    return false;
  }
  const Messenger::ReplyCallback forgotten = std::exchange(command.answered, nullptr);
  command.given_up = true;
  if (!command.submitted) {
    command.lane->Remove(command);
    FreeCommand(command);
    TellWritable();
  }
  return true;
}

// --- how it ended

void KccmCore::OnCommand(uint32_t tag, int result) {
  Command& command = commands_[tag];
  assert(command.kind != Kind::kFree);
  if (command.kind == Kind::kBatch) {
    BatchEnded(command, result);
  } else if (stopped_) {
    FreeCommand(command);
  } else if (command.kind == Kind::kAnswer) {
    AnswerEnded(command, result);
  } else if (IsRefusal(result)) {
    WasRefused(command, result);
  } else {
    Ended(command, result);
  }
}

// The first `result` messages have been taken, the next one has not, for the reason that the
// arguments give, and none behind it. A callback may end everything.
void KccmCore::BatchEnded(Command& carrier, int result) {
  std::unique_ptr<KccmBatch> batch = std::move(carrier.batch);
  FreeCommand(carrier);
  const size_t sent = result > 0 ? static_cast<size_t>(result) : 0;
  const int why = batch->arguments().error;
  for (size_t i = 0; i < batch->commands().size(); ++i) {
    Command& command = commands_[batch->commands()[i]];
    if (stopped_) {
      FreeCommand(command);
    } else if (i < sent) {
      Ended(command, 0);
    } else if (why == 0 || (i == sent && !IsRefusal(why))) {
      Ended(command, why != 0 ? why : result);
    } else {
      WasRefused(command, IsRefusal(why) ? why : -EAGAIN);
    }
  }
  if (why != 0 && !stopped_) RetryBehind(*batch, sent);
  batch->Clear();
  if (free_batches_.size() < kKeptBatches) free_batches_.push_back(std::move(batch));
}

// Nothing but the message that could not be sent has kept those on other lanes from it.
void KccmCore::RetryBehind(const KccmBatch& batch, size_t refused) {
  const auto lane_of = [&](size_t i) { return batch.LaneOf(i); };
  for (size_t i = refused + 1; i < batch.commands().size(); ++i) {
    const auto [node, lane] = lane_of(i);
    if (lane_of(i) == lane_of(refused) && IsRefusal(batch.arguments().error)) continue;
    peer_of_node_[node]->lanes[lane].Retry();
  }
}

void KccmCore::WasRefused(Command& command, int error) {
  command.lane->Refused(command);
  if (error == -ENOMEM) RetryLanesSoon();
  if (command.given_up) {
    command.lane->Remove(command);
    FreeCommand(command);
    TellWritable();
  } else if (command.kind == Kind::kCall) {
    ExpectDeadline(command.deadline);
  }
}

void KccmCore::Ended(Command& command, int result) {
  command.lane->Remove(command);
  if (command.kind == Kind::kSend) {
    EndSend(command, result >= 0 ? Outcome::kOk : OutcomeOfError(result));
    return;
  }
  Reply reply{.outcome = Outcome::kOk, .status = 0, .payload = {}};
  if (result >= 0) {
    reply.status = static_cast<uint16_t>(command.call.status);
    reply.outcome = reply.status == 0 ? Outcome::kOk : Outcome::kHandlerError;
    reply.payload = {command.room.data, static_cast<size_t>(result)};
  } else if (result == -ENXIO) {
    reply.outcome = Outcome::kNoSuchPort;
    reply.status = kStatusNoSuchPort;
  } else {
    reply.outcome = OutcomeOfError(result);
  }
  EndCall(command, reply);
}

void KccmCore::EndSend(Command& command, Outcome outcome) {
  const Messenger::SentCallback done = std::exchange(command.sent, nullptr);
  if (outcome != Outcome::kOk && !done) {
    ++lost_sends_;
    if (const auto held_back = log_limiter_.Admit("send", io_.loop().Now())) {
      base::Log(base::LogLevel::kWarning, "msg", "a message was not sent",
                {{"peer", command.call.request.node},
                 {"outcome", OutcomeName(outcome)},
                 {"not_logged_before", *held_back}});
    }
  }
  FreeCommand(command);
  if (done) done(outcome);
  TellWritable();
}

// The room is the callback's until it returns.
void KccmCore::EndCall(Command& command, const Reply& reply) {
  const Messenger::ReplyCallback done = std::exchange(command.answered, nullptr);
  if (done) done(reply);
  FreeCommand(command);
  TellWritable();
}

// --- full queues

void KccmCore::RetryLanes() {
  if (stopped_) return;
  for (auto& [node, peer] : peers_) {
    for (KccmLane& lane : peer.lanes) lane.Retry();
  }
}

void KccmCore::RetryLanesSoon() {
  if (retry_timer_ != 0) return;
  retry_timer_ = io_.loop().RunAt(io_.loop().Now() + kRetryNs, [this] {
    retry_timer_ = 0;
    RetryLanes();
  });
}

// Of calls that wait here; the kernel watches over those that it has.
void KccmCore::ExpectDeadline(io::TimeNs deadline) {
  if (deadline >= deadline_timer_at_) return;
  if (deadline_timer_ != 0) io_.loop().Cancel(deadline_timer_);
  deadline_timer_at_ = deadline;
  deadline_timer_ = io_.loop().RunAt(deadline, [this] { EndLateCalls(); });
}

void KccmCore::EndLateCalls() {
  deadline_timer_ = 0;
  deadline_timer_at_ = io::kNever;
  const io::TimeNs now = io_.loop().Now();
  std::vector<uint32_t> late;
  for (const Command& command : commands_) {
    if (command.kind != Kind::kCall || command.submitted) continue;
    if (command.deadline <= now) {
      late.push_back(command.index);
    } else {
      ExpectDeadline(command.deadline);
    }
  }
  // A callback may cancel others, or have them submitted.
  for (const uint32_t index : late) {
    Command& command = commands_[index];
    if (stopped_ || command.kind != Kind::kCall || command.submitted || command.deadline > now) {
      continue;
    }
    command.lane->Remove(command);
    EndCall(command, {.outcome = Outcome::kDeadline, .status = 0, .payload = {}});
  }
}

void KccmCore::WantWritable(NodeId node, Lane lane) {
  for (const WritableWanted& one : wanted_) {
    if (one.node == node && one.lane == lane) return;
  }
  wanted_.push_back({.node = node, .lane = lane});
}

void KccmCore::TellWritable() {
  if (wanted_.empty() || stopped_ || !rooms_.HasRoom()) return;
  std::vector<WritableWanted> ready;
  std::erase_if(wanted_, [&](const WritableWanted& one) {
    if (!peer_of_node_[one.node]->lanes[static_cast<uint8_t>(one.lane)].IsHalfEmpty()) return false;
    ready.push_back(one);
    return true;
  });
  for (const WritableWanted& one : ready) {
    const size_t count = on_writable_.size();
    for (size_t i = 0; i < count && !stopped_; ++i) on_writable_[i](one.node, one.lane);
  }
}

// --- answers

Outcome KccmCore::Answer(NodeId to, Lane lane, uint64_t request, uint16_t status, Bytes payload) {
  if (status == kStatusNoSuchPort) return Outcome::kHandlerError;
  if (Find(to) == nullptr) return Outcome::kNoSuchPeer;
  if (payload.size() > KCCM_PAYLOAD_MAX) return Outcome::kTooLarge;
  const OpenCall* open = open_calls_.Find(request);
  if (open == nullptr || open->from != to || open->lane != lane) return Outcome::kNotDelivered;
  const OpenCall call = open_calls_.Take(request);
  const auto port = ports_.find(call.binding);
  if (port == ports_.end() || port->second->closing()) return Outcome::kNotDelivered;
  Command& command = NewCommand(Kind::kAnswer);
  command.binding = call.binding;
  command.answer = {.request = call.number,
                    .payload = reinterpret_cast<uint64_t>(CopyPayload(command, payload)),
                    .length = static_cast<uint32_t>(payload.size()),
                    .status = status,
                    .flags = 0,
                    .zero = 0};
  SubmitAnswer(command);
  return Outcome::kOk;
}

void KccmCore::SubmitAnswer(Command& command) {
  const auto port = ports_.find(command.binding);
  if (stopped_ || port == ports_.end() || port->second->closing()) {
    FreeCommand(command);  // the call was given up with its port
    return;
  }
  command.answer.flags = KCCM_URING_MORE;
  SubmitBatch();
  LeaveTogether(command);
  io_.Submit(port->second->device(), KCCM_URING_REPLY,
             KccmArguments(&command.answer, sizeof command.answer), command.index);
}

void KccmCore::AnswerEnded(Command& command, int result) {
  // No memory, or its caller's node does not take the answers that it has.
  if (result == -ENOMEM || result == -EAGAIN) {
    io_.loop().RunAt(io_.loop().Now() + kRetryNs, [weak = weak_from_this(), &command] {
      if (const auto self = weak.lock()) self->SubmitAnswer(command);
    });
    return;
  }
  // The caller may have gone meanwhile, or come back as another.
  if (result != 0 && result != -ESTALE) {
    ++lost_answers_;
    if (const auto held_back = log_limiter_.Admit("answer", io_.loop().Now())) {
      base::Log(base::LogLevel::kError, "msg", "an answer was not sent",
                {{"error", strerror(-result)}, {"not_logged_before", *held_back}});
    }
  }
  FreeCommand(command);
}

}  // namespace clustix::msg
