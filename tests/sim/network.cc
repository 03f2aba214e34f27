// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/network.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace clustix::sim {
namespace {

// Without TCP_USER_TIMEOUT the kernel tries for minutes; a run is shorter than that.
constexpr TimeNs kPatience = 20 * kSecond;

}  // namespace

bool Network::Listen(const std::string& address, HostId host, Listener* listener) {
  addresses_[address] = host;
  return listeners_.emplace(address, Bound{host, listener}).second;
}

void Network::StopListening(const std::string& address) { listeners_.erase(address); }

void Network::Mend(HostId from, HostId to) {
  auto cut = cuts_.find({from, to});
  if (cut != cuts_.end() && --cut->second == 0) cuts_.erase(cut);
}

bool Network::Passes(HostId from, HostId to) const {
  auto off = [this](HostId host) {
    auto found = off_.find(host);
    return found != off_.end() && found->second;
  };
  return !cuts_.contains({from, to}) && !off(from) && !off(to);
}

std::vector<std::shared_ptr<Connection>> Network::Connections() {
  std::vector<std::shared_ptr<Connection>> open;
  std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : connections_) {
    auto connection = weak.lock();
    if (connection->open()) open.push_back(std::move(connection));
  }
  return open;
}

uint64_t Network::dials(HostId from, HostId to) const {
  auto found = dials_.find({from, to});
  return found == dials_.end() ? 0 : found->second;
}

std::shared_ptr<Connection> Network::Connect(HostId from, const std::string& address,
                                             TimeNs timeout_ns, Socket* socket) {
  std::shared_ptr<Connection> connection(new Connection(*this, next_connection_++, from));
  connection->Attach(0, socket, timeout_ns);
  connections_.push_back(connection);
  auto owner = addresses_.find(address);
  if (owner != addresses_.end()) dials_[{from, owner->second}]++;
  const TimeNs patience = timeout_ns == 0 ? kPatience : timeout_ns;
  Dial dial{connection, address, scheduler_.Now() + patience, kSecond};
  scheduler_.After(Latency(), [this, dial = std::move(dial)] { Syn(dial); });
  return connection;
}

void Network::Syn(Dial dial) {
  Connection& connection = *dial.connection;
  if (connection.socket_[0] == nullptr) return;
  auto owner = addresses_.find(dial.address);
  const HostId from = connection.host_[0];
  const bool passes =
      owner != addresses_.end() && Passes(from, owner->second) && Passes(owner->second, from);
  if (!passes) {
    if (scheduler_.Now() >= dial.give_up) {
      connection.socket_[0]->OnEstablished(ETIMEDOUT);
      return;
    }
    const TimeNs next = std::min(scheduler_.Now() + dial.retry, dial.give_up);
    dial.retry *= 2;
    scheduler_.At(next, [this, dial = std::move(dial)] { Syn(dial); });
    return;
  }
  connection.host_[1] = owner->second;
  auto bound = listeners_.find(dial.address);
  int error = 0;
  if (bound == listeners_.end()) {
    error = ECONNREFUSED;
  } else if (prng_.Chance(profile_.connect_error_ppm, 1'000'000)) {
    constexpr int kErrors[] = {EHOSTUNREACH, ENETUNREACH, ECONNRESET, ETIMEDOUT, EADDRNOTAVAIL};
    error = kErrors[prng_.Below(std::size(kErrors))];
  }
  if (error != 0) {
    scheduler_.After(Latency(), [held = dial.connection, error] {
      if (held->socket_[0] != nullptr) held->socket_[0]->OnEstablished(error);
    });
    return;
  }
  connection.backlog_ = true;
  scheduler_.After(Latency(), [this, held = dial.connection] { SynAck(held); });
  bound->second.listener->OnIncoming(dial.connection);
}

void Network::SynAck(std::shared_ptr<Connection> connection) {
  if (connection->socket_[0] == nullptr) return;
  if (!Passes(connection->host_[1], connection->host_[0])) {
    scheduler_.After(kSecond, [this, connection] { SynAck(connection); });
    return;
  }
  connection->socket_[0]->OnEstablished(0);
}

