// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_server.h"

#include <capnp/message.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/msg/ports.h"
#include "lib/proc/snapshot_codec.h"
#include "proto/message.h"

namespace clustix::daemon {
namespace {

// How long a file may be kept from its reader for the sake of those that he may want next.
constexpr std::chrono::milliseconds kReadAheadMax{30};

capnp::Data::Reader ToData(const std::string& text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

std::vector<std::byte> EncodeFile(const procview::FileResult& file,
                                  const std::vector<procview::ProcReader::NextFile>& next) {
  capnp::MallocMessageBuilder message;
  proto::FileReply::Builder reply = message.initRoot<proto::ProcReply>().initFile();
  reply.setError(file.error);
  reply.setContent(ToData(file.text));
  auto list = reply.initNext(static_cast<unsigned>(next.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setPid(next[i].pid);
    list[i].setError(next[i].file.error);
    list[i].setContent(ToData(next[i].file.text));
  }
  return proto::WriteMessage(message);
}

std::vector<std::byte> EncodeTasks(const procview::TaskList& tasks) {
  size_t count = std::min<size_t>(tasks.tids.size(), proto::TASK_LIST_MAX);
  capnp::MallocMessageBuilder message;
  proto::TasksReply::Builder reply = message.initRoot<proto::ProcReply>().initTasks();
  reply.setError(tasks.error);
  auto tids = reply.initTids(static_cast<unsigned>(count));
  for (unsigned i = 0; i < count; ++i) tids.set(i, tasks.tids[i]);
  return proto::WriteMessage(message);
}

}  // namespace

ProcServer::ProcServer(io::Loop& loop, Messenger& messenger, LocalProc& local,
                       const procview::ProcReader& reader, ProcWatch& watch, WorkerPool& workers,
                       FileReaders& readers)
    : loop_(loop),
      messenger_(&messenger),
      local_(local),
      reader_(reader),
      watch_(watch),
      workers_(workers),
      readers_(readers) {
  messenger.Handle(msg::kPortProc, [this](const Incoming& incoming) { OnRequest(incoming); });
}

void ProcServer::Stop() {
  if (messenger_ == nullptr) return;
  messenger_->Handle(msg::kPortProc, nullptr);
  messenger_ = nullptr;
}

void ProcServer::OnRequest(const Incoming& incoming) {
  Caller caller{incoming.from, incoming.lane, incoming.request};
  absl::Status status = absl::InvalidArgumentError("not a call");
  if (incoming.wants_reply && incoming.payload.size() <= proto::PROC_REQUEST_BYTES_MAX) {
    status = proto::ReadMessage<proto::ProcRequest>(
        incoming.payload,
        [&](proto::ProcRequest::Reader request) { return Dispatch(caller, request); });
  }
  if (status.ok()) return;
  ++bad_requests_;
  base::Log(base::LogLevel::kDebug, "proc", "bad request",
            {{"peer", incoming.from}, {"error", status}});
  if (incoming.wants_reply) Answer(caller, EBADMSG, {});
}

absl::Status ProcServer::Dispatch(const Caller& caller, proto::ProcRequest::Reader request) {
  switch (request.which()) {
    case proto::ProcRequest::SNAPSHOT: {
      proto::SnapshotRequest::Reader snapshot = request.getSnapshot();
      const uint32_t lease_ms = std::min<uint32_t>(snapshot.getLeaseMs(), proto::LEASE_MS_MAX);
      if (lease_ms > 0) watch_.Renew(caller.node, std::chrono::milliseconds(lease_ms));
      ServeSnapshot(caller, snapshot.getAfterPid(), snapshot.getMaxAgeMs());
      return absl::OkStatus();
    }
    case proto::ProcRequest::READ_FILE: {
      proto::FileRequest::Reader file = request.getReadFile();
      ServeFile(caller,
                {.pid = file.getPid(),
                 .tid = file.getTid(),
                 .name = file.getName().cStr(),
                 .asker = {.uid = file.getUid(), .gid = file.getGid()},
                 .also_next = std::min<uint32_t>(file.getAlsoNext(), proto::FILE_NEXT_MAX)});
      return absl::OkStatus();
    }
    case proto::ProcRequest::LIST_TASKS:
      ServeTasks(caller, request.getListTasks().getPid());
      return absl::OkStatus();
    case proto::ProcRequest::SIGNAL: {
      proto::SignalRequest::Reader signal = request.getSignal();
      ServeSignal(caller, {.pid = signal.getPid(),
                           .signal = signal.getSignal(),
                           .start_ticks = signal.getStartTicks(),
                           .uid = signal.getUid()});
      return absl::OkStatus();
    }
    case proto::ProcRequest::NODE_FILE:
      ServeNodeFile(caller, request.getNodeFile().cStr());
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("an unknown request");
}

void ProcServer::ServeSnapshot(const Caller& caller, int32_t after_pid, uint32_t max_age_ms) {
  local_.Get(std::chrono::milliseconds(max_age_ms),
             [this, caller, after_pid](const absl::StatusOr<LocalProc::Collected>& collected) {
               if (!collected.ok()) return TurnAway(caller);
               // On the collecting thread, or on the loop's if there was one young enough.
               Submit(caller, [snapshot = collected->snapshot, after_pid] {
                 return EncodeSnapshotPage(*snapshot, after_pid);
               });
             });
}

void ProcServer::Tell(const std::vector<NodeId>& who, const proc::ProcessChanges& changes) {
  loop_.Post([this, who, message = proc::EncodeChanges(changes)] {
    for (NodeId peer : who) SendChanges(peer, message);
  });
}

// One at a time to each peer: who is slow gets less news, not a queue of them.
void ProcServer::SendChanges(NodeId peer, const std::vector<std::byte>& message) {
  if (messenger_ == nullptr) return;
  const auto [telling, is_first] = being_told_.try_emplace(peer, false);
  if (!is_first) {
    telling->second = true;
    return;
  }
  const Outcome outcome = messenger_->Send(peer, msg::kPortProcChanges, message, Lane::kControl,
                                           [this, peer](Outcome) { OnChangesSent(peer); });
  if (outcome != Outcome::kOk) being_told_.erase(telling);  // it will ask anew when it is back
}

void ProcServer::OnChangesSent(NodeId peer) {
  const auto telling = being_told_.find(peer);
  if (telling == being_told_.end()) return;
  const bool more = telling->second;
  being_told_.erase(telling);
  if (more)
    SendChanges(peer, proc::EncodeChanges({.taken_ns = 0, .changed = {}, .gone = {}, .all = true}));
}

void ProcServer::ServeFile(const Caller& caller, const WantedFile& wanted) {
  Work read = [this, wanted] {
    const auto until = std::chrono::steady_clock::now() + kReadAheadMax;
    const procview::FileResult file =
        reader_.ReadProcessFile(wanted.pid, wanted.tid, wanted.name, wanted.asker);
    std::vector<procview::ProcReader::NextFile> next;
    if (wanted.also_next > 0 && wanted.tid == 0) {
      next = reader_.ReadNextProcessFiles(wanted.pid, wanted.also_next, proto::FILE_NEXT_BYTES_MAX,
                                          wanted.name, wanted.asker, until);
    }
    return EncodeFile(file, next);
  };
  if (!procview::MayKeepWaiting(wanted.name)) return Submit(caller, std::move(read));
  // The loop's thread does not even look whose process it is.
  const bool taken = workers_.Submit([this, caller, pid = wanted.pid, read = std::move(read)] {
    SubmitSlow(caller, reader_.OwnerOf(pid), read);
  });
  if (!taken) TurnAway(caller);
}

void ProcServer::ServeNodeFile(const Caller& caller, std::string path) {
  SubmitSlow(caller, kOfNobody,
             [this, path = std::move(path)] { return EncodeFile(reader_.ReadNodeFile(path), {}); });
}

void ProcServer::ServeTasks(const Caller& caller, int32_t pid) {
  Submit(caller, [this, pid] { return EncodeTasks(reader_.ListTasks(pid)); });
}

void ProcServer::ServeSignal(const Caller& caller, const procview::ProcessSignal& signal) {
  Submit(caller, [this, signal] {
    capnp::MallocMessageBuilder message;
    message.initRoot<proto::ProcReply>().initSignal().setError(SendSignal(reader_, signal));
    return proto::WriteMessage(message);
  });
}

void ProcServer::Submit(const Caller& caller, Work work) {
  const bool taken =
      workers_.Submit([this, caller, work = std::move(work)] { Answer(caller, 0, work()); });
  if (!taken) TurnAway(caller);
}

void ProcServer::SubmitSlow(const Caller& caller, uid_t owner, Work work) {
  const bool taken = readers_.Submit(owner, [this, caller, work = std::move(work)](bool in_time) {
    in_time ? Answer(caller, 0, work()) : TurnAway(caller);
  });
  if (!taken) TurnAway(caller);
}

void ProcServer::TurnAway(const Caller& caller) {
  ++turned_away_;
  Answer(caller, EBUSY, {});
}

void ProcServer::Answer(const Caller& caller, uint16_t status, std::vector<std::byte> payload) {
  loop_.Post([this, caller, status, payload = std::move(payload)] {
    if (messenger_ == nullptr) return;
    Outcome outcome = messenger_->Answer(caller.node, caller.lane, caller.request, status, payload);
    if (outcome == Outcome::kTooLarge) {
      messenger_->Answer(caller.node, caller.lane, caller.request, EMSGSIZE, {});
    }
  });
}

}  // namespace clustix::daemon
