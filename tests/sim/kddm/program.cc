// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/program.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace clustix::sim {

using kddm::OpKind;
using kddm::Status;

kddm::Data MakeData(Value value, size_t bytes) {
  auto data = std::make_shared<std::vector<std::byte>>(std::max(bytes, sizeof(value)));
  std::memcpy(data->data(), &value, sizeof(value));
  // The last byte repeats the first, so that a torn object is seen.
  data->back() = data->size() > sizeof(value) ? data->front() : data->back();
  return data;
}

Value ValueOf(const kddm::Completion& completion) {
  if (completion.status == Status::kNotFound) return kAbsentValue;
  if (completion.status == Status::kLost) return kLostValue;
  if (completion.content == kddm::Content::kAbsent || completion.data == nullptr) {
    return kAbsentValue;
  }
  Value value = 0;
  std::memcpy(&value, completion.data->data(), sizeof(value));
  const bool torn = completion.data->size() > sizeof(value) &&
                    completion.data->back() != completion.data->front();
  return torn ? -2 : value;
}

Program::Program(const Profile& profile, uint64_t seed, Scheduler& scheduler, Trace& trace)
    : profile_(profile),
      prng_(seed),
      scheduler_(scheduler),
      trace_(trace),
      watching_(profile, base::Prng(~seed), scheduler) {
  for (NodeId node = 1; node <= profile.nodes; ++node) {
    for (size_t i = 0; i < profile.clients_per_node; ++i) {
      Client client;
      client.id = static_cast<uint32_t>(clients_.size());
      client.node = node;
      clients_.push_back(client);
    }
  }
  history_.resize(profile.objects.size());
  begun_.resize(profile.objects.size());
}

void Program::OnUp(NodeId node) {
  for (Client& client : clients_) {
    if (client.node == node) ThinkThenAct(client);
  }
  watching_.OnUp(node);
}

void Program::OnChange(NodeId node, const kddm::Change& change) {
  trace_.Note(node, change.any ? "any changed" : "changed", change.object & 255, change.version);
  watching_.OnChange(node, change, ++now_);
}

void Program::ThinkThenAct(Client& client) {
  client.step = Step::kIdle;
  client.op = client.hold = 0;
  const uint64_t round = ++client.round;
  scheduler_.After(prng_.Below(profile_.think_max), [this, id = client.id, round] {
    Client& thinking = clients_[id];
    if (thinking.round == round && !stopped_) Act(thinking);
  });
}

void Program::Act(Client& client) {
  if (cluster_->engine(client.node) == nullptr) return;
  const size_t object = prng_.Below(profile_.objects.size());
  if (begun_[object] >= profile_.calls_per_object) return ThinkThenAct(client);
  Step step = Step::kGet;
  if (prng_.Chance(profile_.write_in_100, 100)) {
    const uint64_t draw = prng_.Below(100);
    step = draw < 50   ? Step::kGrab
           : draw < 75 ? Step::kSet
           : draw < 88 ? Step::kTouch
                       : Step::kRemove;
  } else if (prng_.Chance(1, 8)) {
    step = Step::kFind;
  }
  // In turns, of what has a linker, a sync, or a move, instead of what finds.
  if (step == Step::kFind && next_op_ % 4 == 0) step = Step::kMigrate;
  if (step == Step::kFind && kddm::IsLinked(profile_.objects[object].set) && next_op_ % 2 == 0) {
    step = Step::kSync;
  }
  Begin(client, step, object);
}

kddm::Data Program::NewData(Call& call) {
  call.written = next_value_++;
  const bool large = prng_.Chance(profile_.large_in_100, 100);
  return MakeData(call.written, large ? 5000 + prng_.Below(1000) : 1 + prng_.Below(64));
}

void Program::Begin(Client& client, Step step, size_t object) {
  ++begun_[object];
  client.step = step;
  client.call = {.client = client.id,
                 .object = static_cast<uint32_t>(object),
                 .invoked = ++now_,
                 .returned = kNever};
  kddm::Operation operation{.id = next_op_++, .key = profile_.objects[object]};
  switch (step) {
    case Step::kGrab:
      operation.kind = OpKind::kGrab;
      break;
    case Step::kSet:
      operation.kind = OpKind::kSet;
      client.call.what = Call::What::kWrite;
      operation.data = NewData(client.call);
      break;
    case Step::kTouch:
      operation.kind = OpKind::kTouch;
      client.call.what = Call::What::kTouch;
      operation.data = NewData(client.call);
      break;
    case Step::kRemove:
      operation.kind = OpKind::kRemove;
      client.call.what = Call::What::kRemove;
      break;
    case Step::kFind:
      operation.kind = OpKind::kFind;
      break;
    case Step::kMigrate:
      break;
    case Step::kSync:
      operation.kind = OpKind::kSync;
      break;
    default:
      operation.hold = !reading_all_ && prng_.Chance(1, 3);
      break;
  }
  client.began = client.call.invoked;
  client.op = operation.id;
  client.hold = step == Step::kGrab || operation.hold ? operation.id : 0;
  ops_[operation.id] = client.id;
  trace_.Note(client.node, "begins", client.id, static_cast<uint64_t>(step), object);
  GiveUpLater(client);
  const NodeId to = static_cast<NodeId>(1 + operation.id / 4 % profile_.nodes);
  cluster_->Feed(client.node, operation.key, [&operation, step, to](kddm::Engine& e) {
    if (step == Step::kMigrate) return e.Migrate(operation.id, operation.key, to);
    e.Start(std::move(operation));
  });
}

