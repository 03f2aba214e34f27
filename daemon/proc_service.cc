// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_service.h"

#include <capnp/message.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/msg/ports.h"
#include "lib/proc/snapshot_codec.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/process_signal.h"
#include "proto/message.h"
#include "proto/proc.capnp.h"

namespace clustix::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

uint64_t CountMs(steady_clock::duration duration) {
  return static_cast<uint64_t>(
      std::max<int64_t>(0, std::chrono::duration_cast<milliseconds>(duration).count()));
}

std::vector<std::byte> SnapshotRequest(int32_t after_pid, milliseconds max_age,
                                       milliseconds lease) {
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<proto::ProcRequest>().initSnapshot();
  request.setAfterPid(after_pid);
  request.setMaxAgeMs(static_cast<uint32_t>(max_age.count()));
  request.setLeaseMs(static_cast<uint32_t>(lease.count()));
  return proto::WriteMessage(message);
}

// Collecting takes a node at most this part of its time.
constexpr int kCollectingShare = 4;

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

milliseconds RefreshInterval(steady_clock::duration took, const ProcServiceOptions& options) {
  const auto wanted = std::chrono::ceil<milliseconds>(kCollectingShare * took);
  return std::clamp(
      wanted, options.refresh,
      std::max({options.refresh, options.refresh_max, std::chrono::ceil<milliseconds>(took)}));
}

ProcService::ProcService(io::Loop& loop, Messenger& messenger, const member::NodeTable& nodes,
                         LocalProc& local, const procview::ProcReader& reader, FileReaders& readers,
                         ProcServiceOptions options)
    : loop_(loop),
      messenger_(&messenger),
      local_(local),
      reader_(reader),
      readers_(readers),
      self_(nodes.self()),
      options_(options),
      read_ahead_(options.refresh) {
  for (const member::NodeEntry& entry : nodes.entries()) {
    Source source;
    source.node = entry.node;
    source.self = entry.self;
    source.state = entry.state;
    source.interval = options.refresh;
    sources_.push_back(std::move(source));
  }
  messenger.Handle(msg::kPortProcChanges, [this](const Incoming& news) { OnChanges(news); });
}

ProcService::~ProcService() = default;

void ProcService::OnPeerState(NodeId node, PeerState state) {
  const TimePoint now = options_.now();
  std::optional<size_t> newcomer;
  {
    base::MutexLock lock(mutex_);
    Source* source = FindSource(node);
    if (source == nullptr) return;
    source->state = state;
    if (state == PeerState::kUp) {
      source->responsive = true;
      source->asked = TimePoint();  // what is known of it may be old: ask the next time
      source->outdated = true;
      source->changes.Clear();
      if (!source->in_flight && !stopped_) {
        source->in_flight = source->unasked = true;
        source->asked = now;
        newcomer = static_cast<size_t>(source - sources_.data());
      }
    }
    built_ = nullptr;
  }
  changed_.notify_all();
  if (newcomer) StartRefresh(*newcomer, now);
}

