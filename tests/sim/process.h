// SPDX-License-Identifier: Apache-2.0
//
// One simulated process: an Io, a messenger over it, and an application that sends, calls, answers
// and cancels at random, and tells the checker of everything it does and sees.
#ifndef CLUSTIX_TESTS_SIM_PROCESS_H_
#define CLUSTIX_TESTS_SIM_PROCESS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clustix/messenger.h"
#include "lib/base/prng.h"
#include "lib/msg/session_messenger.h"
#include "tests/sim/checker.h"
#include "tests/sim/profile.h"
#include "tests/sim/sim_io.h"

namespace clustix::sim {

class Process {
 public:
  struct Options {
    msg::MessengerConfig config;
    bool trusted = true;  // speaks for its node: see Checker
    HostId host = 0;
    std::vector<NodeId> talks_to;
  };

  Process(Scheduler& scheduler, Network& network, Checker& checker, Trace& trace,
          const Profile& profile, base::Prng prng, Options options);
  ~Process();

  ProcessId id() const { return id_; }
  NodeId node() const { return options_.config.node; }
  SimIo& io() { return io_; }
  Messenger* messenger() { return messenger_.get(); }
  // A live process that takes part.
  bool running() const { return messenger_ != nullptr; }

  void StartTraffic();
  void StopTraffic() { traffic_ = false; }
  // One message and one call to each of `nodes` on each lane, to be settled with kOk.
  void SayHelloToAll(const std::vector<NodeId>& nodes);

  void Kill(bool power);
  // A clean end: the messenger is destroyed; the loop goes on until gone().
  void Quit();
  bool gone() const { return messenger_ == nullptr && io_.open_streams() == 0; }

  // Every queue is empty, and every sender that was told kBusy was told that there is room again.
  // Says what is missing, or nothing.
  std::string Unsettled(const std::vector<NodeId>& peers) const;
  // Are the queues within their bounds?
  void CheckMemory();
  uint64_t ups(NodeId peer) const;
  uint64_t reboots() const { return reboots_; }

 private:
  void Start();
  void Burst();
  void SendOne(NodeId to, Lane lane, Port port, uint32_t bytes, bool wants_outcome);
  void CallOne(NodeId to, Lane lane, Port port, uint32_t bytes, uint64_t timeout_ms);
  void Misuse();
  void NotAccepted(MessageId id, Outcome outcome);
  void Receive(const Incoming& incoming);
  void Answer(MessageId id, uint64_t request);
  void Cancel(MessageId id, CallId call);
  uint32_t DrawSize();
  TimeNs Now() { return io_.loop().Now(); }

  Checker& checker_;
  Trace& trace_;
  const Profile& profile_;
  base::Prng prng_;
  const Options options_;
  const ProcessId id_;
  SimIo io_;
  std::unique_ptr<Messenger> messenger_;
  bool traffic_ = false;
  bool in_call_ = false;  // inside one of the messenger's functions: no outcome may be told
  std::map<std::pair<NodeId, Lane>, bool> told_busy_;
  std::map<NodeId, uint64_t> ups_;
  uint64_t reboots_ = 0;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_PROCESS_H_
