// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"

namespace clustix::sim {

// A stream that the process knows; `connection` is what its kernel knows of it.
class SimIo::Stream final : public Socket {
 public:
  enum class State { kConnecting, kOpen, kEnding };

  Stream(SimIo& owner, io::StreamId id_in, io::StreamHandler* handler_in, int side_in,
         State state_in)
      : id(id_in), handler(handler_in), side(side_in), state(state_in), owner_(owner) {}

  void OnEstablished(int failed) override {
    if (failed != 0) {
      connection->Close(side);
      connection.reset();
    }
    connect_pending = true;
    owner_.CompleteLater({Kind::kConnected, id, 0, failed, nullptr});
  }
  void OnReadable() override { QueueRead(); }
  void OnRoom() override { owner_.TakeOutput(id); }
  void OnBroken(int broken) override {
    error = broken;
    if (state == State::kConnecting) {
      connection.reset();
      if (!connect_pending) {
        connect_pending = true;
        owner_.CompleteLater({Kind::kConnected, id, 0, broken, nullptr});
      }
      return;
    }
    if (sending && !send_done) {
      send_done = true;
      owner_.CompleteLater({Kind::kSent, id, 0, broken, nullptr});
    }
    QueueRead();  // what has arrived before may still be read
  }
  void QueueRead() {
    if (read_pending || paused || state != State::kOpen) return;
    read_pending = true;
    owner_.Complete({Kind::kReadable, id, 0, 0, nullptr});
  }

  const io::StreamId id;
  io::StreamHandler* handler;
  const int side;
  State state;
  std::shared_ptr<Connection> connection;
  int error = 0;
  bool connect_pending = false;
  bool read_pending = false;
  bool paused = false;
  uint32_t reads = 0;
  bool sending = false;    // a Send() has not been reported
  bool send_done = false;  // its completion is on the way
  std::vector<iovec> vecs;
  bool close_pending = false;

 private:
  SimIo& owner_;
};

class SimIo::Port final : public Listener {
 public:
  Port(SimIo& owner, io::ListenerId id, std::string address_in, io::ListenHandler* handler_in)
      : address(std::move(address_in)), handler(handler_in), owner_(owner), id_(id) {}
  void OnIncoming(std::shared_ptr<Connection> connection) override {
    owner_.CompleteLater({Kind::kAccept, id_, 0, 0, std::move(connection)});
  }

  const std::string address;
  io::ListenHandler* const handler;

 private:
  SimIo& owner_;
  const io::ListenerId id_;
};

SimIo::SimIo(Scheduler& scheduler, Network& network, HostId host, const IoProfile& profile,
             base::Prng prng, Trace& trace, std::function<void(const std::string&)> misuse)
    : scheduler_(scheduler),
      network_(network),
      host_(host),
      profile_(profile),
      prng_(prng),
      trace_(trace),
      misuse_(std::move(misuse)) {}

SimIo::~SimIo() {
  *alive_ = false;
  for (auto& [id, port] : listeners_) network_.StopListening(port->address);
  for (auto& [id, stream] : streams_) {
    if (stream->connection != nullptr) stream->connection->Abort(stream->side);
  }
}

absl::StatusOr<io::ListenerId> SimIo::Listen(const std::string& address,
                                             const io::StreamOptions& options,
                                             io::ListenHandler* handler) {
  const io::ListenerId id = next_id_++;
  auto port = std::make_unique<Port>(*this, id, address, handler);
  if (!network_.Listen(address, host_, port.get())) {
    return absl::AlreadyExistsError("address in use: " + address);
  }
  listeners_[id] = std::move(port);
  return id;
}

std::string SimIo::LocalAddress(io::ListenerId listener) const {
  auto found = listeners_.find(listener);
  return found == listeners_.end() ? std::string() : found->second->address;
}

void SimIo::CloseListener(io::ListenerId listener) {
  if (killed_) return;
  auto found = listeners_.find(listener);
  if (found == listeners_.end()) return misuse_("CloseListener of an unknown listener");
  network_.StopListening(found->second->address);
  listeners_.erase(found);
}

absl::StatusOr<io::StreamId> SimIo::Connect(const std::string& address,
                                            const std::string& bind_address,
                                            const io::StreamOptions& options,
                                            io::StreamHandler* handler) {
  if (killed_ || prng_.Chance(profile_.connect_refuse_ppm, 1'000'000)) {
    return absl::ResourceExhaustedError("no descriptors left");
  }
  const io::StreamId id = next_id_++;
  auto stream = std::make_unique<Stream>(*this, id, handler, 0, Stream::State::kConnecting);
  stream->connection =
      network_.Connect(host_, address, options.user_timeout_ms * kMs, stream.get());
  trace_.Note(host_, "connect", id, stream->connection->id());
  streams_[id] = std::move(stream);
  return id;
}

SimIo::Stream* SimIo::Find(io::StreamId id) {
  auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void SimIo::Send(io::StreamId id, std::span<const iovec> vecs) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->state == Stream::State::kEnding) return;
  if (stream->state == Stream::State::kConnecting) return misuse_("Send before OnConnected");
  if (stream->sending) return misuse_("two Send() in flight on one stream");
  if (vecs.empty() || vecs.size() > kMaxVecs) return misuse_("Send with 0 or too many stretches");
  stream->sending = true;
  stream->send_done = false;
  stream->vecs.assign(vecs.begin(), vecs.end());
  // The kernel looks at the bytes at some moment between the call and its completion.
  const TimeNs look = prng_.Chance(1, 2) ? 0 : prng_.Between(0, 50 * kUs);
  scheduler_.After(look, [this, alive = alive_, id] {
    if (*alive) TakeOutput(id);
  });
}

