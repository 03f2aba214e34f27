// SPDX-License-Identifier: Apache-2.0
//
// A daemon of object sets on a thread of this process: the real cache behind the real socket, and
// instead of a cluster a map of objects that "other nodes" have. Tests steer it: it holds replies
// back, says what is wrong, lends, and dies.
#ifndef CLUSTIX_TESTS_UNIT_CLIENT_FAKE_DAEMON_H_
#define CLUSTIX_TESTS_UNIT_CLIENT_FAKE_DAEMON_H_

#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "clustix/sets.h"
#include "lib/cache/host.h"
#include "lib/cache/lender.h"
#include "lib/client/set_requests.h"
#include "proto/sets.capnp.h"

namespace clustix::client {

// The value of a Result that the test needs.
template <typename T>
T Must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    abort();
  }
  return *std::move(result);
}

inline std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string Text(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

class FakeDaemon {
 public:
  struct Options {
    bool lend = false;  // after each put of a small object
    size_t arena_bytes = 64 << 20;
    // May change a reply, or hold it back by returning false.
    std::function<bool(const cache::Request&, cache::Reply*)> tamper = {};
    // Instead of what the socket would answer.
    std::function<std::vector<std::byte>(proto::SetsRequest::Reader)> answer = {};
    size_t fds_left_out = 0;  // of `attached` and `opened`
  };
  FakeDaemon() : FakeDaemon(Options()) {}
  explicit FakeDaemon(Options options);
  ~FakeDaemon() { Stop(); }

  ClientOptions Socket() const { return {.socket = folder_ + "/clustixd.sock"}; }
  Client Connect() const { return Must(Client::Connect(Socket())); }

  // Ends it as kill -9 would. Its lease stays as it is.
  void Stop();
  // What another node has: nobody here can read it until it is asked for.
  void SetRemote(uint64_t object, std::string_view value);
  // Another node writes.
  void Change(uint64_t object, std::string_view value);
  void RevokeLease();
  // The value that everybody would agree on.
  std::string ValueOf(uint64_t object);
  // Requests of this kind that have come.
  uint64_t Asked(SetRequestKind kind);
  void AwaitAsked(SetRequestKind kind, uint64_t count);
  uint64_t Holds();

 private:
  struct Session {
    base::UniqueFd socket;
    cache::HostRegion* region = nullptr;
    std::unique_ptr<cache::Lender> lender;
  };
  struct Waiting {
    Session* session;
    cache::Request request;
  };
  struct Loan {
    Session* session;
    cache::LoanTicket ticket;
  };

  void Run();
  void Do(const std::function<void()>& task);
  bool Hear(Session& session);
  std::vector<std::byte> Answer(Session& session, proto::SetsRequest::Reader request,
                                std::vector<int>* fds);
  void Serve(Session& session);
  void Handle(Session& session, const cache::Request& request);
  void Reply(Session& session, const cache::Request& request, SetReplyStatus status,
             uint64_t argument = 0);
  void ReplyValue(Session& session, const cache::Request& request, uint64_t argument);
  bool Ready(Session& session, const cache::Request& request);
  void Commit(uint64_t object, std::string value);
  void Commit(Session& session, const cache::Request& request);
  bool TakeLoanBack(uint64_t object);
  void Watch(Session& session, const cache::Request& request);
  void Cancel(Session& session, uint64_t cookie);
  void TellWatchers(uint64_t object);
  void Retry();
  void Drop(Session& session);

  const Options options_;
  std::string folder_;
  std::unique_ptr<cache::Host> host_;
  std::unique_ptr<cache::ObjectStore> store_;
  base::UniqueFd listener_, wake_;
  std::deque<Session> sessions_;

  std::map<uint64_t, std::string> values_;
  std::map<uint64_t, uint64_t> versions_;
  std::map<uint64_t, uint64_t> holds_;  // object, hold
  std::map<uint64_t, Loan> loans_;
  std::deque<Waiting> waiting_;
  std::deque<Waiting> watching_;
  std::map<std::tuple<Session*, uint64_t, uint64_t>, uint64_t> watched_;  // ranges: last cookie
  std::map<std::string, uint32_t> sets_;
  uint64_t next_hold_ = 1;
  uint64_t next_version_ = 1;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<SetRequestKind, uint64_t> asked_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace clustix::client

#endif  // CLUSTIX_TESTS_UNIT_CLIENT_FAKE_DAEMON_H_