void Program::GiveUpLater(Client& client) {
  if (reading_all_ || !prng_.Chance(profile_.cancel_in_100, 100)) return;
  const kddm::OpId op = client.op;
  scheduler_.After(prng_.Below(4 * profile_.delay_max), [this, id = client.id, op] {
    if (clients_[id].op != op) return;
    const kddm::ObjectKey key = profile_.objects[clients_[id].call.object];
    cluster_->Feed(clients_[id].node, key, [op](kddm::Engine& e) { e.Cancel(op); });
  });
}

void Program::OnCompletion(NodeId node, const kddm::Completion& completion) {
  if (Watching::Owns(completion.op)) return watching_.OnBegun(completion, ++now_);
  const auto found = ops_.find(completion.op);
  if (found == ops_.end()) return Fail("an operation completed twice, or was never begun");
  Client& client = clients_[found->second];
  if (client.op != completion.op || client.node != node) return Fail("a hold completed");
  client.call.returned = ++now_;
  trace_.Note(node, kddm::StatusName(completion.status), client.id, completion.version,
              static_cast<uint64_t>(ValueOf(completion)));
  client.op = 0;
  const bool holding = completion.status == Status::kOk && client.hold == completion.op;
  if (holding) return Held(client, completion);
  ops_.erase(found);
  Ended(client, completion);
}

void Program::Held(Client& client, const kddm::Completion& completion) {
  client.call.seen = ValueOf(completion);
  client.held = completion.version;
  client.revoked = false;
  const bool grab = client.step == Step::kGrab;
  client.step = grab ? Step::kHeldGrab : Step::kHeldGet;
  if (!grab) Record(client);
  const uint64_t round = ++client.round;
  scheduler_.After(prng_.Below(profile_.hold_max), [this, id = client.id, round] {
    if (clients_[id].round == round) EndHold(clients_[id]);
  });
}

void Program::EndHold(Client& client) {
  const kddm::ObjectKey key = profile_.objects[client.call.object];
  const kddm::OpId hold = client.hold;
  if (client.step == Step::kHeldGet || prng_.Chance(1, 6)) {
    if (client.step == Step::kHeldGrab) Record(client);  // an aborted grab has but read
    ops_.erase(hold);
    ThinkThenAct(client);
    cluster_->Feed(client.node, key, [hold](kddm::Engine& e) { e.Release(hold); });
    return;
  }
  client.step = Step::kPut;
  client.began = ++now_;
  const kddm::OpId op = client.op = next_op_++;
  ops_[op] = client.id;
  ops_.erase(hold);
  client.hold = 0;
  const kddm::Data data = NewData(client.call);
  GiveUpLater(client);
  cluster_->Feed(client.node, key, [&](kddm::Engine& e) { e.Put(op, hold, data); });
}

// As a read or write that was told its end.
void Program::Record(Client& client) { history_[client.call.object].push_back(client.call); }

void Program::Ended(Client& client, const kddm::Completion& completion) {
  // Nothing was read or written.
  if (client.step == Step::kSync || client.step == Step::kMigrate) return ThinkThenAct(client);
  Call& call = client.call;
  const bool read_first = client.step == Step::kPut;
  const bool done = completion.status == Status::kOk || completion.status == Status::kNotFound ||
                    completion.status == Status::kLost;
  const bool wrote =
      client.step == Step::kPut || client.step == Step::kSet || client.step == Step::kRemove;
  if (wrote && completion.status == Status::kOk) {
    watching_.OnCommit(profile_.objects[call.object], client.began, completion.version);
  }
  const bool found_nothing =
      client.step == Step::kFind && completion.status == Status::kNotFound;  // here, that is
  if (done && !read_first && !found_nothing) {
    // A write that is told "lost" has not happened.
    const bool told = completion.status != Status::kOk;
    call.seen = ValueOf(completion);
    if (told || client.step == Step::kGrab) call.what = Call::What::kRead;
    if (completion.status == Status::kLost &&
        cluster_->Lossless(profile_.objects[call.object].set)) {
      Fail("object " + std::to_string(call.object) + " is lost, and too few nodes failed for that");
    }
    Record(client);
  } else if (read_first) {
    Call read = call;
    read.written = kAbsentValue;
    if (completion.status == Status::kOk) {
      call.what = Call::What::kUpdate;
      Record(client);
    } else {
      history_[call.object].push_back(read);
      if (completion.status == Status::kUnknown) {
        call.what = Call::What::kUpdate;
        call.returned = kNever;
        Record(client);
      }
    }
  } else if (completion.status == Status::kUnknown) {
    call.returned = kNever;
    Record(client);
  }
  ThinkThenAct(client);
}