void SimIo::TakeOutput(io::StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->sending || stream->send_done) return;
  if (stream->error != 0 || stream->state != Stream::State::kOpen) {
    stream->send_done = true;
    const int error = stream->error != 0 ? stream->error : ECANCELED;
    return CompleteLater({Kind::kSent, id, 0, error, nullptr});
  }
  size_t wanted = 0;
  for (const iovec& vec : stream->vecs) wanted += vec.iov_len;
  size_t take = std::min(wanted, stream->connection->Room(stream->side));
  if (take == 0 && wanted > 0) return;  // back-pressure: OnRoom() comes back here
  if (take > 1 && prng_.Chance(profile_.partial_ppm, 1'000'000)) {
    take = prng_.Between(1, std::min<size_t>(take, prng_.Chance(1, 2) ? 64 : SIZE_MAX));
  }
  std::vector<std::byte> bytes;
  bytes.reserve(take);
  for (const iovec& vec : stream->vecs) {
    const auto* from = static_cast<const std::byte*>(vec.iov_base);
    const size_t part = std::min(vec.iov_len, take - bytes.size());
    bytes.insert(bytes.end(), from, from + part);
  }
  const bool fails = prng_.Chance(profile_.send_error_ppm, 1'000'000);
  if (fails) bytes.resize(prng_.Below(take + 1));  // some of it left before the error
  trace_.Note(host_, "send", id, bytes.size(), wanted);
  if (!bytes.empty()) stream->connection->Write(stream->side, std::move(bytes));
  if (fails) {
    constexpr int kErrors[] = {ECONNRESET, EPIPE, ETIMEDOUT, ENOBUFS, EHOSTUNREACH};
    const int error = kErrors[prng_.Below(std::size(kErrors))];
    if (prng_.Chance(2, 3)) return stream->connection->Break(error);
    stream->send_done = true;  // only the write failed; what to make of that is the owner's affair
    return CompleteLater({Kind::kSent, id, 0, error, nullptr});
  }
  stream->send_done = true;
  CompleteLater({Kind::kSent, id, take, 0, nullptr});
}

bool SimIo::IsReading(std::span<const std::byte> bytes) const {
  if (killed_) return false;
  for (const auto& [id, stream] : streams_) {
    if (!stream->sending) continue;
    for (const iovec& vec : stream->vecs) {
      const auto* from = static_cast<const std::byte*>(vec.iov_base);
      if (from < bytes.data() + bytes.size() && bytes.data() < from + vec.iov_len) return true;
    }
  }
  return false;
}

void SimIo::PauseReceive(io::StreamId id) {
  if (Stream* stream = Find(id)) stream->paused = true;
}

void SimIo::ResumeReceive(io::StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->paused) return;
  stream->paused = false;
  stream->QueueRead();
}

void SimIo::Close(io::StreamId id) {
  Stream* stream = Find(id);
  if (killed_ || stream == nullptr || stream->state == Stream::State::kEnding) return;
  trace_.Note(host_, "close", id);
  stream->state = Stream::State::kEnding;
  if (stream->sending && !stream->send_done) {
    // The write that is in flight either still gets its bytes out, or is cancelled.
    if (stream->error == 0 && prng_.Chance(1, 2)) {
      stream->state = Stream::State::kOpen;
      TakeOutput(id);
      stream->state = Stream::State::kEnding;
    }
    TakeOutput(id);
  }
  if (stream->error == 0 && stream->connection != nullptr) stream->connection->Close(stream->side);
  FinishIfIdle(*stream);
}

// Nothing is in flight any more: the last call may come.
void SimIo::FinishIfIdle(Stream& stream) {
  if (stream.state != Stream::State::kEnding || stream.close_pending) return;
  if (stream.sending || stream.connect_pending) return;
  stream.close_pending = true;
  CompleteLater({Kind::kClosed, stream.id, 0, stream.error, nullptr});
}

