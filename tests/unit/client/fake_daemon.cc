// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/fake_daemon.h"

#include <capnp/message.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "proto/message.h"

namespace clustix::client {
namespace {

constexpr uint64_t kHourNs = uint64_t{3600} * 1'000'000'000;

std::vector<std::byte> Message(const std::function<void(proto::SetsReply::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<proto::SetsReply>());
  return proto::WriteMessage(message);
}

std::vector<std::byte> ErrorMessage(proto::SetsError::Kind kind, const char* text) {
  return Message([&](proto::SetsReply::Builder reply) {
    reply.initError().setKind(kind);
    reply.getError().setMessage(text);
  });
}

bool ReceiveAll(int socket, void* to, size_t bytes) {
  return recv(socket, to, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
}

void SendWithFds(int socket, const std::vector<std::byte>& bytes, const std::vector<int>& fds) {
  std::vector<std::byte> whole(4 + bytes.size());
  const auto length = static_cast<uint32_t>(bytes.size());
  std::memcpy(whole.data(), &length, 4);
  std::copy(bytes.begin(), bytes.end(), whole.begin() + 4);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 3)> control{};
  iovec data = {whole.data(), whole.size()};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  sendmsg(socket, &message, MSG_NOSIGNAL);
}

template <typename T>
T Value(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    abort();
  }
  return *std::move(value);
}

}  // namespace

FakeDaemon::FakeDaemon(Options options) : options_(std::move(options)) {
  std::string name = (std::filesystem::temp_directory_path() / "clustix-sets-XXXXXX").string();
  folder_ = mkdtemp(name.data());
  host_ = Value(cache::Host::Create());
  host_->lease().ExtendUntil(cache::MonotonicNs() + kHourNs);
  store_ = Value(host_->CreateSet("test", options_.arena_bytes));
  wake_ = base::UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  listener_ = base::UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  (folder_ + "/sets.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener_.get(), 64), 0);
  thread_ = std::thread([this] { Run(); });
}

void FakeDaemon::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
  for (Session& session : sessions_) Drop(session);
  listener_.Reset();
  std::filesystem::remove_all(folder_);
}

// Runs `task` on the daemon's thread and waits for it.
void FakeDaemon::Do(const std::function<void()>& task) {
  std::unique_lock lock(mutex_);
  bool done = false;
  tasks_.push_back([&] {
    task();
    const std::lock_guard again(mutex_);
    done = true;
    changed_.notify_all();
  });
  eventfd_write(wake_.get(), 1);
  changed_.wait(lock, [&] { return done; });
}

void FakeDaemon::SetRemote(uint64_t object, std::string_view value) {
  Do([&] {
    values_[object] = value;
    versions_[object] = next_version_++;
  });
}

void FakeDaemon::Change(uint64_t object, std::string_view value) {
  Do([&] { Commit(object, std::string(value)); });
}

void FakeDaemon::RevokeLease() {
  Do([&] { host_->lease().Revoke(); });
}

std::string FakeDaemon::ValueOf(uint64_t object) {
  std::string value;
  Do([&] {
    TakeLoanBack(object);
    value = values_[object];
  });
  return value;
}

uint64_t FakeDaemon::Holds() {
  uint64_t holds = 0;
  Do([&] { holds = holds_.size(); });
  return holds;
}

uint64_t FakeDaemon::Asked(SetRequestKind kind) {
  const std::lock_guard lock(mutex_);
  return asked_[kind];
}

void FakeDaemon::AwaitAsked(SetRequestKind kind, uint64_t count) {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(changed_.wait_until(lock, std::chrono::system_clock::now() + std::chrono::seconds(60),
                                  [&] { return asked_[kind] >= count; }));
}

