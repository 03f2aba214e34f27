// SPDX-License-Identifier: Apache-2.0
//
// The faults of a world, and their end.
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "tests/sim/world.h"

namespace clustix::sim {
namespace {

enum Kind : uint64_t {
  kCutOneWay,
  kCutBoth,
  kIsolate,
  kBreakConnection,
  kBlackhole,
  kStallPipe,
  kStopProcess,
  kKillProcess,
  kPowerOff,
  kQuitProcess,
};

}  // namespace

void World::NextFault() {
  const FaultProfile& faults = profile_.faults;
  if (healing_ || faults.Sum() == 0) return;
  scheduler_.After(prng_.Between(1, 2 * faults.pause_mean), [this] {
    if (healing_ || !checker_.ok()) return;
    const FaultProfile& f = profile_.faults;
    const std::array<uint32_t, 10> weights = {
        f.cut_one_way, f.cut_both,     f.isolate,      f.break_connection, f.blackhole,
        f.stall_pipe,  f.stop_process, f.kill_process, f.power_off,        f.quit_process};
    uint64_t draw = prng_.Below(f.Sum());
    uint64_t kind = 0;
    while (draw >= weights[kind]) draw -= weights[kind++];
    if (kind <= kIsolate) {
      FaultOnLinks(kind);
    } else if (kind <= kStallPipe) {
      FaultOnConnection(kind);
    } else {
      FaultOnProcess(kind);
    }
    NextFault();
  });
}

void World::CutLinks(const std::vector<std::pair<HostId, HostId>>& links) {
  for (auto [from, to] : links) network_.Cut(from, to);
  const TimeNs duration = prng_.Between(1, prng_.Chance(1, 4) ? 4000 : 400) * kMs;
  scheduler_.After(duration, [this, links] {
    for (auto [from, to] : links) network_.Mend(from, to);
  });
}

void World::FaultOnLinks(uint64_t kind) {
  const NodeId a = nodes_[prng_.Below(nodes_.size())].id;
  const NodeId b = nodes_[prng_.Below(nodes_.size())].id;
  trace_.Note(a, "cut", kind, b);
  std::vector<std::pair<HostId, HostId>> links;
  if (kind == kIsolate) {
    for (const Node& node : nodes_) {
      links.emplace_back(a, node.id);
      links.emplace_back(node.id, a);
    }
  } else {
    links.emplace_back(a, b);
    if (kind == kCutBoth) links.emplace_back(b, a);
  }
  CutLinks(links);
}

void World::FaultOnConnection(uint64_t kind) {
  const auto connections = network_.Connections();
  if (connections.empty()) return;
  Connection& connection = *connections[prng_.Below(connections.size())];
  trace_.Note(connection.host(0), "connection fault", kind, connection.id());
  const int side = static_cast<int>(prng_.Below(2));
  switch (kind) {
    case kBreakConnection:
      return connection.Break(prng_.Chance(1, 2) ? ECONNRESET : ETIMEDOUT);
    case kBlackhole:
      connection.Blackhole(side);
      if (prng_.Chance(1, 2)) connection.Blackhole(1 - side);
      return;
    default:
      return connection.Stall(side, scheduler_.Now() + prng_.Between(10, 3000) * kMs);
  }
}

void World::FaultOnProcess(uint64_t kind) {
  const size_t index = prng_.Below(nodes_.size());
  const Node& node = nodes_[index];
  if (node.process == nullptr || !node.process->running()) return;
  if (kind == kStopProcess) {
    return StopFor(index, prng_.Between(5, prng_.Chance(1, 3) ? 4000 : 300) * kMs);
  }
  EndNode(index, kind);
}

void World::StopFor(size_t index, TimeNs duration) {
  Process* process = nodes_[index].process.get();
  if (process->io().stopped()) return;
  trace_.Note(nodes_[index].id, "stop", duration / kMs);
  process->io().Stop();
  scheduler_.After(duration, [this, process] {
    if (!process->running()) return;
    checker_.Excuse(process->id(), scheduler_.Now());
    process->io().Resume();
  });
}

void World::EndNode(size_t index, uint64_t how) {
  Node& node = nodes_[index];
  if (how == kQuitProcess) {
    if (node.process->io().stopped()) return;
    node.process->Quit();
  } else {
    node.process->Kill(how == kPowerOff);
    if (how == kPowerOff) network_.SetHostUp(node.id, false);
  }
  former_.push_back(std::move(node.process));
  scheduler_.After(prng_.Between(1, prng_.Chance(1, 2) ? 2500 : 100) * kMs,
                   [this, index] { RestartNode(index); });
}

void World::RestartNode(size_t index) {
  Node& node = nodes_[index];
  if (node.dead || node.process != nullptr) return;
  network_.SetHostUp(node.id, true);
  StartNode(index);
}

void World::Heal() {
  healing_ = true;
  trace_.Note(0, "heal");
  network_.MendAll();
  network_.profile().connect_error_ppm = 0;
  network_.profile().corrupt_ppm = 0;
  for (uint32_t i = 0; i < profile_.dead_at_the_end; i++) {
    Node& node = nodes_[prng_.Below(nodes_.size())];
    node.dead = true;
    if (node.process != nullptr && node.process->running()) {
      node.process->Kill(false);
      former_.push_back(std::move(node.process));
    }
    if (prng_.Chance(1, 2)) network_.SetHostUp(node.id, true);
  }
  for (size_t i = 0; i < nodes_.size(); i++) {
    Node& node = nodes_[i];
    if (node.absent || node.dead) continue;
    if (node.process == nullptr) {
      RestartNode(i);
    } else {
      node.process->io().Heal();
      if (!node.process->io().stopped()) continue;
      checker_.Excuse(node.process->id(), scheduler_.Now());
      node.process->io().Resume();
    }
  }
}

}  // namespace clustix::sim