void SimIo::Post(std::function<void()> task) {
  posted_.push_back(std::move(task));
  Wake(prng_.Between(0, profile_.wake_max));
}

io::TimerId SimIo::RunAt(TimeNs when, std::function<void()> task) {
  const io::TimerId id = next_id_++;
  timers_[{when, id}] = std::move(task);
  timer_due_[id] = when;
  if (when != io::kNever) Wake(when > Now() ? when - Now() : 0);
  return id;
}

bool SimIo::Cancel(io::TimerId timer) {
  auto due = timer_due_.find(timer);
  if (due == timer_due_.end()) return false;
  timers_.erase({due->second, timer});
  timer_due_.erase(due);
  return true;
}

void SimIo::AtEndOfTurn(std::function<void()> task) {
  end_of_turn_.push_back(std::move(task));
  Wake(prng_.Between(0, profile_.wake_max));
}

void SimIo::Complete(Completion completion) {
  ready_.push_back(std::move(completion));
  Wake(prng_.Between(0, profile_.wake_max));
}

// Completions of the kernel's own making take their time, and overtake each other across streams.
void SimIo::CompleteLater(Completion completion) {
  const TimeNs most = prng_.Chance(profile_.late_ppm, 1'000'000) ? 30 * kMs : 20 * kUs;
  const TimeNs delay = prng_.Chance(1, 2) ? 0 : prng_.Between(0, most);
  if (delay == 0 || killed_) return Complete(std::move(completion));
  scheduler_.After(delay, [this, alive = alive_, completion = std::move(completion)] {
    if (*alive) Complete(completion);
  });
}

void SimIo::Wake(TimeNs delay) {
  if (killed_ || stopped_) return;
  const TimeNs when = Now() + delay;
  if (wake_at_ <= when) return;
  wake_at_ = when;
  scheduler_.At(when, [this, alive = alive_, when] {
    if (!*alive || wake_at_ != when) return;
    wake_at_ = io::kNever;
    if (!killed_ && !stopped_) Turn();
  });
}

void SimIo::Turn() {
  trace_.Note(host_, "turn", ready_.size(), posted_.size());
  if (prng_.Chance(1, 2)) {
    RunCompletions();
    RunTimers();
  } else {
    RunTimers();
    RunCompletions();
  }
  RunPosted();
  RunEndOfTurn();
  if (!ready_.empty() || !posted_.empty() || !end_of_turn_.empty())
    Wake(prng_.Between(1, 20 * kUs));
  if (!timers_.empty()) {
    const TimeNs due = timers_.begin()->first.first;
    if (due != io::kNever) Wake(due > Now() ? due - Now() : 0);
  }
}

void SimIo::RunCompletions() {
  std::vector<Completion> batch;
  batch.swap(ready_);
  if (batch.size() > 1 && prng_.Chance(1, 4)) {
    // Some are not ready yet.
    const auto cut = batch.begin() + static_cast<std::ptrdiff_t>(prng_.Between(1, batch.size()));
    ready_.assign(std::make_move_iterator(cut), std::make_move_iterator(batch.end()));
    batch.erase(cut, batch.end());
  }
  // Any order between streams; per stream as they came.
  const uint64_t salt = prng_.Next();
  for (Completion& completion : batch) {
    completion.shuffle = (completion.stream ^ salt) * 0x9e3779b97f4a7c15u;
  }
  std::stable_sort(batch.begin(), batch.end(),
                   [](const Completion& a, const Completion& b) { return a.shuffle < b.shuffle; });
  for (Completion& completion : batch) Dispatch(completion);
}

void SimIo::RunTimers() {
  const io::TimerId newest = next_id_;  // those that run now may make others for the next turn
  while (!timers_.empty() && timers_.begin()->first.first <= Now()) {
    auto first = timers_.begin();
    if (first->first.second >= newest) break;
    std::function<void()> task = std::move(first->second);
    timer_due_.erase(first->first.second);
    timers_.erase(first);
    task();
  }
}

void SimIo::RunPosted() {
  std::deque<std::function<void()>> batch;
  batch.swap(posted_);
  for (auto& task : batch) task();
}

void SimIo::RunEndOfTurn() {
  std::vector<std::function<void()>> batch;
  batch.swap(end_of_turn_);
  for (auto& task : batch) task();
}

