// SPDX-License-Identifier: Apache-2.0
//
// Measures object sets, for `clustix bench kddm`, which starts a cluster of four nodes before and
// reads what this prints (output.h). In each round everything takes its turn, so that what disturbs
// the machine for a while disturbs all alike.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "lib/base/time_units.h"
#include "lib/kddm/directory.h"
#include "tests/bench/kddm/counted.h"
#include "tests/bench/kddm/faulted_pages.h"
#include "tests/bench/kddm/hits.h"
#include "tests/bench/kddm/members.h"
#include "tests/bench/kddm/output.h"
#include "tests/bench/kddm/programs.h"
#ifdef REDIS_SERVER
#include "tests/bench/kddm/redis_get.h"
#endif
#include "tests/bench/kddm/round_trip.h"
#include "tests/bench/kddm/scenario.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

constexpr NodeId kNodes = 4;
constexpr uint32_t kSpinUs = 50;  // as the daemons' loops
constexpr size_t kFrameBytes = RoundTrip::kBytes;
constexpr size_t kManyAtOnce = 256;
constexpr size_t kReadAtOnce = 64;  // of what is prefetched

struct Options {
  std::vector<std::string> sockets;
  uint32_t rounds = 5;
  uint32_t duration_ms = 100;
  uint32_t samples = 50;  // of each scenario in a round
  uint32_t objects = 64 * 1024;
  uint32_t many = 2048;  // fetched at once, in a round
};

// Where the object is, and how large.
struct Place {
  NodeId home;
  size_t bytes;
  const char* name() const { return home == kSelf ? "local home" : "remote home"; }
};
constexpr Place kPlaces[] = {{kSelf, 4}, {kRemoteHome, 4}, {kRemoteHome, 4096}};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  absl::Status Run() {
    RETURN_IF_ERROR(Make());
    CountOnce();
    RETURN_IF_ERROR(CountGrowth());
    size_t done = 0;
    const size_t total = steps_.size() * options_.rounds;
    for (uint32_t round = 0; round < options_.rounds; ++round) {
      for (const Step& step : steps_) {
        SayNext(absl::StrCat("round ", round + 1, ", ", step.title), done++, total);
        RETURN_IF_ERROR(base::WithContext(step.run(), step.title));
      }
    }
    SayEnd();
    return absl::OkStatus();
  }

 private:
  struct Step {
    std::string title;
    std::function<absl::Status()> run;
  };
  uint64_t duration_ns() const { return options_.duration_ms * kNsPerMs; }
  void Add(std::string title, std::function<absl::Status()> run) {
    steps_.push_back({std::move(title), std::move(run)});
  }

  absl::Status Make();
  absl::Status AddPeers();
  void AddHits();
  absl::Status AddScenarios();
  void AddMany();
  absl::Status MeasureScenario(World& world, const std::string& who, const Scenario& scenario,
                               const Place& place);
  absl::StatusOr<std::vector<kddm::ObjectId>> MakeMany();
  absl::Status GetMany(size_t at_once);
  absl::Status Prefetch();
  absl::Status AddPageFaults();
  absl::Status TouchPages(const Subject& subject, const FaultedPages::Fetch& fetch);
  absl::Status FaultOnObjects();
  absl::Status CountGrowth();
  void CountOnce();
  std::vector<kddm::ObjectId> Fresh(NodeId home, size_t count) {
    std::vector<kddm::ObjectId> objects;
    while (objects.size() < count) objects.push_back(ObjectAt(home, ++serial_));
    return objects;
  }

  const Options options_;
  std::vector<Step> steps_;
  std::map<std::tuple<const Scenario*, NodeId, size_t>, Cost> costs_;
  uint64_t serial_ = 0;
  std::vector<std::unique_ptr<RoundTrip>> trips_;
#ifdef REDIS_SERVER
  std::unique_ptr<RedisGet> redis_;
#endif
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<Hits> hits_;
  std::unique_ptr<Members> members_;
};