void FakeDaemon::Run() {
  for (;;) {
    std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Session& session : sessions_) {
      fds.push_back({session.socket.get(), POLLIN, 0});
      fds.push_back(
          {session.region == nullptr ? -1 : session.region->bell().fd().get(), POLLIN, 0});
    }
    if (host_->PrepareToSleep()) poll(fds.data(), fds.size(), -1);
    host_->Awake();
    eventfd_t count;
    eventfd_read(wake_.get(), &count);
    std::deque<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) task();
    pollfd listener = {listener_.get(), POLLIN, 0};
    if (poll(&listener, 1, 0) > 0) {
      sessions_.emplace_back().socket =
          base::UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    for (Session& session : sessions_) {
      pollfd socket = {session.socket.get(), POLLIN, 0};
      if (session.socket.valid() && poll(&socket, 1, 0) > 0 && !Hear(session)) Drop(session);
      if (session.region != nullptr) {
        session.region->bell().Silence();
        Serve(session);
      }
    }
    Retry();
  }
}

void FakeDaemon::Drop(Session& session) {
  std::erase_if(waiting_, [&](const Waiting& one) { return one.session == &session; });
  std::erase_if(watching_, [&](const Waiting& one) { return one.session == &session; });
  std::erase_if(watched_,
                [&](const auto& entry) { return std::get<Session*>(entry.first) == &session; });
  for (auto loan = loans_.begin(); loan != loans_.end();) {
    if (loan->second.session != &session) {
      ++loan;
      continue;
    }
    const uint64_t object = loan->first;
    cache::ReturnedObject back = session.lender->Seize(loan->second.ticket);
    loan = loans_.erase(loan);
    Commit(object, std::string(reinterpret_cast<char*>(back.data.data()), back.data.size()));
  }
  session.socket.Reset();
  if (session.region != nullptr) host_->Detach(session.region);
  session.region = nullptr;
}

bool FakeDaemon::Hear(Session& session) {
  uint32_t length = 0;
  if (!ReceiveAll(session.socket.get(), &length, sizeof length)) return false;
  std::vector<std::byte> bytes(length);
  if (!ReceiveAll(session.socket.get(), bytes.data(), length)) return false;
  std::vector<int> fds;
  cache::Bell bell;
  std::vector<std::byte> answer;
  EXPECT_TRUE(
      proto::ReadMessage<proto::SetsRequest>(bytes, [&](proto::SetsRequest::Reader request) {
        if (options_.answer) answer = options_.answer(request);
        if (!answer.empty()) return absl::OkStatus();
        if (request.isAttach()) {
          session.region = Value(host_->Attach());
          session.lender = std::make_unique<cache::Lender>(session.region, host_->fence());
          bell = session.region->TakeClientBell();
          fds = {host_->node_fd_for_clients().get(), session.region->fd_for_client().get(),
                 bell.fd().get()};
        }
        answer = Answer(session, request, &fds);
        return absl::OkStatus();
      }).ok());
  fds.resize(fds.size() - std::min(fds.size(), options_.fds_left_out));
  if (answer.size() == 1) return true;  // silence
  SendWithFds(session.socket.get(), answer, fds);
  return true;
}

std::vector<std::byte> FakeDaemon::Answer(Session& session, proto::SetsRequest::Reader request,
                                          std::vector<int>* fds) {
  if (request.isAttach()) {
    return Message([](proto::SetsReply::Builder reply) {
      reply.initAttached().setNode(7);
      reply.getAttached().initMembers(1).set(0, 7);
    });
  }
  if (request.isOpen()) {
    const std::string name = request.getOpen().getName().cStr();
    if (name == "no/entry") return ErrorMessage(proto::SetsError::Kind::DENIED, "not for you");
    const bool is_there = sets_.contains(name);
    if (!is_there && !request.getOpen().getCreate()) {
      return ErrorMessage(proto::SetsError::Kind::NOT_FOUND, "there is no such set");
    }
    if (is_there && request.getOpen().getExclusive()) {
      return ErrorMessage(proto::SetsError::Kind::EXISTS, "it is there");
    }
    sets_.emplace(name, sets_.size() + 1);
    *fds = {store_->fd_for_clients().get()};
    return Message([&](proto::SetsReply::Builder reply) {
      reply.initOpened().setHandle(sets_[name]);
      reply.getOpened().setCreated(!is_there);
      reply.getOpened().setPolicy(request.getOpen().getPolicy());
    });
  }
  if (request.isList() || request.isStat()) {
    return Message([&](proto::SetsReply::Builder reply) {
      auto list = reply.initSets(static_cast<uint32_t>(sets_.size()));
      uint32_t next = 0;
      for (const auto& [name, handle] : sets_) {
        proto::SetInfo::Builder set = list[next++];
        set.setName(name.c_str());
        set.setSet(handle);
        set.getPolicy().setMode(0640);
        set.setObjects(values_.size());
        set.setClients(static_cast<uint32_t>(sessions_.size()));
        set.initCounters(1)[0].setName("gets_asked");
        set.getCounters()[0].setValue(3);
      }
    });
  }
  if (request.isHot()) {
    return Message([&](proto::SetsReply::Builder reply) {
      proto::HotObject::Builder hot = reply.initHot(1)[0];
      hot.setSet("test/set");
      hot.setObject(5);
      hot.setHome(7);
      hot.setTransfersPerSecond(2.5);
      hot.setWaiting(1);
    });
  }
  return Message([](proto::SetsReply::Builder reply) { reply.setDone(); });
}