Connection::Connection(Network& network, uint64_t id, HostId from)
    : network_(network), id_(id), host_{from, 0} {
  base::Prng& prng = network.prng_;
  for (Pipe& pipe : pipe_) {
    pipe.capacity = prng.Between(network.profile_.buffer_min, network.profile_.buffer_max);
  }
  const uint64_t kind = prng.Below(10);
  crumb_ = kind == 0 ? 4 : kind == 1 ? 64 : kind < 5 ? 4096 : SIZE_MAX;
}

void Connection::Attach(int side, Socket* socket, TimeNs timeout_ns) {
  socket_[side] = socket;
  timeout_ns_[side] = timeout_ns == 0 ? kPatience : timeout_ns;
  if (side == 1) backlog_ = false;
}

size_t Connection::Room(int side) const {
  const Pipe& pipe = pipe_[side];
  return pipe.capacity > pipe.held ? pipe.capacity - pipe.held : 0;
}

void Connection::Write(int side, std::vector<std::byte> bytes) {
  Pipe& pipe = pipe_[side];
  const auto& safe = pipe.parser.Feed(bytes, [this, side](const Frame& frame) {
    if (network_.tap_ != nullptr) network_.tap_->OnFrame(*this, side, frame);
  });
  base::Prng& prng = network_.prng_;
  if (!safe.empty() && prng.Chance(network_.profile_.corrupt_ppm, 1'000'000)) {
    const auto [begin, end] = safe[prng.Below(safe.size())];
    const size_t at = prng.Between(begin, end - 1);
    bytes[at] ^= static_cast<std::byte>(1u << prng.Below(8));
    network_.trace_.Note(host_[side], "corrupt", id_, at);
  }
  pipe.held += bytes.size();
  const TimeNs transfer = bytes.size() * kMs / network_.profile_.bytes_per_ms;
  pipe.last_arrival =
      std::max(pipe.last_arrival, network_.scheduler_.Now() + network_.Latency()) + transfer;
  pipe.segments.push_back(Segment{pipe.last_arrival, std::move(bytes)});
  Move(side);
}

bool Connection::AtEnd(int side) const {
  return pipe_[1 - side].fin_arrived && arrived_bytes_[1 - side] == 0;
}

std::vector<std::byte> Connection::Read(int side, size_t most) {
  const int writer = 1 - side;
  auto& queue = arrived_[writer];
  std::vector<std::byte>& first = queue.front();
  std::vector<std::byte> bytes;
  if (first.size() <= most) {
    bytes = std::move(first);
    queue.pop_front();
  } else {
    const auto middle = first.begin() + static_cast<std::ptrdiff_t>(most);
    bytes.assign(first.begin(), middle);
    first.erase(first.begin(), middle);
  }
  arrived_bytes_[writer] -= bytes.size();
  pipe_[writer].held -= bytes.size();
  read_[writer] += bytes.size();
  if (network_.tap_ != nullptr) network_.tap_->OnRead(*this, side, read_[writer]);
  if (socket_[writer] != nullptr) {
    network_.scheduler_.After(network_.Latency(), [held = shared_from_this(), writer] {
      if (held->socket_[writer] != nullptr && held->Room(writer) > 0) {
        held->socket_[writer]->OnRoom();
      }
    });
  }
  return bytes;
}

bool Connection::PathOpen(int side) const {
  const Pipe& pipe = pipe_[side];
  return !pipe.black && network_.scheduler_.Now() >= pipe.stalled_until &&
         network_.Passes(host_[side], host_[1 - side]);
}

void Connection::Move(int side) {
  Pipe& pipe = pipe_[side];
  if (pipe.moving || (pipe.segments.empty() && (!pipe.fin || pipe.fin_arrived))) return;
  pipe.moving = true;
  const TimeNs when = pipe.segments.empty() ? network_.scheduler_.Now() + network_.Latency()
                                            : pipe.segments.front().arrival;
  network_.scheduler_.At(when, [held = shared_from_this(), side] {
    held->pipe_[side].moving = false;
    held->Arrive(side);
  });
}