// What forks comes first, what has threads last.
absl::Status Bench::Make() {
  SayNext("starting", 0, 1);
  RETURN_IF_ERROR(AddPeers());
  ASSIGN_OR_RETURN(programs_, Programs::Connect(options_.sockets));
  SayNext("writing objects", 0, 1);
  ASSIGN_OR_RETURN(
      hits_, Hits::Make(programs_->set(kSelf, kddm::Durability::kVolatile), options_.objects));
  ASSIGN_OR_RETURN(members_, Members::Start(kNodes));
  AddHits();
  RETURN_IF_ERROR(AddScenarios());
  AddMany();
  Add("page faults", [this] { return FaultOnObjects(); });
  return absl::OkStatus();
}

// Times `go`, which does `operations` at once.
absl::Status Repeat(const Subject& subject, uint64_t duration_ns, uint64_t operations,
                    const std::function<absl::Status()>& go) {
  Histogram latency;
  uint64_t done = 0;
  const uint64_t begin = NowNs();
  uint64_t now = begin;
  while (now < begin + duration_ns) {
    RETURN_IF_ERROR(go());
    const uint64_t end = NowNs();
    latency.Add(end - now);
    done += operations;
    now = end;
  }
  SayFigures(subject, latency, done, now - begin, nullptr);
  return absl::OkStatus();
}

absl::Status Bench::AddPeers() {
  for (const size_t hops : {size_t{2}, size_t{3}}) {
    for (const uint32_t spin_us : {0u, kSpinUs}) {
      ASSIGN_OR_RETURN(std::unique_ptr<RoundTrip> trip, RoundTrip::Start(hops, spin_us));
      const Subject subject = {absl::StrCat("raw TCP, ", hops, " hops"),
                               spin_us == 0 ? "blocking" : "spinning, then blocking", kFrameBytes,
                               static_cast<NodeId>(hops)};
      Add(absl::StrCat(subject.name, ", ", subject.where), [this, subject, trip = trip.get()] {
        return Repeat(subject, duration_ns(), 1, [trip] { return trip->Go(); });
      });
      trips_.push_back(std::move(trip));
    }
  }
  RETURN_IF_ERROR(AddPageFaults());
#ifdef REDIS_SERVER
  ASSIGN_OR_RETURN(redis_, RedisGet::Start(kFrameBytes));
  constexpr size_t kPipelined = 64;
  for (const size_t times : {size_t{1}, kPipelined}) {
    const Subject subject = {
        "Redis GET", times == 1 ? "one at a time" : absl::StrCat("pipelined, ", times, " at once"),
        kFrameBytes, 2};
    Add(absl::StrCat(subject.name, ", ", subject.where), [this, subject, times] {
      return Repeat(subject, duration_ns(), times, [this, times] { return redis_->Get(times); });
    });
  }
#endif
  return absl::OkStatus();
}

void Bench::AddHits() {
  const auto add = [this](const std::string& name, const std::string& where,
                          std::function<absl::StatusOr<Timing>()> run) {
    Add(absl::StrCat(name, ", ", where), [name, where, run = std::move(run)]() -> absl::Status {
      ASSIGN_OR_RETURN(const Timing timing, run());
      SayFigures({name, where, sizeof(uint64_t), 1}, timing.latency, timing.operations,
                 timing.spent_ns, nullptr);
      return absl::OkStatus();
    });
  };
  for (const bool uniform : {false, true}) {
    const std::string objects =
        uniform ? absl::StrCat("of ", options_.objects, " objects") : "of one object";
    add("get and put of what is cached", objects,
        [this, uniform] { return hits_->Get(uniform, duration_ns()); });
    add("std::shared_mutex and map", objects,
        [this, uniform] { return hits_->GetOfMap(uniform, duration_ns()); });
  }
  add("grab and put of what is exclusive here", "program",
      [this] { return hits_->Update(duration_ns()); });
}

absl::Status Bench::AddScenarios() {
  Counted counted(kNodes);
  for (const Place& place : kPlaces) {
    for (const Scenario& scenario : Scenarios()) {
      const std::vector<kddm::ObjectId> object = Fresh(place.home, 1);
      RETURN_IF_ERROR(
          bench::Run(counted, kNodes, scenario, object, place.home, place.bytes, nullptr));
      costs_[{&scenario, place.home, place.bytes}] = counted.cost();
      const auto add = [&](World* world, const std::string& who) {
        Add(absl::StrCat(scenario.name, ", ", place.bytes, " B, ", who, ", ", place.name()),
            [=, this, &scenario, &place] { return MeasureScenario(*world, who, scenario, place); });
      };
      add(programs_.get(), "program");
      if (place.home != kSelf) add(members_.get(), "daemon");
    }
  }
  return absl::OkStatus();
}

