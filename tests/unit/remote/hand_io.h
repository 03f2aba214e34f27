// SPDX-License-Identifier: Apache-2.0
//
// Connections whose other ends are in the hands of the test, and a loop that turns when it says so.
// What is written is taken at once. One thread.
#ifndef CLUSTIX_TESTS_UNIT_REMOTE_HAND_IO_H_
#define CLUSTIX_TESTS_UNIT_REMOTE_HAND_IO_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/io/io.h"

namespace clustix {

class HandIo final : public io::Io, private io::Loop {
 public:
  // --- what the other ends do; each is followed by turns until there is nothing to do

  // Connects to the listener. 0: it was turned away.
  io::StreamId Come(uid_t uid) {
    const io::StreamId id = ++last_id_;
    streams_[id].uid = uid;
    streams_[id].handler = listener_->OnAccept(id, "");
    if (streams_[id].handler == nullptr) {
      streams_.erase(id);
      return 0;
    }
    Turn();
    return id;
  }
  // Takes the connection that was made last.
  io::StreamId Take() {
    streams_.at(last_id_).handler->OnConnected(0);
    Turn();
    return last_id_;
  }
  void Say(io::StreamId id, std::span<const std::byte> bytes) {
    streams_.at(id).handler->OnData(bytes);
    Turn();
  }
  // What it said last and its end arrive in one turn.
  void SayAndGo(io::StreamId id, std::span<const std::byte> bytes) {
    io::StreamHandler* handler = streams_.at(id).handler;
    if (!bytes.empty()) handler->OnData(bytes);
    streams_.erase(id);
    handler->OnClosed(0);
    Turn();
  }
  // What was written to it since it was last asked; also after the end.
  std::vector<std::byte> TakeWritten(io::StreamId id) { return std::exchange(written_[id], {}); }
  bool IsOpen(io::StreamId id) const { return streams_.contains(id); }
  bool IsPaused(io::StreamId id) const { return streams_.at(id).paused; }

  // --- the loop

  void Turn() {
    while (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  void Pass(io::TimeNs time) {
    now_ += time;
    const auto is_due = [this](const auto& timer) { return timer.second.first <= now_; };
    for (auto due = timers_.begin();
         (due = std::find_if(timers_.begin(), timers_.end(), is_due)) != timers_.end();) {
      const std::function<void()> task = std::move(due->second.second);
      timers_.erase(due);
      task();
    }
    Turn();
  }

  // --- Io

  io::Loop& loop() override { return *this; }
  absl::StatusOr<io::ListenerId> Listen(const std::string&, const io::StreamOptions&,
                                        io::ListenHandler* handler) override {
    listener_ = handler;
    return io::ListenerId{1};
  }
  std::string LocalAddress(io::ListenerId) const override { return ""; }
  void CloseListener(io::ListenerId) override { listener_ = nullptr; }
  absl::StatusOr<io::StreamId> Connect(const std::string&, const std::string&,
                                       const io::StreamOptions&,
                                       io::StreamHandler* handler) override {
    streams_[++last_id_].handler = handler;
    return last_id_;
  }
  void Send(io::StreamId id, std::span<const iovec> vecs) override {
    if (!streams_.contains(id)) return;
    size_t bytes = 0;
    for (const iovec& vec : vecs) {
      const auto* from = static_cast<const std::byte*>(vec.iov_base);
      written_[id].insert(written_[id].end(), from, from + vec.iov_len);
      bytes += vec.iov_len;
    }
    Post([this, id, bytes] {
      if (IsOpen(id)) streams_.at(id).handler->OnSent(bytes, 0);
    });
  }
  void PauseReceive(io::StreamId id) override { SetPaused(id, true); }
  void ResumeReceive(io::StreamId id) override { SetPaused(id, false); }
  void Close(io::StreamId id) override {
    auto stream = streams_.extract(id);
    if (stream) Post([handler = stream.mapped().handler] { handler->OnClosed(0); });
  }
  absl::StatusOr<ucred> PeerCredentials(io::StreamId id) override {
    return ucred{.pid = 1, .uid = streams_.at(id).uid, .gid = 0};
  }

 private:
  struct Stream {
    io::StreamHandler* handler = nullptr;
    uid_t uid = 0;
    bool paused = false;
  };

  void SetPaused(io::StreamId id, bool paused) {
    if (IsOpen(id)) streams_.at(id).paused = paused;
  }

  io::TimeNs Now() const override { return now_; }
  void Post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  io::TimerId RunAt(io::TimeNs when, std::function<void()> task) override {
    timers_[++last_timer_] = {when, std::move(task)};
    return last_timer_;
  }
  bool Cancel(io::TimerId timer) override { return timers_.erase(timer) != 0; }
  void AtEndOfTurn(std::function<void()> task) override { Post(std::move(task)); }

  io::ListenHandler* listener_ = nullptr;
  std::map<io::StreamId, Stream> streams_;
  std::map<io::StreamId, std::vector<std::byte>> written_;
  io::StreamId last_id_ = 0;
  std::deque<std::function<void()>> tasks_;
  std::map<io::TimerId, std::pair<io::TimeNs, std::function<void()>>> timers_;
  io::TimerId last_timer_ = 0;
  io::TimeNs now_ = 1;
};

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_REMOTE_HAND_IO_H_
