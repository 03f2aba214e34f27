// SPDX-License-Identifier: Apache-2.0
//
// What a program on this machine may ask its daemon (proto/admin.capnp), blocking. Plain values in
// and out, so that whoever uses this needs no Cap'n Proto. One thread at a time per Client.
#ifndef CLUSTIX_LIB_CLIENT_CLIENT_H_
#define CLUSTIX_LIB_CLIENT_CLIENT_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "lib/proc/signal_outcome.h"
#include "lib/proc/snapshot.h"

namespace clustix::client {

// How long a daemon that is well takes at most to say something.
inline constexpr std::chrono::milliseconds kSilence{2000};
// How long to wait for a daemon that ended: where something restarts it, it is back at once.
inline constexpr std::chrono::milliseconds kRestart{2000};

struct Counter {
  std::string name;
  uint64_t value = 0;
};

struct PeerStatus {
  uint16_t node = 0;
  std::string name, address, state;
  uint64_t incarnation = 0;  // 0: never heard
  std::vector<Counter> counters;
};

struct Status {
  std::string version;
  std::string cluster_name, cluster_uuid;
  uint16_t node = 0;
  std::string name, address;
  uint64_t incarnation = 0;
  int32_t pid = 0;           // as this process sees it, else as the daemon does
  bool shares_pids = false;  // the daemon is in the pid namespace of this process
  uint64_t uptime_ms = 0;
  std::string proc_mount;   // empty: nothing is mounted
  std::string proc_note;    // why not
  std::string proc_watch;   // how the node learns of births and exits
  std::string local_proc;   // with proc_mount: where its links expect the node's own /proc
  uint32_t sets_epoch = 0;  // of the view of object sets; 0: they are not served yet
  std::string sets_state;   // how they stand, in words
  std::string transport_name, transport_reason;
  std::vector<PeerStatus> peers;
  std::vector<Counter> counters;
};

class Client {
 public:
  // `timeout` is for each time that the daemon says nothing. kNotFound or kUnavailable: no daemon
  // is there; kDeadlineExceeded: it accepts nobody.
  static absl::StatusOr<Client> Connect(const std::string& socket_path,
                                        std::chrono::milliseconds timeout = kSilence);
  // The same for a daemon that may only be starting: waits up to `patience` for it. The socket's
  // folder must be there.
  static absl::StatusOr<Client> Await(const std::string& socket_path,
                                      std::chrono::milliseconds patience);

  // A daemon that ends while it is asked is asked again if it is back within kRestart.
  // kDeadlineExceeded: the daemon does not answer, and the message says what helps if it is
  // stopped; kUnavailable: it went away; kInvalidArgument: it answered something malformed;
  // kInternal: with its own message. After an error the connection is of no more use.
  absl::StatusOr<Status> GetStatus();
  // Waits until all peers are up, up to `patience` (and no longer than the daemon lets it); the
  // status tells whether they are.
  absl::StatusOr<Status> AwaitPeers(std::chrono::milliseconds patience);
  absl::StatusOr<std::vector<proc::NodeSummary>> GetNodes();
  absl::StatusOr<proc::ClusterSnapshot> GetSnapshot();

  // Sends a signal to a process of any node by its global pid, as the user of this process; with
  // `start_ticks` other than 0, only if the process started then (its stat says so). It is asked
  // once: if the daemon here ends or stays silent meanwhile, the error is kUnknown, and so is what
  // became of the signal.
  absl::StatusOr<proc::SignalOutcome> Signal(int32_t gpid, int signal, uint64_t start_ticks);

  // The daemon's pid in this process's pid namespace; 0: it is in none that can be seen from here.
  pid_t DaemonPid() const;

 private:
  Client(base::UniqueFd fd, std::string path, std::chrono::milliseconds timeout)
      : fd_(std::move(fd)), path_(std::move(path)), timeout_(timeout) {}

  // `patience`: how long the daemon may be silent beyond timeout_.
  absl::StatusOr<std::vector<std::byte>> Exchange(const std::vector<std::byte>& request,
                                                  std::chrono::milliseconds patience = {});
  absl::StatusOr<std::vector<std::byte>> TryExchange(const std::vector<std::byte>& request);
  absl::Status SendAll(const void* data, size_t bytes);
  absl::Status ReceiveAll(void* to, size_t bytes);
  absl::Status SocketError(int error) const;

  base::UniqueFd fd_;
  std::string path_;
  std::chrono::milliseconds timeout_;
};

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_CLIENT_H_
