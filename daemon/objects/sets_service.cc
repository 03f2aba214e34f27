// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/sets_service.h"

#include <capnp/message.h>
#include <sys/stat.h>
#include <unistd.h>
extern "C" {  // which glibc 2.36 forgot
#include <sys/pidfd.h>
}

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/objects/linkers.h"
#include "daemon/objects/policy.h"
#include "daemon/objects/sets_connection.h"
#include "lib/base/log.h"
#include "lib/base/status.h"
#include "proto/message.h"

namespace clustix::daemon {
namespace {

constexpr mode_t kSocketMode = 0666;

// For whom room is kept that others cannot take.
bool IsOwn(uid_t uid) { return uid == 0 || uid == geteuid(); }

proto::SetsError::Kind KindOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
      return proto::SetsError::Kind::NOT_FOUND;
    case absl::StatusCode::kAlreadyExists:
      return proto::SetsError::Kind::EXISTS;
    case absl::StatusCode::kPermissionDenied:
      return proto::SetsError::Kind::DENIED;
    case absl::StatusCode::kResourceExhausted:
      return proto::SetsError::Kind::NO_SPACE;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return proto::SetsError::Kind::UNAVAILABLE;
    case absl::StatusCode::kUnknown:
      return proto::SetsError::Kind::UNKNOWN;
    default:
      return proto::SetsError::Kind::INVALID;
  }
}

// A pidfd of who connected; an invalid one if this PID namespace does not show it.
absl::StatusOr<base::UniqueFd> OpenProcess(pid_t pid) {
  if (pid == 0) return base::UniqueFd();
  base::UniqueFd process(pidfd_open(pid, 0));
  if (!process.valid()) return base::ErrnoStatus(errno, "cannot watch the program");
  return process;
}