void SimIo::Dispatch(Completion& completion) {
  if (completion.kind == Kind::kAccept) return Accept(completion);
  Stream* stream = Find(completion.stream);
  if (stream == nullptr) return;
  switch (completion.kind) {
    case Kind::kConnected:
      stream->connect_pending = false;
      if (stream->state != Stream::State::kConnecting) return FinishIfIdle(*stream);
      if (stream->error != 0) completion.error = stream->error;
      stream->error = completion.error;
      trace_.Note(host_, "connected", stream->id, static_cast<uint64_t>(completion.error));
      stream->state = completion.error == 0 ? Stream::State::kOpen : Stream::State::kEnding;
      stream->handler->OnConnected(completion.error);
      stream->QueueRead();
      return FinishIfIdle(*stream);
    case Kind::kReadable:
      return ReadInto(*stream);
    case Kind::kSent:
      stream->sending = false;
      if (stream->state == Stream::State::kEnding) return FinishIfIdle(*stream);
      trace_.Note(host_, "sent", stream->id, completion.bytes,
                  static_cast<uint64_t>(completion.error));
      stream->handler->OnSent(completion.bytes, completion.error);
      return FinishIfIdle(*stream);
    case Kind::kClosed: {
      trace_.Note(host_, "closed", stream->id, static_cast<uint64_t>(completion.error));
      io::StreamHandler* handler = stream->handler;
      streams_.erase(completion.stream);
      handler->OnClosed(completion.error);
      return;
    }
    case Kind::kAccept:
      return;
  }
}

void SimIo::Accept(Completion& completion) {
  auto port = listeners_.find(completion.stream);
  if (port == listeners_.end()) return completion.connection->Abort(1);
  const io::StreamId id = next_id_++;
  auto owned = std::make_unique<Stream>(*this, id, nullptr, 1, Stream::State::kOpen);
  Stream& stream = *owned;
  stream.connection = std::move(completion.connection);
  stream.connection->Attach(1, &stream, 0);
  streams_[id] = std::move(owned);
  trace_.Note(host_, "accept", id, stream.connection->id());
  const std::string from = "10.0.0." + std::to_string(stream.connection->host(0)) + ":50000";
  stream.handler = port->second->handler->OnAccept(id, from);
  if (stream.handler == nullptr) {
    stream.connection->Abort(1);
    streams_.erase(id);
    return;
  }
  stream.QueueRead();
}

void SimIo::ReadInto(Stream& stream) {
  stream.read_pending = false;
  if (stream.state != Stream::State::kOpen) return;
  if (stream.paused && !prng_.Chance(1, 4)) return;  // it had been received already
  Connection& connection = *stream.connection;
  if (connection.Readable(stream.side) > 0) {
    // Crumbs only for a while: a megabyte byte by byte teaches nothing more.
    const size_t crumb = stream.reads++ < 300 ? connection.crumb() : 65536;
    const size_t most = prng_.Chance(1, 8) ? prng_.Between(1, 40) : crumb;
    const std::vector<std::byte> bytes = connection.Read(stream.side, most);
    trace_.Note(host_, "read", stream.id, bytes.size());
    const io::StreamId id = stream.id;
    stream.handler->OnData(bytes);
    Stream* still = Find(id);
    if (still != nullptr) still->QueueRead();
    return;
  }
  if (stream.error == 0 && !connection.AtEnd(stream.side)) return;
  // The end of the stream, or its break: an Io closes such a stream by itself.
  if (stream.error == 0) connection.Close(stream.side);
  stream.state = Stream::State::kEnding;
  TakeOutput(stream.id);
  FinishIfIdle(stream);
}

void SimIo::Stop() {
  stopped_ = true;
  wake_at_ = io::kNever;
}

void SimIo::Resume() {
  stopped_ = false;
  Wake(prng_.Between(0, profile_.wake_max));
}

void SimIo::Heal() {
  profile_.send_error_ppm = 0;
  profile_.connect_refuse_ppm = 0;
}

void SimIo::Kill(bool power) {
  killed_ = true;
  for (auto& [id, port] : listeners_) network_.StopListening(port->address);
  listeners_.clear();
  for (Completion& completion : ready_) {
    if (completion.kind == Kind::kAccept) completion.connection->Abort(1);
  }
  std::erase_if(ready_, [](const Completion& c) { return c.kind == Kind::kAccept; });
  for (auto& [id, stream] : streams_) {
    if (stream->connection == nullptr) continue;
    if (power) {
      stream->connection->Vanish(stream->side);
    } else if (prng_.Chance(1, 2)) {
      stream->connection->Abort(stream->side);
    } else {
      stream->connection->Close(stream->side);
    }
    stream->connection.reset();
  }
}

void SimIo::Bury() {
  while (!streams_.empty()) {
    auto first = streams_.begin();
    std::unique_ptr<Stream> stream = std::move(first->second);
    streams_.erase(first);
    stream->handler->OnClosed(ECONNRESET);
  }
  while (!posted_.empty() || !end_of_turn_.empty()) {
    RunPosted();
    RunEndOfTurn();
  }
}

}  // namespace clustix::sim
