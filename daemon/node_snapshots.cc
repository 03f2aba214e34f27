// SPDX-License-Identifier: Apache-2.0
#include "daemon/node_snapshots.h"

#include <capnp/message.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/msg/ports.h"
#include "lib/proc/snapshot_codec.h"
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

}  // namespace

milliseconds RefreshInterval(steady_clock::duration took, const SnapshotOptions& options) {
  const auto wanted = std::chrono::ceil<milliseconds>(kCollectingShare * took);
  return std::clamp(
      wanted, options.refresh,
      std::max({options.refresh, options.refresh_max, std::chrono::ceil<milliseconds>(took)}));
}

NodeSnapshots::NodeSnapshots(io::Loop& loop, Messenger& messenger, const member::NodeTable& nodes,
                             LocalProc& local, FileReaders& readers, SnapshotOptions options)
    : loop_(loop),
      messenger_(&messenger),
      local_(local),
      readers_(readers),
      self_(nodes.self()),
      options_(options) {
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

void NodeSnapshots::OnPeerState(NodeId node, PeerState state) {
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

void NodeSnapshots::Stop() {
  if (messenger_ != nullptr) messenger_->Handle(msg::kPortProcChanges, nullptr);
  messenger_ = nullptr;
  {
    base::MutexLock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

bool NodeSnapshots::KnowsNewcomers() const {
  base::MutexLock lock(mutex_);
  return std::none_of(sources_.begin(), sources_.end(), [](const Source& source) {
    return source.in_flight && source.snapshot == nullptr && source.state == PeerState::kUp;
  });
}

uint64_t NodeSnapshots::bad_replies() const {
  base::MutexLock lock(mutex_);
  return bad_replies_;
}

NodeSnapshots::Source* NodeSnapshots::FindSource(NodeId node) {
  auto at = std::find_if(sources_.begin(), sources_.end(),
                         [node](const Source& source) { return source.node.id == node; });
  return at == sources_.end() ? nullptr : &*at;
}

NodeSnapshots::Hope NodeSnapshots::HopeOf(NodeId node) {
  base::MutexLock lock(mutex_);
  const Source* source = FindSource(node);
  if (source == nullptr) return Hope::kNotConfigured;
  if (!source->Reachable()) return Hope::kDown;
  return source->responsive ? Hope::kGood : Hope::kLate;
}

std::shared_ptr<const proc::ClusterSnapshot> NodeSnapshots::Await(Patience patience) {
  const TimePoint entered = options_.now();
  const TimePoint patience_ends = steady_clock::now() + options_.deadline;
  const bool knows_self = patience == Patience::kFresh && LookAtSelf(entered, patience_ends);
  for (;;) {
    std::vector<size_t> due;  // once more: of a node that came up anew under the question
    {
      base::MutexLock lock(mutex_);
      due = BeginRefresh(entered);
      if (due.empty()) {
        if (!MustWait(patience, knows_self, entered)) return Build(options_.now());
        if (changed_.wait_until(mutex_, patience_ends) == std::cv_status::timeout) {
          GiveUpWaiting(entered);
          return Build(options_.now());
        }
      }
    }
    for (size_t source : due) StartRefresh(source, entered);
  }
}

void NodeSnapshots::Outdate() {
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

std::vector<size_t> NodeSnapshots::BeginRefresh(TimePoint now) {
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

void NodeSnapshots::StartRefresh(size_t index, TimePoint now) {
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

bool NodeSnapshots::LookAtSelf(TimePoint entered, steady_clock::time_point patience_ends) {
  std::shared_ptr<const proc::NodeSnapshot> known;
  std::vector<int32_t> again;  // young ones: many become another program soon after their birth
  {
    base::MutexLock lock(mutex_);
    Source* self = FindSource(self_);
    if (stopped_ || self == nullptr || !self->Expected() || !self->Recent(entered)) return false;
    known = self->snapshot = self->changes.Bring(std::move(self->snapshot));
    again = self->changes.ChangedPids();
  }
  auto look = std::make_shared<Look>();
  const bool taken = readers_.Submit(kOfSeveral, [this, look, known, again](bool in_time) {
    if (!in_time) return;
    absl::StatusOr<proc::ProcessChanges> changes = local_.LookSince(*known, again);
    {
      base::MutexLock lock(mutex_);
      look->complete = NoteLook(std::move(changes));
      look->done = true;
    }
    changed_.notify_all();
  });
  base::MutexLock lock(mutex_);
  while (taken && !look->done && !stopped_) {
    if (changed_.wait_until(mutex_, patience_ends) == std::cv_status::timeout) break;
  }
  return look->complete;
}

bool NodeSnapshots::NoteLook(absl::StatusOr<proc::ProcessChanges> changes) {
  Source* self = FindSource(self_);
  if (!changes.ok()) return false;
  if (changes->taken_ns < self->looked_ns) return true;  // another one knows better
  self->looked_ns = changes->taken_ns;
  if (changes->empty()) return true;
  built_ = nullptr;
  if (self->changes.Add(*std::move(changes))) return true;
  self->due = true;
  return false;
}

bool NodeSnapshots::MustWait(Patience patience, bool knows_self, TimePoint now) const {
  if (stopped_) return false;
  const auto keeps_waiting = [=](const Source& source) {
    if (!source.in_flight || !source.Expected()) return false;
    const bool told = source.self ? knows_self : source.telling;
    return !source.Recent(now) || (patience == Patience::kFresh && !told);
  };
  return std::any_of(sources_.begin(), sources_.end(), keeps_waiting);
}

void NodeSnapshots::GiveUpWaiting(TimePoint asked_before) {
  for (Source& source : sources_) {
    // One that was asked later has not used up its time.
    if (!source.in_flight || source.asked > asked_before) continue;
    source.responsive = source.unasked = false;
    built_ = nullptr;
  }
}

std::shared_ptr<const proc::ClusterSnapshot> NodeSnapshots::Build(TimePoint now) {
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

void NodeSnapshots::Finish(size_t index, TimePoint taken,
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

void NodeSnapshots::FetchPage(std::shared_ptr<Fetch> fetch) {
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

void NodeSnapshots::OnPage(const std::shared_ptr<Fetch>& fetch, const Reply& reply) {
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

void NodeSnapshots::OnChanges(const Incoming& incoming) {
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

void NodeSnapshots::CountBadReply(NodeId node, const absl::Status& status) {
  {
    base::MutexLock lock(mutex_);
    ++bad_replies_;
  }
  base::Log(base::LogLevel::kDebug, "proc", "bad reply", {{"peer", node}, {"error", status}});
}

}  // namespace clustix::daemon
