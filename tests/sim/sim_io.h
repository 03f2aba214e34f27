// SPDX-License-Identifier: Apache-2.0
//
// Io for one simulated process: the contract of lib/io/io.h, at its limits. Completions come late
// and in any order across streams and operations, writes are partial, operations fail, and the
// process may be stopped or killed between any two turns of its loop.
#ifndef CLUSTIX_TESTS_SIM_SIM_IO_H_
#define CLUSTIX_TESTS_SIM_SIM_IO_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "lib/io/io.h"
#include "tests/sim/network.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace clustix::sim {

// How the process's kernel behaves; the odds are per million.
struct IoProfile {
  uint32_t send_error_ppm = 0;      // sends that fail, and break the connection
  uint32_t connect_refuse_ppm = 0;  // Connect() that fails at once: no descriptors left
  uint32_t partial_ppm = 100'000;   // sends that write less than there is room for
  uint32_t late_ppm = 50'000;       // completions that come much later than the operation
  TimeNs wake_max = 100 * kUs;      // from an event to the turn that sees it
};

class SimIo final : public io::Io, private io::Loop {
 public:
  // `misuse` hears when the user of this Io breaks the contract.
  SimIo(Scheduler& scheduler, Network& network, HostId host, const IoProfile& profile,
        base::Prng prng, Trace& trace, std::function<void(const std::string&)> misuse);
  ~SimIo() override;

  io::Loop& loop() override { return *this; }
  absl::StatusOr<io::ListenerId> Listen(const std::string& address,
                                        const io::StreamOptions& options,
                                        io::ListenHandler* handler) override;
  std::string LocalAddress(io::ListenerId listener) const override;
  void CloseListener(io::ListenerId listener) override;
  absl::StatusOr<io::StreamId> Connect(const std::string& address, const std::string& bind_address,
                                       const io::StreamOptions& options,
                                       io::StreamHandler* handler) override;
  void Send(io::StreamId stream, std::span<const iovec> vecs) override;
  void PauseReceive(io::StreamId stream) override;
  void ResumeReceive(io::StreamId stream) override;
  void Close(io::StreamId stream) override;

  // What happens to the process from outside.
  void Stop();    // SIGSTOP: no turns; the kernel goes on
  void Resume();  // SIGCONT
  void Heal();    // from now on no operation fails by itself
  // kill -9, or with `power` the plug: everything the kernel held for the process is gone. The
  // process takes no more turns but those of Bury().
  void Kill(bool power);
  // After Kill(), and after the owner has destroyed what used this Io: tells every stream that it
  // is closed, so that handlers free themselves.
  void Bury();

  // Whether a Send() that has not been reported may look at any of these bytes.
  bool IsReading(std::span<const std::byte> bytes) const;

  bool stopped() const { return stopped_; }
  size_t open_streams() const { return streams_.size(); }
  size_t open_listeners() const { return listeners_.size(); }

 private:
  class Stream;
  class Port;
  enum class Kind { kConnected, kReadable, kSent, kClosed, kAccept };
  struct Completion {
    Kind kind;
    io::StreamId stream;  // of kAccept: the listener
    size_t bytes = 0;
    int error = 0;
    std::shared_ptr<Connection> connection;  // of kAccept
    uint64_t shuffle = 0;
  };

  TimeNs Now() const override { return scheduler_.Now(); }
  void Post(std::function<void()> task) override;
  io::TimerId RunAt(TimeNs when, std::function<void()> task) override;
  bool Cancel(io::TimerId timer) override;
  void AtEndOfTurn(std::function<void()> task) override;

  Stream* Find(io::StreamId id);
  void Complete(Completion completion);
  void CompleteLater(Completion completion);
  void Wake(TimeNs delay);
  void Turn();
  void RunCompletions();
  void RunTimers();
  void RunPosted();
  void RunEndOfTurn();
  void Dispatch(Completion& completion);
  void Accept(Completion& completion);
  void ReadInto(Stream& stream);
  void TakeOutput(io::StreamId id);
  void FinishIfIdle(Stream& stream);

  Scheduler& scheduler_;
  Network& network_;
  const HostId host_;
  IoProfile profile_;
  base::Prng prng_;
  Trace& trace_;
  const std::function<void(const std::string&)> misuse_;
  // Cleared in the destructor: scheduled events outlive their process.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  std::map<io::StreamId, std::unique_ptr<Stream>> streams_;
  std::map<io::ListenerId, std::unique_ptr<Port>> listeners_;
  std::vector<Completion> ready_;
  std::deque<std::function<void()>> posted_;
  std::vector<std::function<void()>> end_of_turn_;
  std::map<std::pair<TimeNs, io::TimerId>, std::function<void()>> timers_;
  std::map<io::TimerId, TimeNs> timer_due_;
  uint64_t next_id_ = 1;
  TimeNs wake_at_ = io::kNever;
  bool stopped_ = false;
  bool killed_ = false;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_SIM_IO_H_
