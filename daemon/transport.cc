// SPDX-License-Identifier: Apache-2.0
#include "daemon/transport.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

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

// Why the module is not loaded, most fundamental reason first: each makes those after it moot.
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
  return "the module kccm is not loaded in " + kernel + " (there is no /dev/kccm)";
}

}  // namespace

Transport ChooseTransport(const std::string& root) {
  if (Exists(root + "/dev/kccm")) {
    return {"user-space", "/dev/kccm is there, but this clustixd was built without its transport"};
  }
  return {"user-space", WhyNotLoaded(root)};
}

}  // namespace clustix::daemon