absl::Status Denied(const SetDefinition& set, const char* what) {
  return absl::PermissionDeniedError(
      absl::StrCat("the set ", set.name, " of uid ", set.uid, " may not be ", what, " by you"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SetsService>> SetsService::Start(const Parts& parts,
                                                                const std::string& socket_path,
                                                                Hooks hooks) {
  std::unique_ptr<SetsService> service(new SetsService(parts, std::move(hooks)));
  ASSIGN_OR_RETURN(service->listener_,
                   parts.io.Listen("unix:" + socket_path, io::StreamOptions{}, service.get()));
  // Last: who waits for a daemon looks for this.
  if (chmod(socket_path.c_str(), kSocketMode) != 0) {
    absl::Status status = base::ErrnoStatus(errno, socket_path);
    parts.io.CloseListener(service->listener_);
    return status;
  }
  return service;
}

SetsService::SetsService(const Parts& parts, Hooks hooks)
    : parts_(parts), hooks_(std::move(hooks)) {}

SetsService::~SetsService() {
  for (auto& [stream, connection] : connections_) EndSession(*connection);
}

void SetsService::Stop(std::function<void()> closed) {
  if (stopped_) return;
  stopped_ = true;
  closed_ = std::move(closed);
  parts_.io.CloseListener(listener_);
  for (auto& [stream, connection] : connections_) {
    EndSession(*connection);
    connection->Close();
  }
  ReportIfClosed();
}

void SetsService::ReportIfClosed() {
  if (stopped_ && connections_.empty() && closed_) {
    parts_.io.loop().Post(std::exchange(closed_, nullptr));
  }
}

io::StreamHandler* SetsService::OnAccept(io::StreamId stream, const std::string&) {
  const absl::StatusOr<ucred> peer = parts_.io.PeerCredentials(stream);
  if (!peer.ok() || stopped_ || !HasRoomFor(peer->uid)) {
    ++counters_.turned_away;
    return nullptr;
  }
  auto connection = std::make_unique<SetsConnection>(
      *this, stream, SetUser{.uid = peer->uid, .gid = peer->gid}, peer->pid);
  io::StreamHandler* handler = connection.get();
  connections_.emplace(stream, std::move(connection));
  return handler;
}

bool SetsService::MayConnect(uid_t uid, size_t of_user, size_t of_all) {
  if (IsOwn(uid)) return of_all < kConnectionsMax;
  return of_user < kConnectionsPerUser && of_all < kConnectionsMax - kConnectionsKept;
}

bool SetsService::HasRoomFor(uid_t uid) const {
  const auto same =
      std::count_if(connections_.begin(), connections_.end(),
                    [uid](const auto& entry) { return entry.second->user().uid == uid; });
  return MayConnect(uid, static_cast<size_t>(same), connections_.size());
}

SetsConnection* SetsService::Find(io::StreamId stream) {
  const auto found = connections_.find(stream);
  return found == connections_.end() ? nullptr : found->second.get();
}

void SetsService::Forget(io::StreamId stream) {
  const auto found = connections_.find(stream);
  if (found == connections_.end()) return;
  EndSession(*found->second);
  connections_.erase(found);
  ReportIfClosed();
}

std::vector<std::byte> SetsService::Error(const absl::Status& status) {
  capnp::MallocMessageBuilder message;
  auto error = message.initRoot<proto::SetsReply>().initError();
  error.setKind(KindOf(status.code()));
  error.setMessage(std::string(base::ToStd(status.message())).c_str());
  return proto::WriteMessage(message);
}

void SetsService::Reply(io::StreamId stream, std::vector<std::byte> message) {
  if (SetsConnection* connection = Find(stream)) connection->Reply(std::move(message));
}

void SetsService::ReplyError(io::StreamId stream, const absl::Status& status) {
  const bool others = status.code() == absl::StatusCode::kUnavailable ||
                      status.code() == absl::StatusCode::kUnknown;
  if (!others) return Reply(stream, Error(status));
  Reply(stream,
        Error(absl::Status(status.code(), absl::StrCat(status.message(), " (object sets here: ",
                                                       parts_.driver.view().Explain(), ")"))));
}

absl::Status SetsService::Dispatch(SetsConnection& connection, std::span<const std::byte> request) {
  return proto::ReadMessage<proto::SetsRequest>(
      request, [this, &connection](proto::SetsRequest::Reader question) {
        switch (question.which()) {
          case proto::SetsRequest::ATTACH:
            Attach(connection);
            return absl::OkStatus();
          case proto::SetsRequest::OPEN:
            Open(connection, question.getOpen());
            return absl::OkStatus();
          case proto::SetsRequest::CLOSE:
            CloseSet(connection, question.getClose());
            return absl::OkStatus();
          case proto::SetsRequest::LIST:
            List(connection, proto::ToString(question.getList()));
            return absl::OkStatus();
          case proto::SetsRequest::STAT:
            Stat(connection, proto::ToString(question.getStat()));
            return absl::OkStatus();
          case proto::SetsRequest::REMOVE:
            Remove(connection, proto::ToString(question.getRemove()));
            return absl::OkStatus();
          case proto::SetsRequest::HOT:
            Hot(connection, proto::ToString(question.getHot()));
            return absl::OkStatus();
        }
        return absl::InvalidArgumentError("unknown request: the program is newer than the daemon");
      });
}

void SetsService::Attach(SetsConnection& connection) {
  const io::StreamId stream = connection.stream();
  if (connection.session() != nullptr) {
    return connection.Reply(Error(absl::InvalidArgumentError("attached already")));
  }
  absl::StatusOr<base::UniqueFd> process = OpenProcess(connection.pid());
  if (!process.ok()) return connection.Reply(Error(process.status()));
  const absl::StatusOr<cache::HostRegion*> region = parts_.host.Attach();
  if (!region.ok()) return connection.Reply(Error(region.status()));
  auto close = [this, stream] {
    if (SetsConnection* gone = Find(stream)) gone->Close();
  };
  auto broken = [this, close] {
    ++counters_.broken_regions;
    parts_.io.loop().Post(close);
  };
  auto answered = [this, stream] {
    parts_.io.loop().AtEndOfTurn([this, stream] {
      SetsConnection* told = Find(stream);
      if (told != nullptr && told->session() != nullptr) told->session()->Announce();
    });
  };
  connection.Attach(
      std::make_unique<ClientSession>(
          parts_.driver, parts_.store, parts_.loans, parts_.host, *region,
          watches_of_[connection.user().uid],
          ClientSession::Hooks{.broken = std::move(broken), .answered = std::move(answered)}),
      *std::move(process));
  // A child of its may have the socket still: it is no end of the connection.
  if (connection.process().valid()) parts_.io.WatchFd(connection.process().get(), close);
  parts_.io.WatchFd((*region)->bell().fd().get(), [this, stream] {
    SetsConnection* ringing = Find(stream);
    if (ringing == nullptr || ringing->session() == nullptr) return;
    if (!ringing->session()->region().bell().Silence()) return ringing->Close();
    ServeRing(stream);
  });
  hooks_.attached(++sessions_);
  capnp::MallocMessageBuilder message;
  auto attached = message.initRoot<proto::SetsReply>().initAttached();
  const ViewKeeper& view = parts_.driver.view();
  attached.setNode(parts_.driver.engine().self());
  attached.setEpoch(view.epoch());
  auto members = attached.initMembers(static_cast<unsigned>(view.nodes().size()));
  for (unsigned i = 0; i < members.size(); ++i) members.set(i, view.nodes()[i]);
  cache::Bell bell = (*region)->TakeClientBell();
  std::vector<int> fds = {parts_.host.node_fd_for_clients().get(), (*region)->fd_for_client().get(),
                          bell.fd().get()};
  connection.Reply(proto::WriteMessage(message), std::move(fds), std::move(bell));
}

void SetsService::ServeRing(io::StreamId stream) {
  SetsConnection* connection = Find(stream);
  if (connection == nullptr || connection->session() == nullptr) return;
  // One that asks without end must not keep the loop from the others.
  if (connection->session()->Serve()) {
    parts_.io.loop().Post([this, stream] { ServeRing(stream); });
  }
}

void SetsService::EndSession(SetsConnection& connection) {
  const std::unique_ptr<ClientSession> session = connection.TakeSession();
  if (session == nullptr) return;
  parts_.io.UnwatchFd(session->region().bell().fd().get());
  if (connection.process().valid()) parts_.io.UnwatchFd(connection.process().get());
  for (const uint32_t handle : session->handles()) LeaveSet(session->Close(handle));
  hooks_.attached(--sessions_);
}

void SetsService::Open(SetsConnection& connection, proto::OpenSet::Reader wanted) {
  const io::StreamId stream = connection.stream();
  if (connection.session() == nullptr) {
    return connection.Reply(Error(absl::InvalidArgumentError("attach first")));
  }
  const std::string name = proto::ToString(wanted.getName());
  if (absl::Status status = CheckSetName(name); !status.ok()) {
    return connection.Reply(Error(status));
  }
  const bool write = wanted.getWrite();
  auto found = [this, stream, write](absl::StatusOr<SetDefinition> set, bool created) {
    if (!set.ok()) return ReplyError(stream, set.status());
    Opened(stream, *set, created, write);
  };
  if (!wanted.getCreate()) {
    return parts_.table.Find(
        name, [found](absl::StatusOr<SetDefinition> set) { found(std::move(set), false); });
  }
  const absl::StatusOr<SetDefinition> policy =
      ReadPolicy(name, wanted.getPolicy(), parts_.driver.engine().self(), connection.user());
  if (!policy.ok()) return connection.Reply(Error(policy.status()));
  if (write && IsReadOnly(policy->linker))
    return connection.Reply(Error(Denied(*policy, "written")));
  parts_.table.Make(*policy, wanted.getExclusive(), found);
}

void SetsService::Opened(io::StreamId stream, const SetDefinition& set, bool created, bool write) {
  SetsConnection* connection = Find(stream);
  if (connection == nullptr || connection->session() == nullptr) return;
  const SetUser& user = connection->user();
  if (!MayUse(user, set, SetRight::kRead)) return connection->Reply(Error(Denied(set, "read")));
  if (write && (IsReadOnly(set.linker) || !MayUse(user, set, SetRight::kWrite))) {
    return connection->Reply(Error(Denied(set, "written")));
  }
  const uint64_t budget = parts_.store.budget_bytes();
  const uint64_t bytes = set.quota_bytes == 0 ? budget : std::min(budget, set.quota_bytes * 2);
  const absl::StatusOr<const base::UniqueFd*> arena = parts_.store.Share(set.id, set.name, bytes);
  if (!arena.ok()) return connection->Reply(Error(arena.status()));
  std::unique_ptr<OpenSet>& open = open_sets_[set.id];
  if (open == nullptr) open = std::make_unique<OpenSet>(OpenSet{.definition = set});
  ++open->clients;
  const uint32_t handle = connection->session()->Open(open.get(), write);
  if (handle == 0) {
    LeaveSet(open.get());
    return connection->Reply(
        Error(absl::ResourceExhaustedError("this program has too many sets open")));
  }
  capnp::MallocMessageBuilder message;
  auto opened = message.initRoot<proto::SetsReply>().initOpened();
  opened.setHandle(handle);
  opened.setSet(set.id);
  opened.setCreated(created);
  WritePolicy(set, opened.initPolicy());
  connection->Reply(proto::WriteMessage(message), {(*arena)->get()});
}

void SetsService::LeaveSet(OpenSet* set) {
  if (set == nullptr || --set->clients > 0) return;
  const kddm::SetId id = set->definition.id;
  parts_.store.Unshare(id);
  open_sets_.erase(id);
}

void SetsService::CloseSet(SetsConnection& connection, uint32_t handle) {
  OpenSet* set = connection.session() == nullptr ? nullptr : connection.session()->Close(handle);
  if (set == nullptr) {
    return connection.Reply(Error(absl::NotFoundError("there is no set open by this handle")));
  }
  LeaveSet(set);
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::SetsReply>().setDone();
  connection.Reply(proto::WriteMessage(message));
}

// Of how many objects of each set this node keeps the directory. O(objects homed here).
SetsService::Homed SetsService::CountHomed() const {
  Homed homed;
  const auto& directory = parts_.driver.engine().home().directory().table();
  directory.Walk([&](uint32_t slot) { ++homed[directory.at(slot).key.set]; });
  return homed;
}

// Of so many objects that are homed here: their part of the whole.
uint64_t SetsService::DirectoryBytes(uint64_t objects) const {
  const auto& directory = parts_.driver.engine().home().directory().table();
  return directory.size() == 0 ? 0 : directory.memory_bytes() * objects / directory.size();
}

void SetsService::Describe(const SetDefinition& set, const Homed& homed,
                           proto::SetInfo::Builder to) const {
  to.setName(set.name.c_str());
  to.setSet(set.id);
  WritePolicy(set, to.initPolicy());
  to.setUid(set.uid);
  to.setGid(set.gid);
  to.setCreator(kddm::CreatorOf(set.id));
  const SharedStore::SetStats stats = parts_.store.StatsOf(set.id);
  to.setObjects(stats.objects);
  to.setReadable(stats.readable);
  to.setBytes(stats.bytes);
  if (const auto here = homed.find(set.id); here != homed.end()) to.setHomed(here->second);
  const auto found = open_sets_.find(set.id);
  const OpenSet open = found == open_sets_.end() ? OpenSet() : *found->second;
  to.setClients(open.clients);
  // What it takes of this node's memory.
  const uint64_t copies_bytes = stats.bytes + stats.objects * SharedStore::kObjectOverheadBytes;
  const std::pair<const char*, uint64_t> counters[] = {
      {"directory_bytes", DirectoryBytes(to.getHomed())},
      {"copies_bytes", copies_bytes},
      {"arena_bytes", stats.arena_bytes},
      {"gets_asked", open.gets},
      {"grabs_asked", open.grabs},
      {"writes_asked", open.writes},
      {"removals_asked", open.removals},
      {"requests_failed", open.failures},
      {"loans", open.loans},
      {"writes_lent", open.lent_writes}};
  auto list = to.initCounters(static_cast<unsigned>(std::size(counters)));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setName(counters[i].first);
    list[i].setValue(counters[i].second);
  }
}

void SetsService::List(SetsConnection& connection, const std::string& prefix) {
  parts_.table.List(prefix, [this,
                             stream = connection.stream()](absl::StatusOr<SetTable::Sets> sets) {
    if (!sets.ok()) return ReplyError(stream, sets.status());
    capnp::MallocMessageBuilder message;
    auto list = message.initRoot<proto::SetsReply>().initSets(static_cast<unsigned>(sets->size()));
    const Homed homed = CountHomed();
    for (unsigned i = 0; i < list.size(); ++i) Describe((*sets)[i], homed, list[i]);
    std::vector<std::byte> bytes = proto::WriteMessage(message);
    if (bytes.size() > proto::SETS_MESSAGE_BYTES_MAX) {
      bytes = Error(absl::ResourceExhaustedError(
          absl::StrCat(sets->size(), " sets do not fit into one reply: ask for a longer prefix")));
    }
    Reply(stream, std::move(bytes));
  });
}

void SetsService::Stat(SetsConnection& connection, const std::string& name) {
  parts_.table.Find(name, [this, stream = connection.stream()](absl::StatusOr<SetDefinition> set) {
    if (!set.ok()) return ReplyError(stream, set.status());
    capnp::MallocMessageBuilder message;
    Describe(*set, CountHomed(), message.initRoot<proto::SetsReply>().initSets(1)[0]);
    Reply(stream, proto::WriteMessage(message));
  });
}

void SetsService::Remove(SetsConnection& connection, const std::string& name) {
  auto check = [user = connection.user()](const SetDefinition& set) {
    return MayChange(user, set) ? absl::OkStatus() : Denied(set, "removed");
  };
  parts_.table.Remove(name, check,
                      [this, stream = connection.stream()](absl::StatusOr<SetDefinition> set) {
                        if (!set.ok()) return ReplyError(stream, set.status());
                        hooks_.removed(*set);
                        capnp::MallocMessageBuilder message;
                        message.initRoot<proto::SetsReply>().setDone();
                        Reply(stream, proto::WriteMessage(message));
                      });
}

// Nodes know sets by their ids: the names come from the table.
void SetsService::Hot(SetsConnection& connection, const std::string& prefix) {
  parts_.table.List(
      prefix, [this, stream = connection.stream()](absl::StatusOr<SetTable::Sets> sets) {
        if (!sets.ok()) return ReplyError(stream, sets.status());
        parts_.hot.Ask([this, stream, sets = *std::move(sets)](
                           const std::vector<HotSurvey::Hot>& hot) { TellHot(stream, sets, hot); });
      });
}

void SetsService::TellHot(io::StreamId stream, const SetTable::Sets& sets,
                          const std::vector<HotSurvey::Hot>& hot) {
  std::map<kddm::SetId, const SetDefinition*> by_id;
  for (const SetDefinition& set : sets) by_id[set.id] = &set;
  std::vector<std::pair<const SetDefinition*, const HotSurvey::Hot*>> named;
  for (const HotSurvey::Hot& one : hot) {
    const auto set = by_id.find(one.key.set);
    if (set != by_id.end()) named.emplace_back(set->second, &one);
  }
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<proto::SetsReply>().initHot(static_cast<unsigned>(named.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    const auto [set, one] = named[i];
    list[i].setSet(set->name.c_str());
    list[i].setObject(one->key.object);
    list[i].setHome(one->home);
    list[i].setTransfersPerSecond(one->transfers_per_second);
    list[i].setWaiting(one->waiting);
  }
  Reply(stream, proto::WriteMessage(message));
}

void SetsService::MarkRemoved(kddm::SetId set) {
  if (const auto found = open_sets_.find(set); found != open_sets_.end()) {
    found->second->removed = true;
    for (const auto& [stream, connection] : connections_) {
      if (connection->session() != nullptr) connection->session()->OnSetRemoved(*found->second);
    }
  }
}

}  // namespace clustix::daemon