void Program::OnRevoked(NodeId node, kddm::OpId hold) {
  const auto found = ops_.find(hold);
  if (found == ops_.end()) return Fail("a hold was revoked that is none");
  Client& client = clients_[found->second];
  trace_.Note(node, "revoked", client.id);
  // A grab's client notices when it puts.
  client.revoked = true;
  if (client.step == Step::kHeldGrab) return;
  ops_.erase(found);
  ThinkThenAct(client);
}

// What had not ended may have happened, as far as it writes.
void Program::OnDown(NodeId node) {
  watching_.OnDown(node);
  for (Client& client : clients_) {
    if (client.node != node) continue;
    Call& call = client.call;
    const Step step = client.step;
    ops_.erase(client.op);
    ops_.erase(client.hold);
    ++client.round;
    client.step = Step::kIdle;
    client.op = client.hold = 0;
    if (step == Step::kHeldGrab) Record(client);
    if (step == Step::kPut) {
      Call read = call;
      read.written = kAbsentValue;
      read.returned = ++now_;
      history_[call.object].push_back(read);
      call.what = Call::What::kUpdate;
    }
    const bool writes =
        step == Step::kPut || step == Step::kSet || step == Step::kTouch || step == Step::kRemove;
    if (!writes) continue;
    call.returned = kNever;
    Record(client);
  }
}

void Program::OnTouched(const kddm::ObjectKey& key) {
  if (!violation_.empty()) return;
  std::string wrong = cluster_->CheckExclusion(key);
  if (wrong.empty()) wrong = CheckHolds(key);
  if (!wrong.empty()) Fail(wrong);
}

// What a client holds for reading stays as it read it, and readable, so nobody else has it
// exclusively; what it has grabbed is its alone. Until it gives it back, or is told otherwise.
std::string Program::CheckHolds(const kddm::ObjectKey& key) const {
  for (const Client& client : clients_) {
    const bool reads = client.step == Step::kHeldGet, writes = client.step == Step::kHeldGrab;
    if ((!reads && !writes) || !(profile_.objects[client.call.object] == key)) continue;
    if (!ops_.contains(client.hold) || client.revoked) continue;
    const kddm::Holder& holder = cluster_->engine(client.node)->holder();
    const kddm::State state = holder.Access(key);
    const std::string who = "object " + std::to_string(key.object & 255) + ", held by client " +
                            std::to_string(client.id) + " on node " + std::to_string(client.node);
    if (reads && state == kddm::State::kInvalid) return who + ", is taken from it";
    if (writes && state != kddm::State::kExclusive) return who + ", is not its alone";
    if (reads && holder.Find(key)->version != client.held) return who + ", changes";
  }
  return "";
}

void Program::ReadAll() {
  reading_all_ = true;
  for (NodeId node = 1; node <= profile_.nodes; ++node) {
    for (size_t object = 0; object < profile_.objects.size(); ++object) {
      Client reader;  // one for each, so that they read at once
      reader.id = static_cast<uint32_t>(clients_.size());
      reader.node = node;
      clients_.push_back(reader);
      Begin(clients_.back(), Step::kGet, object);
    }
  }
}

bool Program::idle() const {
  for (const Client& client : clients_) {
    if (client.step != Step::kIdle) return false;
  }
  return true;
}

void Program::Fail(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

std::string Program::Judge() const {
  for (size_t object = 0; object < history_.size(); ++object) {
    const bool may_be_lost = !cluster_->Lossless(profile_.objects[object].set);
    const Judgement judgement = JudgeLinearizable(history_[object], may_be_lost);
    if (!judgement.ok) return "object " + std::to_string(object) + " is " + judgement.why;
  }
  const std::string missed = watching_.Judge();
  if (!missed.empty()) return missed;
  return profile_.short_story ? JudgeWhole() : "";
}

// All objects together: one order that suits every client.
std::string Program::JudgeWhole() const {
  std::vector<Call> all;
  for (size_t object = 0; object < history_.size(); ++object) {
    if (!cluster_->Lossless(profile_.objects[object].set)) return "";
    const std::vector<Call>& calls = history_[object];
    all.insert(all.end(), calls.begin(), calls.end());
  }
  // Not the reads at the end: they are many, and alone with their client.
  const size_t of_programs = profile_.nodes * profile_.clients_per_node;
  std::erase_if(all, [of_programs](const Call& call) { return call.client >= of_programs; });
  if (all.size() > kSequentialCallsMax) return "";
  return JudgeSequential(all).why;
}

}  // namespace clustix::sim
