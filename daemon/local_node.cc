// SPDX-License-Identifier: Apache-2.0
//
// Which node of the configuration this machine is: the last part of config.h.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "daemon/address.h"
#include "daemon/config.h"
#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

std::string NodeNames(const std::vector<NodeConfig>& nodes) {
  std::string text;
  for (const NodeConfig& node : nodes) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", node.id, " (", node.name, ")");
  }
  return text;
}

// The host's part of "node1.example.org" is enough: hostnames are set in either form.
bool SameHost(const std::string& name, const std::string& hostname) {
  return name == hostname || name == hostname.substr(0, hostname.find('.'));
}

}  // namespace

LocalIdentity ReadLocalIdentity() {
  LocalIdentity identity;
  std::array<char, 256> hostname{};
  if (gethostname(hostname.data(), hostname.size() - 1) == 0) identity.hostname = hostname.data();
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return identity;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      inet_ntop(AF_INET6, &address->sin6_addr, text.data(), text.size());
    } else {
      continue;
    }
    identity.ips.emplace_back(text.data());
  }
  freeifaddrs(list);
  return identity;
}

absl::StatusOr<NodeConfig> FindLocalNode(const Config& config, const std::string& wanted,
                                         const LocalIdentity& identity) {
  if (!wanted.empty()) {
    for (const NodeConfig& node : config.nodes) {
      if (node.name == wanted || std::to_string(node.id) == wanted) return node;
    }
    return absl::NotFoundError(absl::StrCat(config.path, ": no node \"", wanted,
                                            "\"; there are: ", NodeNames(config.nodes)));
  }
  for (const NodeConfig& node : config.nodes) {
    if (SameHost(node.name, identity.hostname)) return node;
  }
  std::vector<NodeConfig> here;
  for (const NodeConfig& node : config.nodes) {
    absl::StatusOr<Address> address = ParseAddress(node.address);
    if (address.ok() &&
        std::find(identity.ips.begin(), identity.ips.end(), address->ip) != identity.ips.end()) {
      here.push_back(node);
    }
  }
  if (here.size() == 1) return here.front();
  std::string why = here.empty() ? "no node is named like this host (" + identity.hostname +
                                       ") or has an address of it"
                                 : "several nodes have an address of this host";
  return absl::NotFoundError(absl::StrCat(config.path, ": ", why, " (say which with --node: ",
                                          NodeNames(here.empty() ? config.nodes : here), ")"));
}

}  // namespace clustix::daemon