absl::Status Bench::MeasureScenario(World& world, const std::string& who, const Scenario& scenario,
                                    const Place& place) {
  Histogram latency;
  const std::vector<kddm::ObjectId> objects = Fresh(place.home, options_.samples);
  RETURN_IF_ERROR(bench::Run(world, kNodes, scenario, objects, place.home, place.bytes, &latency));
  // One after the other: what the median takes is what a rate is made of.
  SayFigures({scenario.name, absl::StrCat(who, ", ", place.name()), place.bytes, kNodes}, latency,
             1, latency.Percentile(0.5), &costs_.at({&scenario, place.home, place.bytes}));
  return absl::OkStatus();
}

void Bench::AddMany() {
  for (const size_t at_once : {kManyAtOnce, size_t{options_.many}}) {
    Add(absl::StrCat("many remote gets, ", at_once, " at once"),
        [this, at_once] { return GetMany(at_once); });
  }
  Add("prefetching", [this] { return Prefetch(); });
}

// In each, objects that another node has written are fetched by the hundreds; the time is one
// object's share.
absl::StatusOr<std::vector<kddm::ObjectId>> Bench::MakeMany() {
  std::vector<kddm::ObjectId> objects = Fresh(kRemoteHome, options_.many);
  RETURN_IF_ERROR(programs_->Do(
      {.node = kRemoteHome, .op = Op::kSet, .objects = objects, .bytes = 4}, nullptr));
  return objects;
}

absl::Status Bench::GetMany(size_t at_once) {
  ASSIGN_OR_RETURN(const std::vector<kddm::ObjectId> objects, MakeMany());
  const ObjectSet& set = programs_->set(kSelf, kddm::Durability::kReplicas2);
  Histogram latency;
  const uint64_t begin = NowNs();
  for (size_t first = 0; first < objects.size(); first += at_once) {
    const size_t count = std::min(at_once, objects.size() - first);
    const uint64_t batch_begin = NowNs();
    size_t seen = 0;
    const SetOutcome outcome =
        set.GetMany(std::span(objects).subspan(first, count),
                    [&seen](size_t, ReadGuard& object) { seen += object ? 1 : 0; });
    if (outcome != SetOutcome::kOk) return WrongOutcome("a get of many", outcome);
    if (seen != count) return absl::InternalError("a get of many has not found all");
    latency.Add((NowNs() - batch_begin) / count);
  }
  SayFigures(
      {"many gets, the home has them", absl::StrCat("program, ", at_once, " at once"), 4, kNodes},
      latency, objects.size(), NowNs() - begin, nullptr);
  return absl::OkStatus();
}

// Reads one object after the other, and asks in time for those that follow.
absl::Status Bench::Prefetch() {
  ASSIGN_OR_RETURN(const std::vector<kddm::ObjectId> objects, MakeMany());
  const ObjectSet& set = programs_->set(kSelf, kddm::Durability::kReplicas2);
  Histogram latency;
  size_t asked = 0;
  const uint64_t begin = NowNs();
  for (size_t first = 0; first < objects.size(); first += kReadAtOnce) {
    const uint64_t batch_begin = NowNs();
    const size_t until = std::min(first + kManyAtOnce, objects.size());
    asked += set.Prefetch(std::span(objects).subspan(asked, until - asked));
    const std::span<const kddm::ObjectId> batch =
        std::span(objects).subspan(first, std::min(kReadAtOnce, objects.size() - first));
    for (const kddm::ObjectId object : batch) {
      if (const ReadGuard guard = set.Get(object); !guard) {
        return WrongOutcome("a get of what was prefetched", guard.outcome());
      }
    }
    asked = std::max(asked, first + batch.size());
    latency.Add((NowNs() - batch_begin) / batch.size());
  }
  SayFigures({"prefetch and get, the home has them",
              absl::StrCat("program, ", kManyAtOnce, " ahead"), 4, kNodes},
             latency, objects.size(), NowNs() - begin, nullptr);
  return absl::OkStatus();
}

