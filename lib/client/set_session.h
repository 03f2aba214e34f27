// SPDX-License-Identifier: Apache-2.0
//
// This program's session with its daemon: the connection, the memory, the requests of its threads,
// what is lent to it, and the thread of its watchers. Any thread.
#ifndef CLUSTIX_LIB_CLIENT_SET_SESSION_H_
#define CLUSTIX_LIB_CLIENT_SET_SESSION_H_

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "clustix/sets.h"
#include "lib/base/mutex.h"
#include "lib/cache/borrower.h"
#include "lib/cache/set_view.h"
#include "lib/client/client_memory.h"
#include "lib/client/exchange.h"
#include "lib/client/set_connection.h"

namespace clustix::client {

// The objects that are lent to this program. Its lock is a word: it is held for some ten
// nanoseconds, and never while anything is waited for.
class Loans {
 public:
  explicit Loans(ClientMemory* memory) : borrower_(&memory->node(), &memory->region()) {}
  cache::GrabResult Grab(uint32_t set, uint64_t object, cache::Grabbed* grabbed);
  // `word` is a reply's argument. False: it is no ticket.
  bool Accept(uint32_t set, uint64_t object, uint64_t word);

 private:
  void Lock();
  void Unlock() { locked_.store(false, std::memory_order_release); }

  std::atomic<bool> locked_{false};
  std::atomic<bool> any_{false};  // there was one, ever
  cache::Borrower borrower_;
};

// So many places of the ring may be for watches.
inline constexpr size_t kWatchersMax = 128;
static_assert(kWatchersMax < kWaitingMax);

// The requests, and the memory that they need.
struct Line {
  explicit Line(std::shared_ptr<ClientMemory> its_memory)
      : memory(std::move(its_memory)), exchange(&memory->region()) {}
  const std::shared_ptr<ClientMemory> memory;
  Exchange exchange;
};

}  // namespace clustix::client

namespace clustix {

class SetSession {
 public:
  static Result<std::shared_ptr<SetSession>> Connect(const ClientOptions& options);
  ~SetSession();
  SetSession(const SetSession&) = delete;
  SetSession& operator=(const SetSession&) = delete;

  // Asks the daemon on its socket; one thread at a time does.
  template <typename Question>
  auto Ask(Question question) {
    const base::MutexLock lock(connection_mutex_);
    auto answer = question(connection_);
    // What the daemon holds for this program ends with the connection.
    if (!connection_.usable()) line_->exchange.Close();
    return answer;
  }

  client::ClientMemory& memory() { return *line_->memory; }
  client::Exchange& exchange() { return line_->exchange; }
  const std::shared_ptr<client::Line>& line() const { return line_; }
  client::Loans& loans() { return loans_; }
  uint16_t node() const { return node_; }
  const std::vector<uint16_t>& members() const { return members_; }

  // One Watcher of each range, and kWatchersMax in all. The first starts the thread.
  std::optional<Error> AddWatch(uint32_t set, ObjectId first, ObjectId last);
  void RemoveWatch(uint32_t set, ObjectId first, ObjectId last);

 private:
  SetSession(client::SetConnection connection, std::shared_ptr<client::Line> line, uint16_t node,
             std::vector<uint16_t> members)
      : line_(std::move(line)),
        loans_(line_->memory.get()),
        node_(node),
        members_(std::move(members)),
        connection_(std::move(connection)) {}

  const std::shared_ptr<client::Line> line_;
  client::Loans loans_;
  const uint16_t node_;
  const std::vector<uint16_t> members_;
  base::Mutex connection_mutex_;
  client::SetConnection connection_ ABSL_GUARDED_BY(connection_mutex_);
  base::Mutex watch_mutex_;
  std::set<std::tuple<uint32_t, ObjectId, ObjectId>> watched_ ABSL_GUARDED_BY(watch_mutex_);
  std::thread watch_thread_ ABSL_GUARDED_BY(watch_mutex_);
};

// An open set.
class SetHandle {
 public:
  static Result<std::shared_ptr<SetHandle>> Open(const std::shared_ptr<SetSession>& session,
                                                 const std::string& name,
                                                 const SetOptions& options);
  ~SetHandle();
  SetHandle(const SetHandle&) = delete;
  SetHandle& operator=(const SetHandle&) = delete;

  // True: it was cached, and `guard`, which was empty, has it. Nobody is asked. Nothing is cached
  // any more when the session has ended.
  bool Pin(ObjectId id, ReadGuard* guard);
  cache::Lookup Copy(ObjectId id, std::span<std::byte> to, cache::ObjectInfo* info);
  // By asking: kGet or kFind.
  void Fetch(ObjectId id, client::SetRequestKind kind, const client::Patience& patience,
             ReadGuard* guard);
  // Reads what is lent to this program.
  bool ReadLoan(ObjectId id, ReadGuard* guard);
  // Asks; `value` may be empty. What the reply lends is accepted.
  client::Call Run(client::SetRequestKind kind, ObjectId id, std::span<const std::byte> value,
                   uint64_t argument, uint64_t object_version, const client::Patience& patience);

  SetSession& session() { return *session_; }
  const std::string& name() const { return name_; }
  const client::OpenedSet& opened() const { return opened_; }
  uint32_t number() const { return opened_.handle; }
  bool may_write() const { return may_write_; }

 private:
  SetHandle(std::shared_ptr<SetSession> session, std::string name, client::OpenedSet opened,
            std::unique_ptr<cache::SetView> view, bool may_write)
      : session_(std::move(session)),
        memory_(&session_->memory()),
        exchange_(&session_->exchange()),
        view_(std::move(view)),
        name_(std::move(name)),
        opened_(std::move(opened)),
        may_write_(may_write) {}

  // Of what has just been found.
  bool Stands() const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return exchange_->alive();
  }

  const std::shared_ptr<SetSession> session_;
  client::ClientMemory* const memory_;
  const client::Exchange* const exchange_;
  const std::unique_ptr<cache::SetView> view_;
  const std::string name_;
  const client::OpenedSet opened_;
  const bool may_write_;
};

}  // namespace clustix

#endif  // CLUSTIX_LIB_CLIENT_SET_SESSION_H_