void FakeDaemon::Serve(Session& session) {
  for (cache::Request request;;) {
    const cache::RingResult result = session.region->NextRequest(&request);
    EXPECT_NE(result, cache::RingResult::kBroken);
    if (result != cache::RingResult::kDone) return;
    {
      // Before the reply, after which it may be looked at. Whatever is asked of this thread comes
      // after the request in any case.
      const std::lock_guard lock(mutex_);
      ++asked_[static_cast<SetRequestKind>(request.kind)];
      changed_.notify_all();
    }
    Handle(session, request);
  }
}

void FakeDaemon::Reply(Session& session, const cache::Request& request, SetReplyStatus status,
                       uint64_t argument) {
  cache::Reply reply = {.cookie = request.cookie,
                        .status = static_cast<uint32_t>(status),
                        .object_version = versions_[request.object],
                        .argument = argument};
  if (options_.tamper && !options_.tamper(request, &reply)) return;
  EXPECT_EQ(session.region->Answer(reply), cache::RingResult::kDone);
}

void FakeDaemon::ReplyValue(Session& session, const cache::Request& request, uint64_t argument) {
  const std::string& value = values_[request.object];
  cache::Reply reply = {
      .cookie = request.cookie, .object_version = versions_[request.object], .argument = argument};
  if (value.size() <= request.staged_bytes) {
    std::memcpy(session.region->Staged(request), value.data(), value.size());
    reply.staged_bytes = static_cast<uint32_t>(value.size());
  }
  // What is not put is as good as one that has been taken from here again.
  const auto* bytes = reinterpret_cast<const std::byte*>(value.data());
  (void)store_->Put(request.object, reply.object_version, {bytes, value.size()});
  if (options_.tamper && !options_.tamper(request, &reply)) return;
  EXPECT_EQ(session.region->Answer(reply), cache::RingResult::kDone);
}

void FakeDaemon::Commit(uint64_t object, std::string value) {
  const uint64_t version = next_version_++;
  versions_[object] = version;
  const auto* bytes = reinterpret_cast<const std::byte*>(value.data());
  EXPECT_TRUE(store_->Put(object, version, {bytes, value.size()}).ok());
  values_[object] = std::move(value);
  TellWatchers(object);
}

void FakeDaemon::Commit(Session& session, const cache::Request& request) {
  const auto* staged = reinterpret_cast<const char*>(session.region->Staged(request));
  Commit(request.object, std::string(staged, request.staged_bytes));
  uint64_t lent = 0;
  if (options_.lend && request.staged_bytes <= cache::kLoanBytesMax) {
    const std::string& value = values_[request.object];
    if (const auto ticket = session.lender->Lend(versions_[request.object], Bytes(value))) {
      store_->Remove(request.object);
      loans_[request.object] = {&session, *ticket};
      lent = ticket->word();
    }
  }
  Reply(session, request, SetReplyStatus::kOk, lent);
}

// False: its borrower is just between grab and put.
bool FakeDaemon::TakeLoanBack(uint64_t object) {
  const auto loan = loans_.find(object);
  if (loan == loans_.end()) return true;
  std::optional<cache::ReturnedObject> back =
      loan->second.session->lender->Recall(loan->second.ticket);
  if (!back) return false;
  loans_.erase(loan);
  Commit(object, std::string(reinterpret_cast<char*>(back->data.data()), back->data.size()));
  return true;
}