void Connection::Arrive(int side) {
  Pipe& pipe = pipe_[side];
  if (pipe.segments.empty() && (!pipe.fin || pipe.fin_arrived)) return;
  if (!PathOpen(side)) return Blocked(side);
  pipe.blocked_since = 0;
  Socket* reader = socket_[1 - side];
  const bool gone = reader == nullptr && !(side == 0 && backlog_);
  if (gone) {
    // Nobody is there: the answer is a reset, and what was under way is lost.
    pipe.segments.clear();
    pipe.fin_arrived = pipe.fin;
    if (socket_[side] != nullptr) SendReset(side);
    return;
  }
  if (pipe.segments.empty()) {
    pipe.fin_arrived = true;
  } else {
    Segment segment = std::move(pipe.segments.front());
    pipe.segments.pop_front();
    arrived_bytes_[side] += segment.bytes.size();
    arrived_[side].push_back(std::move(segment.bytes));
  }
  if (reader != nullptr) reader->OnReadable();
  Move(side);
}

// A link is cut or stalled: TCP tries again with growing pauses, and gives up after the user
// timeout without telling anybody but its own process.
void Connection::Blocked(int side) {
  Pipe& pipe = pipe_[side];
  const TimeNs now = network_.scheduler_.Now();
  if (pipe.blocked_since == 0) pipe.blocked_since = now;
  if (socket_[side] != nullptr && now - pipe.blocked_since >= timeout_ns_[side]) {
    Detach(side, ETIMEDOUT);
  }
  if (socket_[side] == nullptr && (pipe.black || now - pipe.blocked_since >= kPatience)) {
    pipe.segments.clear();
    return;
  }
  pipe.moving = true;
  const TimeNs pause = network_.prng_.Between(50 * kMs, 400 * kMs);
  network_.scheduler_.After(pause, [held = shared_from_this(), side] {
    held->pipe_[side].moving = false;
    held->Arrive(side);
  });
}

void Connection::SendReset(int to_side) {
  network_.scheduler_.After(network_.Latency(), [held = shared_from_this(), to_side] {
    const bool passes = !held->pipe_[1 - to_side].black &&
                        held->network_.Passes(held->host_[1 - to_side], held->host_[to_side]);
    if (held->socket_[to_side] != nullptr && passes) held->Detach(to_side, ECONNRESET);
  });
}

// Bytes that the sender's kernel has taken, and that nobody will ever read.
void Connection::LoseTail(int side, bool also_arrived) {
  Pipe& pipe = pipe_[side];
  pipe.segments.clear();
  pipe.held = arrived_bytes_[side];
  if (!also_arrived || arrived_bytes_[side] == 0) return;
  size_t keep = network_.prng_.Below(arrived_bytes_[side] + 1);
  arrived_bytes_[side] = keep;
  pipe.held = keep;
  for (auto& bytes : arrived_[side]) {
    bytes.resize(std::min(keep, bytes.size()));
    keep -= bytes.size();
  }
  std::erase_if(arrived_[side], [](const auto& bytes) { return bytes.empty(); });
}

void Connection::Detach(int side, int error) {
  Socket* socket = socket_[side];
  if (socket == nullptr) return;
  network_.trace_.Note(host_[side], "broken", id_, static_cast<uint64_t>(side),
                       static_cast<uint64_t>(error));
  LoseTail(1 - side, network_.prng_.Chance(1, 2));
  LoseTail(side, false);
  socket_[side] = nullptr;
  socket->OnBroken(error);
}

void Connection::Close(int side) {
  if (side == 1) backlog_ = false;
  socket_[side] = nullptr;
  if (arrived_bytes_[1 - side] > 0) return Abort(side);  // as Linux does with unread data
  pipe_[side].fin = true;
  Move(side);
}

void Connection::Abort(int side) {
  Vanish(side);
  SendReset(1 - side);
}

void Connection::Vanish(int side) {
  if (side == 1) backlog_ = false;
  socket_[side] = nullptr;
  // What is under way is lost from some segment on.
  auto& segments = pipe_[side].segments;
  segments.resize(network_.prng_.Below(segments.size() + 1));
}

void Connection::Break(int error) {
  Detach(0, error);
  Detach(1, error);
  if (backlog_) Vanish(1);
}

void Connection::Blackhole(int side) { pipe_[side].black = true; }

void Connection::Stall(int side, TimeNs until) { pipe_[side].stalled_until = until; }

}  // namespace clustix::sim
