// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/layout.h"

#include <sys/un.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/client/socket_path.h"

namespace clustix::cluster {

const char* ModeName(Mode mode) { return mode == Mode::kNamespaces ? "namespaces" : "loopback"; }

std::string Layout::NodeDir(int node) const { return absl::StrCat(base_, "/node", node); }

absl::Status Layout::Check() const {
  if (base_.empty() || base_.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("base directory \"", base_, "\" is not an absolute path"));
  }
  if (base_.back() == '/' || absl::StrContains(base_, "//") || absl::StrContains(base_, "/./") ||
      absl::StrContains(base_, "/../") || absl::EndsWith(base_, "/..") ||
      absl::EndsWith(base_, "/.")) {
    return absl::InvalidArgumentError(
        absl::StrCat("base directory \"", base_, "\" is not in its shortest form"));
  }
  // The base is created by `up` and removed by `down`: it is never a folder others live in, and
  // those of the system are one level deep.
  if (std::count(base_.begin(), base_.end(), '/') < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("base directory \"", base_,
                     "\" is directly under /: take a folder below, as /run/clustix (what `down` "
                     "removes must hold nothing else)"));
  }
  if (Socket(kMaxNodes).size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("base directory \"", base_,
                                                   "\" is too long: a socket below it must fit ",
                                                   sizeof(sockaddr_un::sun_path) - 1, " bytes"));
  }
  return absl::OkStatus();
}

std::string DefaultBaseDir() { return client::RuntimeBase(); }

std::string NodeName(int node) { return absl::StrCat("node", node); }

std::string NodeIp(Mode mode, int node) {
  // The nodes' network is cut off from every other, so that all clusters may use the same subnet.
  if (mode == Mode::kNamespaces) return absl::StrCat("10.201.0.", node);
  return absl::StrCat("127.0.0.", node + 1);
}

}  // namespace clustix::cluster
