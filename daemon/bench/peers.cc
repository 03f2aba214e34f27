// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/peers.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "daemon/bench/child.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr std::chrono::seconds kDescribePatience{10};

const KnownPeer* Find(std::string_view name) {
  const std::vector<KnownPeer>& peers = KnownPeers();
  const auto found = std::find_if(peers.begin(), peers.end(),
                                  [&](const KnownPeer& peer) { return peer.name == name; });
  return found == peers.end() ? nullptr : &*found;
}

// The module, the kernel's other ways, and what it costs to do without.
bool IsTellingInMachines(const KnownPeer& peer) {
  if (peer.of_the_kernel || peer.name == "clustix-blocking") return true;
  if (peer.name == "raw-blocking" || peer.name == "raw-epoll") return true;
  return peer.name.starts_with("sunrpc") && IsBuilt(peer);
}

absl::StatusOr<BuiltPeer> Describe(const KnownPeer& peer) {
  BuiltPeer built;
  built.by_node = peer.by_node;
  built.program = ProgramOfPeer(peer.name);
  ASSIGN_OR_RETURN(std::unique_ptr<Child> child,
                   Child::Start({built.program, "describe"}, {.dies_with_parent = true}));
  const Deadline deadline = cluster::After(kDescribePatience);
  ASSIGN_OR_RETURN(const std::string line, child->ReadLine(deadline));
  RETURN_IF_ERROR(child->Finish(deadline));
  absl::StatusOr<PeerDescription> description = ParseDescription(line);
  if (!description.ok()) return absl::InternalError(description.status().message());
  built.description = *std::move(description);
  if (built.description.name != peer.name) {
    return absl::InternalError(
        absl::StrCat(built.program, " says that it is ", built.description.name));
  }
  return built;
}

}  // namespace

const std::vector<KnownPeer>& KnownPeers() {
  static const std::vector<KnownPeer> peers = {
      {"clustix", "Clustix", true, ""},
      {"clustix-blocking", "Clustix, blocking", true, ""},
      {"raw-spin", "raw TCP, spinning", true, ""},
      {"raw-uring", "raw TCP, io_uring", true, ""},
      {"raw-epoll", "raw TCP, epoll", true, ""},
      {"raw-blocking", "raw TCP, blocking", true, ""},
      {"sunrpc", "Sun RPC", false, "libtirpc-dev"},
      {"sunrpc-batched", "Sun RPC, batched", false, "libtirpc-dev"},
      {"grpc", "gRPC, unary", false, "libgrpc++-dev protobuf-compiler-grpc"},
      {"grpc-stream", "gRPC, stream", false, "libgrpc++-dev protobuf-compiler-grpc"},
      {"capnp", "Cap'n Proto RPC", false, "libcapnp-dev"},
      {"nng", "nng", false, "libnng-dev"},
      {"zeromq", "ZeroMQ", false, "libzmq3-dev"},
      {"redis", "Redis", false, "libhiredis-dev redis-tools"},
      {"kccm", "kccm.ko, served by a program", false, "", true, true},
      {"kccm-kernel", "kccm.ko, served in the kernel", false, "", true, true},
      {"tipc", "TIPC", false, "", true},
      {"rds", "RDS over TCP", false, "", true},
  };
  return peers;
}

std::string ProgramBeside(std::string_view name) {
  const std::filesystem::path own = cluster::OwnProgram();
  return (own.parent_path().parent_path() / "libexec" / "clustix" / name).string();
}

std::string ProgramOfPeer(std::string_view name) {
  return ProgramBeside("bench-msg-" + std::string(name));
}

bool IsBuilt(const KnownPeer& peer) { return access(ProgramOfPeer(peer.name).c_str(), X_OK) == 0; }

std::string HowToBuild(const KnownPeer& peer) {
  if (peer.packages.empty()) {
    return absl::StrCat(base::ToAbsl(peer.name), " is not built: there is no ",
                        ProgramOfPeer(peer.name),
                        " (run: ./up --bench-peers; or: cmake --build build --target bench_peers)");
  }
  return absl::StrCat(
      base::ToAbsl(peer.name),
      " is not built: it is made of other libraries (run: ./up --bench-peers; or for "
      "this one: apt-get install ",
      base::ToAbsl(peer.packages),
      " && cmake -S . -B build -DCLUSTIX_BENCH_PEERS=ON && cmake --build build "
      "--target bench-msg-",
      base::ToAbsl(peer.name), ")");
}

absl::StatusOr<ChosenPeers> ChoosePeers(const std::string& choice, bool in_machines) {
  const bool all = choice == "all";
  std::vector<const KnownPeer*> wanted;
  if (all || choice == "default") {
    for (const KnownPeer& peer : KnownPeers()) {
      if (in_machines ? all || IsTellingInMachines(peer)
                      : !peer.of_the_kernel && (all || peer.by_default)) {
        wanted.push_back(&peer);
      }
    }
  } else {
    for (const std::string& name :
         std::vector<std::string>(absl::StrSplit(choice, ',', absl::SkipEmpty()))) {
      const KnownPeer* peer = Find(name);
      if (peer == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("no such peer: ", name, " (see: clustix bench msg --list-peers)"));
      }
      if (peer->of_the_kernel && !in_machines) {
        return absl::FailedPreconditionError(
            absl::StrCat(name, " is of the kernel: it is measured in machines, with --vm"));
      }
      if (std::find(wanted.begin(), wanted.end(), peer) == wanted.end()) wanted.push_back(peer);
    }
  }
  if (wanted.empty()) return absl::InvalidArgumentError("no peer is chosen");
  ChosenPeers chosen;
  std::vector<std::string> missing;
  for (const KnownPeer* peer : wanted) {
    if (!IsBuilt(*peer)) {
      if (!all || peer->by_default) missing.push_back(HowToBuild(*peer));
      chosen.not_built.push_back(peer);
      continue;
    }
    absl::StatusOr<BuiltPeer> built = Describe(*peer);
    if (!built.ok()) return base::WithContext(built.status(), std::string(peer->name));
    chosen.peers.push_back(*std::move(built));
  }
  if (!missing.empty()) return absl::FailedPreconditionError(absl::StrJoin(missing, "\n"));
  return chosen;
}

}  // namespace clustix::bench
