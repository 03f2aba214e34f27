// SPDX-License-Identifier: Apache-2.0
#include "lib/node/core.h"

#include <cstdlib>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"

namespace clustix {
namespace {

// Closing takes a turn or two of the loop. A kernel that does not let go of a socket must not keep
// a program that ends.
constexpr io::TimeNs kCloseNs = 2'000'000'000;

[[noreturn]] void Misused(const char* function, const char* how) {
  base::Log(base::LogLevel::kError, "node", "misused", {{"function", function}, {"how", how}});
  abort();
}

}  // namespace

absl::StatusOr<std::unique_ptr<NodeCore>> NodeCore::Open(const msg::MessengerConfig& config,
                                                         const io::UringOptions& loop) {
  ASSIGN_OR_RETURN(auto io, io::UringIo::Create(loop));
  std::unique_ptr<NodeCore> core(new NodeCore(std::move(io)));
  const auto closed = [raw = core.get()] {
    raw->closed_ = true;
    raw->EndTurn();
  };
  auto messenger = msg::StartSessionMessenger(*core->io_, config, msg::SystemRandom(), closed);
  // EADDRINUSE, which would else have the code of a kernel without io_uring.
  if (absl::IsFailedPrecondition(messenger.status())) {
    return absl::AlreadyExistsError(messenger.status().message());
  }
  if (!messenger.ok()) return messenger.status();
  core->owned_messenger_ = *std::move(messenger);
  core->messenger_ = core->owned_messenger_.get();
  core->address_ = core->messenger_->address();
  return core;
}

// 1. Who is about to leave Stop() or Post() leaves. 2. What is pending ends; its callbacks find a
// messenger that takes nothing more. 3. Connections close, which they do as the loop turns. What
// was posted and has not run goes with the loop.
void NodeCore::Close() {
  CheckMayTurn("Node::Close()");
  if (std::exchange(closing_, true)) return;
  { base::MutexLock lock(from_outside_); }
  turning_ = true;
  owned_messenger_.reset();
  messenger_ = &closed_messenger_;
  bool late = false;
  const io::TimerId timer = io_->loop().RunAt(io_->loop().Now() + kCloseNs, [&] {
    late = true;
    EndTurn();
  });
  while (!closed_ && !late) io_->Run();
  io_->loop().Cancel(timer);
  if (!closed_) base::Log(base::LogLevel::kWarning, "node", "some connections do not close");
  turning_ = false;
}

void NodeCore::CheckThread(const char* function) const {
  if (!OnOwnThread())
    Misused(function, "called by another thread than the one that opened the node");
}

void NodeCore::CheckMayTurn(const char* function) const {
  CheckThread(function);
  if (turning_) Misused(function, "called from within one of the node's callbacks");
}

void NodeCore::Stop() {
  base::MutexLock lock(from_outside_);
  stop_ = true;
  io_->Stop();
}

void NodeCore::Post(std::function<void()> task) {
  base::MutexLock lock(from_outside_);
  io_->loop().Post([this, task = std::move(task)] {
    if (!closing_) task();
  });
}

// The first turn enters the kernel, which then tells what is ready; the second handles it.
void NodeCore::TurnWhatIsReady() {
  for (int turns = 0; turns < 2; ++turns) {
    io_->Stop();
    io_->Run();
  }
}

bool NodeCore::Turn(const bool& done, uint64_t timeout_ms, OnStop on_stop) {
  const auto stopped = [&] { return on_stop == OnStop::kEnd && stop_.exchange(false); };
  turning_ = true;
  bool late = timeout_ms == 0;
  if (late) TurnWhatIsReady();
  io::TimerId timer = 0;
  const io::TimeNs now = io_->loop().Now();
  if (!late && timeout_ms < (io::kNever - now) / kNsPerMs) {
    timer = io_->loop().RunAt(now + timeout_ms * kNsPerMs, [&] {
      late = true;
      EndTurn();
    });
  }
  bool stop = false;
  // The loop may have been ended for a reason that is over: whoever asked for that is asked again.
  while (!done && !(stop = stopped()) && !late) io_->Run();
  if (timer != 0 && !late) io_->loop().Cancel(timer);
  turning_ = false;
  return stop;
}

Reply NodeCore::CallAndWait(NodeId to, Port port, Bytes payload, const CallOptions& options) {
  CheckMayTurn("Node::CallAndWait()");
  // One pointer to all of it, so that the callback needs no memory of its own.
  struct Waiting {
    NodeCore* core;
    bool done;
    Reply reply;
  } waiting = {.core = this, .done = false, .reply = {}};
  const Outcome queued =
      messenger_->Call(to, port, payload, options, [&waiting](const Reply& reply) {
        std::vector<std::byte>& answer = waiting.core->answer_;
        answer.assign(reply.payload.begin(), reply.payload.end());
        waiting.reply = {.outcome = reply.outcome, .status = reply.status, .payload = answer};
        waiting.done = true;
        waiting.core->EndTurn();
      });
  if (queued != Outcome::kOk) return {.outcome = queued, .status = 0, .payload = {}};
  Turn(waiting.done, Node::kForever, OnStop::kGoOn);
  return waiting.reply;
}

CompletionState* NodeCore::AddQueue() {
  queues_.push_back(std::make_unique<CompletionState>(*this));
  return queues_.back().get();
}

void NodeCore::Forget(CompletionState* queue) {
  std::erase_if(queues_, [&](const auto& owned) { return owned.get() == queue; });
}

}  // namespace clustix