// A page that is not here is fetched by who serves the faults; one at a time.
absl::Status Bench::TouchPages(const Subject& subject, const FaultedPages::Fetch& fetch) {
  if (!FaultedPages::ArePossible()) return absl::OkStatus();  // the floor is then not measured
  ASSIGN_OR_RETURN(const std::unique_ptr<FaultedPages> pages,
                   FaultedPages::Make(options_.samples, fetch));
  Histogram latency;
  for (size_t page = 0; page < options_.samples; ++page) {
    ASSIGN_OR_RETURN(const uint64_t spent_ns, pages->Touch(page));
    latency.Add(spent_ns);
  }
  SayFigures(subject, latency, 1, latency.Percentile(0.5), nullptr);
  return absl::OkStatus();
}

absl::Status Bench::AddPageFaults() {
  for (const uint32_t spin_us : {0u, kSpinUs}) {
    ASSIGN_OR_RETURN(std::unique_ptr<RoundTrip> trip,
                     RoundTrip::Start(2, spin_us, FaultedPages::kBytes));
    const Subject subject = {"page fault over raw TCP",
                             spin_us == 0 ? "blocking" : "spinning, then blocking",
                             FaultedPages::kBytes, 2};
    Add(absl::StrCat(subject.name, ", ", subject.where), [this, subject, trip = trip.get()] {
      return TouchPages(subject, [trip](size_t, const FaultedPages::Supply& supply) {
        RETURN_IF_ERROR(trip->Go());
        supply(trip->bytes());
        return absl::OkStatus();
      });
    });
    trips_.push_back(std::move(trip));
  }
  return absl::OkStatus();
}

absl::Status Bench::FaultOnObjects() {
  const std::vector<kddm::ObjectId> objects = Fresh(kRemoteHome, options_.samples);
  RETURN_IF_ERROR(programs_->Do(
      {.node = kRemoteHome, .op = Op::kSet, .objects = objects, .bytes = FaultedPages::kBytes},
      nullptr));
  const ObjectSet& set = programs_->set(kSelf, kddm::Durability::kReplicas2);
  return TouchPages({"page fault, the home has the page", "program", FaultedPages::kBytes, kNodes},
                    [&](size_t page, const FaultedPages::Supply& supply) {
                      const ReadGuard guard = set.Get(objects[page]);
                      if (!guard) return WrongOutcome("a get of a page", guard.outcome());
                      supply(guard.data().data());
                      return absl::OkStatus();
                    });
}

// Whether an operation costs more in a larger cluster.
absl::Status Bench::CountGrowth() {
  const Place place = {kRemoteHome, 4};
  for (const NodeId nodes : {3, 16, 128, 1024}) {
    SayNext(absl::StrCat("counting messages of ", nodes, " nodes"), 0, 1);
    Counted counted(nodes);
    for (const Scenario& scenario : Scenarios()) {
      const std::vector<kddm::ObjectId> object = Fresh(place.home, 1);
      RETURN_IF_ERROR(
          bench::Run(counted, nodes, scenario, object, place.home, place.bytes, nullptr));
      SayCost({scenario.name, "engines, remote home", place.bytes, nodes}, counted.cost());
    }
  }
  return absl::OkStatus();
}

// What the heap has more after a home has learnt of many objects.
void Bench::CountOnce() {
  constexpr size_t kObjects = 1'000'000;
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  kddm::Directory directory;
  for (uint64_t serial = 0; serial < kObjects; ++serial) {
    directory.table().Insert({.object = ObjectAt(kSelf, serial), .set = 1});
  }
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  SayBytes({"memory of an object at its home", absl::StrCat("directory of ", kObjects), 0, 1},
           static_cast<double>(after - before) / kObjects);
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures object sets of a running cluster of four nodes.");
  app.add_option("--sockets", options.sockets, "Of the daemons of nodes 1 to 4")
      ->required()
      ->delimiter(',')
      ->expected(kNodes);
  app.add_option("--rounds", options.rounds);
  app.add_option("--duration-ms", options.duration_ms, "Of what is repeated, in a round");
  app.add_option("--samples", options.samples, "Of each operation in a state, in a round");
  app.add_option("--objects", options.objects, "Read at random");
  app.add_option("--many", options.many, "Objects fetched at once, in a round");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Bench(options).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) { return clustix::bench::Main(argc, argv); }
