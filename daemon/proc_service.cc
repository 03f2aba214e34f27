// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_service.h"

#include <capnp/message.h>

#include <cerrno>
#include <utility>

#include "lib/msg/ports.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/process_signal.h"
#include "proto/message.h"
#include "proto/proc.capnp.h"

namespace clustix::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// What the caller of read(2) is told when a peer did not answer a call.
int ErrnoOf(Outcome outcome, uint16_t status) {
  switch (outcome) {
    case Outcome::kOk:
      return 0;
    case Outcome::kNoSuchPeer:
      return ENOENT;
    case Outcome::kDeadline:
    case Outcome::kBusy:
      return ETIMEDOUT;
    case Outcome::kHandlerError:
      return status == EBUSY ? ETIMEDOUT : EIO;
    default:
      return EHOSTDOWN;
  }
}

// What a peer says an errno is must be one before it is handed to a file system.
int CheckedErrno(int32_t error) { return error >= 0 && error < 4096 ? error : EIO; }

// What SendSignal() returns, here or elsewhere.
proc::SignalOutcome OutcomeOf(int error) {
  switch (error) {
    case 0:
      return proc::SignalOutcome::kDelivered;
    case ESRCH:
      return proc::SignalOutcome::kNoSuchProcess;
    case EPERM:
      return proc::SignalOutcome::kDenied;
    case EINVAL:
      return proc::SignalOutcome::kInvalid;
    default:
      return proc::SignalOutcome::kUnreachable;
  }
}

// Of a FileReply or a NextFile.
template <typename Reader>
procview::FileResult DecodeFile(Reader from) {
  const capnp::Data::Reader content = from.getContent();
  return {CheckedErrno(from.getError()),
          std::string(reinterpret_cast<const char*>(content.begin()), content.size())};
}

}  // namespace

ProcService::ProcService(io::Loop& loop, Messenger& messenger, const member::NodeTable& nodes,
                         LocalProc& local, const procview::ProcReader& reader, FileReaders& readers,
                         SnapshotOptions options)
    : loop_(loop),
      messenger_(&messenger),
      reader_(reader),
      readers_(readers),
      self_(nodes.self()),
      options_(options),
      snapshots_(loop, messenger, nodes, local, readers, options),
      read_ahead_(options.refresh) {}

ProcService::~ProcService() = default;