void ProcService::Stop() {
  if (messenger_ != nullptr) messenger_->Handle(msg::kPortProcChanges, nullptr);
  messenger_ = nullptr;
  {
    base::MutexLock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

bool ProcService::KnowsNewcomers() const {
  base::MutexLock lock(mutex_);
  return std::none_of(sources_.begin(), sources_.end(), [](const Source& source) {
    return source.in_flight && source.snapshot == nullptr && source.state == PeerState::kUp;
  });
}

uint64_t ProcService::bad_replies() const {
  base::MutexLock lock(mutex_);
  return bad_replies_;
}

ProcService::Source* ProcService::FindSource(NodeId node) {
  auto at = std::find_if(sources_.begin(), sources_.end(),
                         [node](const Source& source) { return source.node.id == node; });
  return at == sources_.end() ? nullptr : &*at;
}

// --- snapshots ----------------------------------------------------------------------------------

std::shared_ptr<const proc::ClusterSnapshot> ProcService::Snapshot() {
  return Await(Patience::kFresh);
}

std::shared_ptr<const proc::ClusterSnapshot> ProcService::Recent() {
  return Await(Patience::kRecent);
}

std::shared_ptr<const proc::ClusterSnapshot> ProcService::Await(Patience patience) {
  const TimePoint entered = options_.now();
  const TimePoint patience_ends = steady_clock::now() + options_.deadline;
  for (;;) {
    std::vector<size_t> due;  // once more: of a node that came up anew under the question
    {
      base::MutexLock lock(mutex_);
      due = BeginRefresh(entered);
      if (due.empty()) {
        if (!MustWait(patience, entered)) return Build(options_.now());
        if (changed_.wait_until(mutex_, patience_ends) == std::cv_status::timeout) {
          GiveUpWaiting(entered);
          return Build(options_.now());
        }
      }
    }
    for (size_t source : due) StartRefresh(source, entered);
  }
}

void ProcService::Outdate() {
  const TimePoint now = options_.now();
  base::MutexLock lock(mutex_);
  for (Source& source : sources_) {
    const bool lately =
        now - source.asked < options_.shared_age ||
        (source.asked != TimePoint() && now - source.hurried < kCollectingShare * source.took);
    if (source.in_flight || lately) {
      source.demanded = source.asked;  // the answer to that will do
      continue;
    }
    source.asked = TimePoint();
    source.demanded = source.hurried = now;
    built_ = nullptr;
  }
}

std::vector<size_t> ProcService::BeginRefresh(TimePoint now) {
  std::vector<size_t> due;
  if (stopped_) return due;
  for (size_t i = 0; i < sources_.size(); ++i) {
    Source& source = sources_[i];
    if (source.in_flight || !source.Reachable()) continue;
    const bool wanted = source.asked == TimePoint() || (source.due && source.asked < now);
    const TimePoint last = std::max({source.asked, source.arrived, source.failed});
    if (!wanted && now - last < source.interval) continue;
    source.in_flight = true;
    if (std::exchange(source.due, false)) source.telling = false;  // not of everything
    source.asked = now;
    due.push_back(i);
  }
  return due;
}

void ProcService::StartRefresh(size_t index, TimePoint now) {
  auto fetch = std::make_shared<Fetch>();
  fetch->source = index;
  fetch->started = now;
  bool self;
  {
    base::MutexLock lock(mutex_);
    fetch->node = sources_[index].node.id;
    self = sources_[index].self;
    if (!sources_[index].unasked) fetch->lease = options_.lease;
  }
  if (!self) {
    fetch->partial.node = fetch->node;
    loop_.Post([this, fetch] { FetchPage(fetch); });
    return;
  }
  local_.Get(options_.shared_age, [this, index](const absl::StatusOr<LocalProc::Collected>& local) {
    if (local.ok()) {
      Finish(index, local->taken, local->snapshot);
    } else {
      Finish(index, TimePoint(), nullptr);
    }
  });
}

bool ProcService::MustWait(Patience patience, TimePoint now) const {
  if (stopped_) return false;
  return std::any_of(sources_.begin(), sources_.end(), [patience, now](const Source& source) {
    if (!source.in_flight || !source.Expected()) return false;
    const bool recent = source.snapshot != nullptr && !source.outdated &&
                        source.answered >= source.demanded &&
                        now - source.arrived < 2 * source.interval;
    return !recent || (patience == Patience::kFresh && !source.telling);
  });
}

void ProcService::GiveUpWaiting(TimePoint asked_before) {
  for (Source& source : sources_) {
    // One that was asked later has not used up its time.
    if (!source.in_flight || source.asked > asked_before) continue;
    source.responsive = source.unasked = false;
    built_ = nullptr;
  }
}

std::shared_ptr<const proc::ClusterSnapshot> ProcService::Build(TimePoint now) {
  // The same object for callers in quick succession, so that they can keep what they derive of it.
  if (built_ != nullptr && now - built_at_ < options_.refresh) return built_;
  auto cluster = std::make_shared<proc::ClusterSnapshot>();
  cluster->self = self_;
  for (Source& source : sources_) {
    source.snapshot = source.changes.Bring(std::move(source.snapshot));
    proc::NodeView view;
    view.node = source.node.id;
    view.name = source.node.name;
    view.address = source.node.address;
    view.state = source.self ? "self" : PeerStateName(source.state);
    view.stale = source.snapshot == nullptr || !source.Expected() || source.outdated;
    view.age_ms = source.snapshot == nullptr ? 0 : CountMs(now - source.taken);
    view.snapshot = source.snapshot;
    cluster->hides |= view.snapshot != nullptr && HidesSome(*view.snapshot);
    cluster->nodes.push_back(std::move(view));
  }
  built_ = std::move(cluster);
  built_at_ = now;
  return built_;
}

void ProcService::Finish(size_t index, TimePoint taken,
                         std::shared_ptr<const proc::NodeSnapshot> snapshot) {
  bool self;
  {
    base::MutexLock lock(mutex_);
    Source& source = sources_[index];
    self = source.self;
    source.in_flight = false;
    const bool unasked = std::exchange(source.unasked, false);
    const bool anew = source.asked == TimePoint();  // it has come up since it was asked
    if (snapshot == nullptr && (unasked || anew)) {
      source.asked = TimePoint();  // whoever does ask may wait for it
    } else {
      source.responsive = snapshot != nullptr;
    }
    if (snapshot == nullptr) {
      source.failed = options_.now();
      source.interval = std::max(options_.refresh, options_.refresh_max);
    } else {
      source.arrived = options_.now();
      source.telling = !source.self && !unasked;
      if (anew) {
        source.asked = source.arrived;
      } else {
        source.took = source.arrived - source.asked;
        source.interval = RefreshInterval(source.took, options_);
      }
      source.answered = source.asked;
      source.changes.Rebase(*snapshot);
      source.snapshot = std::move(snapshot);
      source.taken = taken;
      source.outdated = false;
    }
    built_ = nullptr;
  }
  changed_.notify_all();
  if (!self && on_answer_) on_answer_();  // this node's own answer comes on another thread
}

void ProcService::FetchPage(std::shared_ptr<Fetch> fetch) {
  if (messenger_ == nullptr) return Finish(fetch->source, TimePoint(), nullptr);
  milliseconds max_age = options_.shared_age;
  if (fetch->after_pid != 0) {  // what follows may come from the collection of the first page
    max_age += milliseconds(CountMs(options_.now() - fetch->started)) + options_.page_deadline;
  }
  const CallOptions call{
      .lane = Lane::kBulk, .timeout_ms = CountMs(options_.page_deadline), .epoch = 0};
  Outcome outcome = messenger_->Call(fetch->node, msg::kPortProc,
                                     SnapshotRequest(fetch->after_pid, max_age, fetch->lease), call,
                                     [this, fetch](const Reply& reply) { OnPage(fetch, reply); });
  if (outcome != Outcome::kOk) Finish(fetch->source, TimePoint(), nullptr);
}

void ProcService::OnPage(const std::shared_ptr<Fetch>& fetch, const Reply& reply) {
  if (reply.outcome != Outcome::kOk) return Finish(fetch->source, TimePoint(), nullptr);
  bool more = false;
  absl::Status status =
      proto::ReadMessage<proto::ProcReply>(reply.payload, [&](proto::ProcReply::Reader answer) {
        if (!answer.isSnapshot()) return absl::InvalidArgumentError("not a snapshot");
        more = answer.getSnapshot().getMore();
        return AppendSnapshotPage(answer.getSnapshot(), fetch->partial);
      });
  if (!status.ok()) {
    CountBadReply(fetch->node, status);
    return Finish(fetch->source, TimePoint(), nullptr);
  }
  if (more) {
    fetch->after_pid = fetch->partial.processes.back().pid;
    return FetchPage(fetch);
  }
  Finish(fetch->source, fetch->started - options_.shared_age,
         std::make_shared<const proc::NodeSnapshot>(std::move(fetch->partial)));
}

void ProcService::OnChanges(const Incoming& incoming) {
  absl::Status status = proto::ReadMessage<proto::ProcessChanges>(
      incoming.payload, [&](auto message) -> absl::Status {
        ASSIGN_OR_RETURN(proc::ProcessChanges changes, proc::DecodeChanges(message));
        base::MutexLock lock(mutex_);
        Source* source = FindSource(incoming.from);
        if (source == nullptr || source->self) return absl::OkStatus();
        if (!source->changes.Add(std::move(changes))) source->due = true;
        built_ = nullptr;
        return absl::OkStatus();
      });
  if (incoming.wants_reply) status = absl::InvalidArgumentError("news are no question");
  if (!status.ok()) CountBadReply(incoming.from, status);
}

// --- files, tasks and signals -------------------------------------------------------------------

std::shared_ptr<ProcService::PendingCall> ProcService::StartCall(NodeId node, Asked what,
                                                                 std::vector<std::byte> request) {
  auto call = std::make_shared<PendingCall>();  // outlives a caller that gave up
  call->deadline = steady_clock::now() + options_.deadline;
  {
    base::MutexLock lock(mutex_);
    Source* source = FindSource(node);
    const bool hopeful =
        source != nullptr && (what == Asked::kSignal ? source->Reachable() : source->Expected());
    if (stopped_ || !hopeful) {
      call->answer.outcome = source == nullptr ? Outcome::kNoSuchPeer : Outcome::kNotDelivered;
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
    CallOptions options{.lane = lane, .timeout_ms = CountMs(options_.deadline), .epoch = 0};
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
  CountBadReply(node, status);
  if (next != nullptr) next->clear();
  return {.error = EIO, .text = {}};
}

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
  CountBadReply(node, status);
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
  if (!status.ok()) CountBadReply(node, status);
  return outcome;
}

void ProcService::CountBadReply(NodeId node, const absl::Status& status) {
  {
    base::MutexLock lock(mutex_);
    ++bad_replies_;
  }
  base::Log(base::LogLevel::kDebug, "proc", "bad reply", {{"peer", node}, {"error", status}});
}

}  // namespace clustix::daemon
