// SPDX-License-Identifier: Apache-2.0
#include "daemon/transport.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/msg/kccm_messenger.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {
namespace {

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string KernelRelease() {
  utsname names{};
  return uname(&names) == 0 ? names.release : "unknown";
}

// Empty: not in a container, as far as can be seen.
std::string ContainerKind(const std::string& root) {
  std::string kind = Contents(root + "/run/systemd/container");
  if (!kind.empty()) return kind.substr(0, kind.find('\n'));
  if (Exists(root + "/.dockerenv")) return "docker";
  if (Exists(root + "/run/.containerenv")) return "podman";
  return "";
}

// Each reason makes those after it moot.
std::string WhyNotLoaded(const std::string& root) {
  const std::string kernel = "kernel " + KernelRelease();
  if (!Exists(root + "/proc/modules")) {
    return kernel + " is built without loadable modules (CONFIG_MODULES is off)";
  }
  if (std::string kind = ContainerKind(root); !kind.empty()) {
    return "this is a container (" + kind +
           "): kccm can only be loaded on its host, and /dev/kccm handed in";
  }
  if (Contents(root + "/proc/sys/kernel/modules_disabled").starts_with('1')) {
    return kernel + " takes no more modules until it is rebooted (kernel.modules_disabled=1)";
  }
  std::string lockdown = Contents(root + "/sys/kernel/security/lockdown");
  if (lockdown.find("[integrity]") != std::string::npos ||
      lockdown.find("[confidentiality]") != std::string::npos) {
    return kernel + " is locked down and loads signed modules only";
  }
  return "the module kccm is not loaded in " + kernel + " (modprobe kccm)";
}

}  // namespace

std::string WhyNoModule(const std::string& root) {
  return Exists(root + "/dev/kccm") ? "" : WhyNotLoaded(root);
}

absl::StatusOr<RunningTransport> StartTransport(TransportChoice choice, io::UringIo& io,
                                                const msg::MessengerConfig& config,
                                                const std::function<void()>& closed) {
  std::string why_user = "it is what the configuration asks for (transport = \"user\")";
  if (choice != TransportChoice::kUser) {
    why_user = WhyNoModule();
    absl::Status failed = absl::FailedPreconditionError(base::ToAbsl(why_user));
    if (why_user.empty()) {
      // What every node serves, so that no peer finds it without.
      const std::vector<Port> ports(msg::kServedPorts.begin(), msg::kServedPorts.end());
      absl::StatusOr<msg::KccmMessenger> kccm = msg::StartKccmMessenger(io, config, ports, closed);
      if (kccm.ok()) {
        return RunningTransport{.transport = {"kccm", absl::StrCat("protocol ", kccm->protocol)},
                                .messenger = std::move(kccm->messenger),
                                .incarnation = kccm->incarnation};
      }
      failed = kccm.status();
      why_user = absl::StrCat("/dev/kccm is there and cannot be used: ", failed.message());
    }
    if (choice == TransportChoice::kModule) {
      io.loop().Post(closed);
      return absl::Status(failed.code(),
                          absl::StrCat("the kernel module cannot be used: ", failed.message(),
                                       " (transport = \"auto\" takes user space then)"));
    }
    if (WhyNoModule().empty()) {
      base::Log(base::LogLevel::kWarning, "daemon", "takes user space instead of the module",
                {{"reason", why_user}});
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Messenger> messenger,
                   msg::StartSessionMessenger(io, config, msg::SystemRandom(), closed));
  return RunningTransport{.transport = {"user-space", why_user},
                          .messenger = std::move(messenger),
                          .incarnation = config.incarnation};
}

}  // namespace clustix::daemon