void ProcService::Stop() {
  snapshots_.Stop();
  messenger_ = nullptr;
  {
    base::MutexLock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

std::shared_ptr<ProcService::PendingCall> ProcService::StartCall(NodeId node, Asked what,
                                                                 std::vector<std::byte> request) {
  auto call = std::make_shared<PendingCall>();  // outlives a caller that gave up
  call->deadline = steady_clock::now() + options_.deadline;
  using Hope = NodeSnapshots::Hope;
  const Hope hope = snapshots_.HopeOf(node);
  const bool hopeful = hope == Hope::kGood || (hope == Hope::kLate && what == Asked::kSignal);
  {
    base::MutexLock lock(mutex_);
    if (stopped_ || !hopeful) {
      call->answer.outcome =
          hope == Hope::kNotConfigured ? Outcome::kNoSuchPeer : Outcome::kNotDelivered;
      call->done = true;
      return call;
    }
  }
  auto finish = [this, call](const Reply& reply) {
    {
      base::MutexLock lock(mutex_);
      call->answer = {reply.outcome, reply.status, {reply.payload.begin(), reply.payload.end()}};
      call->done = true;
    }
    changed_.notify_all();
  };
  const Lane lane = what == Asked::kSignal ? Lane::kControl : Lane::kBulk;
  loop_.Post([this, node, lane, finish, message = std::move(request)] {
    CallOptions options{
        .lane = lane, .timeout_ms = static_cast<uint64_t>(options_.deadline.count()), .epoch = 0};
    Outcome outcome = messenger_ == nullptr
                          ? Outcome::kNotDelivered
                          : messenger_->Call(node, msg::kPortProc, message, options, finish);
    if (outcome != Outcome::kOk) finish(Reply{outcome, 0, {}});
  });
  return call;
}

ProcService::Answer ProcService::AwaitCall(PendingCall& call) {
  base::MutexLock lock(mutex_);
  while (!call.done && !stopped_) {
    if (changed_.wait_until(mutex_, call.deadline) == std::cv_status::timeout) break;
  }
  // What the loop may still do with the call nobody waits for any more.
  return call.done ? std::move(call.answer)
                   : Answer{stopped_ ? Outcome::kUnknown : Outcome::kDeadline, 0, {}};
}

// Of a FileReply; `next`: nullptr if nobody has asked for more.
procview::FileResult ProcService::DecodeFileAnswer(NodeId node, const Answer& answer,
                                                   std::vector<ReadAhead::NextFile>* next) {
  procview::FileResult result;
  result.error = ErrnoOf(answer.outcome, answer.status);
  if (result.error != 0) return result;
  absl::Status status =
      proto::ReadMessage<proto::ProcReply>(answer.payload, [&](proto::ProcReply::Reader reply) {
        if (!reply.isFile()) return absl::InvalidArgumentError("not a file");
        result = DecodeFile(reply.getFile());
        if (next == nullptr) return absl::OkStatus();
        for (proto::NextFile::Reader file : reply.getFile().getNext()) {
          next->push_back({file.getPid(), DecodeFile(file)});
        }
        return absl::OkStatus();
      });
  if (status.ok()) return result;
  snapshots_.CountBadReply(node, status);
  if (next != nullptr) next->clear();
  return {.error = EIO, .text = {}};
}

bool ProcService::IsHere(int32_t pid) { return reader_.HasProcess(pid); }

procview::FileResult ProcService::ReadHere(uid_t owner,
                                           std::function<procview::FileResult()> read) {
  struct Pending {  // outlives a caller that gave up; guarded by mutex_
    bool done = false;
    procview::FileResult result;
  };
  auto pending = std::make_shared<Pending>();
  const TimePoint deadline = steady_clock::now() + options_.deadline;
  const bool taken = readers_.Submit(owner, [this, pending, read = std::move(read)](bool in_time) {
    if (!in_time) return;
    procview::FileResult result = read();
    {
      base::MutexLock lock(mutex_);
      pending->result = std::move(result);
      pending->done = true;
    }
    changed_.notify_all();
  });
  if (!taken) return {ETIMEDOUT, {}};
  base::MutexLock lock(mutex_);
  while (!pending->done && !stopped_) {
    if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout) break;
  }
  return pending->done ? std::move(pending->result) : procview::FileResult{ETIMEDOUT, {}};
}

procview::FileResult ProcService::ReadProcessFile(uint16_t node, int32_t pid, int32_t tid,
                                                  const std::string& name,
                                                  const procview::Asker& asker) {
  if (node == self_) {
    if (!procview::MayKeepWaiting(name)) return reader_.ReadProcessFile(pid, tid, name, asker);
    return ReadHere(reader_.OwnerOf(pid), [this, pid, tid, name, asker] {
      return reader_.ReadProcessFile(pid, tid, name, asker);
    });
  }
  const TimePoint asked = steady_clock::now();
  uint32_t also_next = 0;
  if (tid == 0) {
    if (auto ahead = read_ahead_.Take(node, pid, name, asker, asked)) return *std::move(ahead);
    also_next = read_ahead_.Window(node, pid, name, asker, asked);
  }
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<proto::ProcRequest>().initReadFile();
  request.setPid(pid);
  request.setTid(tid);
  request.setName(name.c_str());
  request.setUid(asker.uid);
  request.setGid(asker.gid);
  request.setAlsoNext(also_next);
  const Answer answer = CallAndWait(node, Asked::kFile, proto::WriteMessage(message));
  std::vector<ReadAhead::NextFile> next;
  procview::FileResult result = DecodeFileAnswer(node, answer, &next);
  if (!next.empty()) read_ahead_.Keep(node, name, asker, asked, std::move(next));
  if (also_next > 0 && result.error == ETIMEDOUT) read_ahead_.GiveUp(node, name, asker);
  return result;
}

std::vector<procview::FileResult> ProcService::ReadNodeFiles(const std::vector<uint16_t>& nodes,
                                                             const std::string& path) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::ProcRequest>().setNodeFile(path.c_str());
  const std::vector<std::byte> request = proto::WriteMessage(message);
  std::vector<std::shared_ptr<PendingCall>> calls;
  for (uint16_t node : nodes) {
    calls.push_back(node == self_ ? nullptr : StartCall(node, Asked::kFile, request));
  }
  std::vector<procview::FileResult> results(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {  // while the others' are on their way
    if (calls[i] != nullptr) continue;
    results[i] = ReadHere(kOfNobody, [this, path] { return reader_.ReadNodeFile(path); });
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (calls[i] == nullptr) continue;
    results[i] = DecodeFileAnswer(nodes[i], AwaitCall(*calls[i]), nullptr);
  }
  return results;
}

bool ProcService::HasNodeFile(const std::string& path) { return reader_.HasNodeFile(path); }

procview::TaskList ProcService::ListTasks(uint16_t node, int32_t pid) {
  if (node == self_) return reader_.ListTasks(pid);
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::ProcRequest>().initListTasks().setPid(pid);
  const Answer reply = CallAndWait(node, Asked::kFile, proto::WriteMessage(message));
  procview::TaskList result;
  result.error = ErrnoOf(reply.outcome, reply.status);
  if (result.error != 0) return result;
  absl::Status status = proto::ReadMessage<proto::ProcReply>(
      reply.payload, [&result](proto::ProcReply::Reader answer) {
        if (!answer.isTasks()) return absl::InvalidArgumentError("not a list of tasks");
        result.error = CheckedErrno(answer.getTasks().getError());
        for (int32_t tid : answer.getTasks().getTids()) result.tids.push_back(tid);
        return absl::OkStatus();
      });
  if (status.ok()) return result;
  snapshots_.CountBadReply(node, status);
  return {.error = EIO, .tids = {}};
}

proc::SignalOutcome ProcService::Signal(int32_t gpid, int signal, uint64_t start_ticks, uid_t uid) {
  using proc::SignalOutcome;
  if (gpid <= procview::kLocalPidMask) return SignalOutcome::kNoSuchProcess;
  const uint16_t node = procview::NodeOfGlobalPid(gpid);
  const procview::ProcessSignal wanted = {
      .pid = procview::LocalPid(gpid), .signal = signal, .start_ticks = start_ticks, .uid = uid};
  if (node == self_) return OutcomeOf(SendSignal(reader_, wanted));
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<proto::ProcRequest>().initSignal();
  request.setPid(wanted.pid);
  request.setSignal(wanted.signal);
  request.setStartTicks(wanted.start_ticks);
  request.setUid(wanted.uid);
  const Answer reply = CallAndWait(node, Asked::kSignal, proto::WriteMessage(message));
  switch (reply.outcome) {
    case Outcome::kOk:
      break;
    case Outcome::kNoSuchPeer:
      return SignalOutcome::kNoSuchProcess;
    case Outcome::kUnknown:
    case Outcome::kDeadline:
      return SignalOutcome::kUnknown;
    default:  // not sent, or turned away before anything was done
      return SignalOutcome::kUnreachable;
  }
  SignalOutcome outcome = SignalOutcome::kUnknown;
  absl::Status status = proto::ReadMessage<proto::ProcReply>(
      reply.payload, [&outcome](proto::ProcReply::Reader answer) {
        if (!answer.isSignal()) return absl::InvalidArgumentError("not about a signal");
        outcome = OutcomeOf(answer.getSignal().getError());
        return absl::OkStatus();
      });
  if (!status.ok()) snapshots_.CountBadReply(node, status);
  return outcome;
}

}  // namespace clustix::daemon
