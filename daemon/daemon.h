// SPDX-License-Identifier: Apache-2.0
//
// One node of the cluster: makes the parts, connects them, and takes them down again in an order in
// which none calls another that is gone. All functions belong to the thread that calls Run().
#ifndef CLUSTIX_DAEMON_DAEMON_H_
#define CLUSTIX_DAEMON_DAEMON_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "daemon/admin_service.h"
#include "daemon/config.h"
#include "daemon/file_readers.h"
#include "daemon/fuse_view.h"
#include "daemon/local_proc.h"
#include "daemon/objects/object_service.h"
#include "daemon/proc_server.h"
#include "daemon/proc_service.h"
#include "daemon/proc_watch.h"
#include "daemon/remote/exec_service.h"
#include "daemon/runtime_dir.h"
#include "daemon/transport.h"
#include "daemon/worker_pool.h"
#include "lib/base/unique_fd.h"
#include "lib/io/uring_io.h"
#include "lib/member/node_table.h"
#include "lib/procview/proc_reader.h"

namespace clustix::daemon {

struct DaemonOptions {
  Config config;
  NodeConfig self;
  std::string runtime_dir;
  TransportChoice transport = TransportChoice::kAuto;
  bool proc = true;            // mount the cluster's /proc
  bool proc_optional = false;  // run without it if that fails
  std::string session_socket;  // remote::ExecOptions::session_socket
  std::string local_proc;      // FuseView::Options::local_proc; empty: RuntimeDir's
};

class Daemon {
 public:
  // Everything runs when it returns, except the loop. Blocks SIGTERM and SIGINT in this thread and
  // all that it makes.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(DaemonOptions options);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Until SIGTERM or SIGINT.
  void Run();

 private:
  explicit Daemon(DaemonOptions options) : options_(std::move(options)) {}

  absl::Status StartParts();
  absl::Status WatchSignals();
  absl::Status StartMessenger();
  absl::Status StartExec();
  absl::Status MountProc();
  void OnPeerEvent(NodeId peer, PeerEvent event);
  bool AllPeersUp() const;
  // Why the cluster's /proc is not mounted; empty if it is.
  std::string LocalProcDir() const;
  std::string WhyNoProc() const;
  void OnPartClosed();
  void AwaitClosed();
  void FillStatus(proto::Status::Builder status) const;
  void FillPeers(proto::Status::Builder status) const;
  void FillCounters(proto::Status::Builder status) const;

  // Declared in the order in which they are made; each uses only those before it.
  const DaemonOptions options_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  uint64_t incarnation_ = 0;
  Transport transport_;
  std::unique_ptr<RuntimeDir> runtime_;
  std::unique_ptr<member::NodeTable> nodes_;
  std::unique_ptr<procview::ProcReader> reader_;
  std::unique_ptr<ProcWatch> watch_;
  std::unique_ptr<LocalProc> local_;
  std::unique_ptr<FileReaders> readers_;       // of service_ and server_
  std::unique_ptr<WorkerPool> proc_workers_;   // of server_
  std::unique_ptr<WorkerPool> admin_workers_;  // of admin_
  base::UniqueFd signals_;
  std::unique_ptr<io::UringIo> io_;
  int open_parts_ = 0;  // the messenger and the services: whoever may have connections
  std::unique_ptr<ProcService> service_;
  std::unique_ptr<ProcServer> server_;
  std::unique_ptr<ObjectService> objects_;
  std::unique_ptr<Messenger> messenger_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<remote::ExecService> exec_;
  std::unique_ptr<FuseView> fuse_;
  std::string mount_error_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_DAEMON_H_
