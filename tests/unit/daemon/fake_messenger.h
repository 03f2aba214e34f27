// SPDX-License-Identifier: Apache-2.0
//
// A loop on a thread of its own and a messenger whose calls the test answers: what the proc
// services see of the world.
#ifndef CLUSTIX_TESTS_UNIT_DAEMON_FAKE_MESSENGER_H_
#define CLUSTIX_TESTS_UNIT_DAEMON_FAKE_MESSENGER_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "clustix/messenger.h"
#include "lib/io/io.h"

namespace clustix {

inline constexpr std::chrono::seconds kTestDeadline{30};  // nothing takes as long unless it hangs

class FakeLoop : public io::Loop {
 public:
  FakeLoop() : thread_([this] { Run(); }) {}
  ~FakeLoop() override {
    Post(nullptr);
    thread_.join();
  }

  io::TimeNs Now() const override { return 0; }
  void Post(std::function<void()> task) override {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    wake_.notify_one();
  }
  io::TimerId RunAt(io::TimeNs, std::function<void()>) override { return 0; }
  bool Cancel(io::TimerId) override { return false; }
  void AtEndOfTurn(std::function<void()> task) override { Post(std::move(task)); }

  // Runs `task` on the loop's thread and waits for it.
  void RunAndWait(std::function<void()> task) {
    std::promise<void> done;
    Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  void Run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !tasks_.empty(); });
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      if (task == nullptr) return;
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::thread thread_;
};

class FakeMessenger : public Messenger {
 public:
  struct Called {
    NodeId to;
    std::vector<std::byte> payload;
    ReplyCallback done;
  };
  struct Sent {
    NodeId to;
    Port port;
    std::vector<std::byte> payload;
    SentCallback done;    // for the test to say that the peer has accepted it
    size_t calls_before;  // how many had been made
  };
  struct Answered {
    NodeId to;
    uint64_t request;
    uint16_t status;
    std::vector<std::byte> payload;
  };

  NodeId self() const override { return 1; }
  size_t max_payload() const override { return 1 << 20; }
  std::string address() const override { return "127.0.0.1:7400"; }
  Outcome Send(NodeId to, Port port, Bytes payload, Lane, SentCallback done) override {
    if (refuse_sends) return *refuse_sends;
    std::lock_guard lock(mutex_);
    sends_.push_back({to, port, {payload.begin(), payload.end()}, std::move(done), call_count_});
    changed_.notify_all();
    return Outcome::kOk;
  }
  Outcome SendInPlace(NodeId, Port, Bytes, Lane, SentCallback) override {
    return Outcome::kNoSuchPeer;
  }
  Outcome Call(NodeId to, Port, Bytes payload, const CallOptions&, ReplyCallback done,
               CallId*) override {
    if (refuse_calls) return *refuse_calls;
    std::lock_guard lock(mutex_);
    calls_.push_back({to, {payload.begin(), payload.end()}, std::move(done)});
    ++call_count_;
    changed_.notify_all();
    return Outcome::kOk;
  }
  bool Cancel(const CallId&) override { return false; }
  Outcome Answer(NodeId to, Lane, uint64_t request, uint16_t status, Bytes payload) override {
    std::lock_guard lock(mutex_);
    answers_.push_back({to, request, status, {payload.begin(), payload.end()}});
    changed_.notify_all();
    return Outcome::kOk;
  }
  void Handle(Port port, Handler handler) override { handlers[port] = std::move(handler); }
  void OnEvent(EventCallback callback) override { on_event = std::move(callback); }
  void OnWritable(WritableCallback callback) override { on_writable = std::move(callback); }
  std::vector<PeerInfo> Peers() const override { return {}; }
  std::vector<MessengerCounter> Counters() const override { return {}; }

  // The next call that is made, or an empty one if none comes.
  Called TakeCall() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kTestDeadline, [this] { return !calls_.empty(); })) return {};
    Called call = std::move(calls_.front());
    calls_.pop_front();
    return call;
  }
  Sent TakeSent() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kTestDeadline, [this] { return !sends_.empty(); })) return {};
    Sent sent = std::move(sends_.front());
    sends_.pop_front();
    return sent;
  }
  Answered TakeAnswer() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kTestDeadline, [this] { return !answers_.empty(); })) return {};
    Answered answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  // Those that were sent since it was last asked.
  std::deque<Sent> TakeAllSent() {
    std::lock_guard lock(mutex_);
    return std::exchange(sends_, {});
  }
  std::deque<Called> TakeAllCalls() {
    std::lock_guard lock(mutex_);
    return std::exchange(calls_, {});
  }
  size_t call_count() {
    std::lock_guard lock(mutex_);
    return call_count_;
  }

  std::optional<Outcome> refuse_calls, refuse_sends;
  EventCallback on_event;  // that was registered last, as the next
  WritableCallback on_writable;
  std::map<Port, Handler> handlers;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Called> calls_;
  std::deque<Sent> sends_;
  std::deque<Answered> answers_;
  size_t call_count_ = 0;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_DAEMON_FAKE_MESSENGER_H_