bool FakeDaemon::Ready(Session&, const cache::Request& request) {
  return TakeLoanBack(request.object) && !holds_.contains(request.object);
}

void FakeDaemon::Handle(Session& session, const cache::Request& request) {
  const bool exists = values_.contains(request.object);
  const auto kind = static_cast<SetRequestKind>(request.kind);
  switch (kind) {
    case SetRequestKind::kCancel:
      Cancel(session, request.argument);
      return Reply(session, request, SetReplyStatus::kOk);
    case SetRequestKind::kWatch:
      return Watch(session, request);
    case SetRequestKind::kRelease:
      holds_.erase(request.object);
      return Reply(session, request, SetReplyStatus::kOk);
    case SetRequestKind::kPut:
      if (holds_[request.object] != request.argument) {
        return Reply(session, request, SetReplyStatus::kRevoked);
      }
      holds_.erase(request.object);
      return Commit(session, request);
    case SetRequestKind::kFind:
      return Reply(session, request, SetReplyStatus::kNotFound);
    case SetRequestKind::kSync:
    case SetRequestKind::kMigrate:
      return Reply(session, request, SetReplyStatus::kOk);
    default:
      break;
  }
  if (!Ready(session, request)) {
    waiting_.push_back({&session, request});
    return;
  }
  switch (kind) {
    case SetRequestKind::kSet:
      return Commit(session, request);
    case SetRequestKind::kTouch:
      return exists ? ReplyValue(session, request, 0) : Commit(session, request);
    case SetRequestKind::kRemove:
      values_.erase(request.object);
      store_->Remove(request.object);
      TellWatchers(request.object);
      return Reply(session, request, exists ? SetReplyStatus::kOk : SetReplyStatus::kNotFound);
    case SetRequestKind::kGrab:
      holds_[request.object] = next_hold_;
      if (exists) return ReplyValue(session, request, next_hold_++);
      return Reply(session, request, SetReplyStatus::kNotFound, next_hold_++);
    default:
      if (exists) return ReplyValue(session, request, values_[request.object].size());
      return Reply(session, request, SetReplyStatus::kNotFound);
  }
}

void FakeDaemon::Watch(Session& session, const cache::Request& request) {
  const auto [range, is_new] =
      watched_.insert_or_assign({&session, request.object, request.argument}, request.cookie);
  if (!is_new) return watching_.push_back({&session, request});
  const cache::Reply begun = {.cookie = request.cookie, .object_version = kAnyVersion};
  EXPECT_EQ(session.region->Answer(begun), cache::RingResult::kDone);
}

void FakeDaemon::Cancel(Session& session, uint64_t cookie) {
  std::erase_if(watched_, [&](const auto& entry) {
    return std::get<Session*>(entry.first) == &session && entry.second == cookie;
  });
  for (std::deque<Waiting>* queue : {&waiting_, &watching_}) {
    for (auto one = queue->begin(); one != queue->end(); ++one) {
      if (one->session != &session || one->request.cookie != cookie) continue;
      const cache::Request request = one->request;
      queue->erase(one);
      return Reply(session, request, SetReplyStatus::kCancelled);
    }
  }
}

void FakeDaemon::TellWatchers(uint64_t object) {
  const std::deque<Waiting> watching = std::exchange(watching_, {});
  for (const Waiting& one : watching) {
    if (object < one.request.object || object > one.request.argument) {
      watching_.push_back(one);
      continue;
    }
    const cache::Reply reply = {.cookie = one.request.cookie,
                                .object_version = values_.contains(object) ? versions_[object] : 0,
                                .argument = object};
    EXPECT_EQ(one.session->region->Answer(reply), cache::RingResult::kDone);
  }
}

void FakeDaemon::Retry() {
  const std::deque<Waiting> waiting = std::exchange(waiting_, {});
  for (const Waiting& one : waiting) Handle(*one.session, one.request);
}

}  // namespace clustix::client
