// SPDX-License-Identifier: Apache-2.0
//
// The node-wide files that no snapshot holds, for few tools read them and some are long: tables of
// sockets, locks and IPC objects, counters, sys/. A node is asked for one when it is opened, and
// costs nothing until then. Everybody may read them, as the kernel has it. Pure functions, from any
// thread.
//
// The rules by which the nodes' copies become one stand in docs/PROC.md. A copy that cannot be
// parsed is left out.
#ifndef CLUSTIX_LIB_PROCVIEW_ASKED_FILES_H_
#define CLUSTIX_LIB_PROCVIEW_ASKED_FILES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace clustix::procview {

enum class AskedRule : uint8_t {
  kOwn,             // the asking node's
  kPidMax,          // above every global pid: ViewPidMax()
  kInetSockets,     // lists of sockets, one after the other; inode numbers by GlobalSocket()
  kUnixSockets,     //
  kNetlinkSockets,  //
  kPacketSockets,   //
  kSum,             // of numbers, column by column
  kLineSums,        // "Ip6InReceives 12"
  kPairSums,        // "TCP: inuse 1 orphan 0"
  kHeadedSums,      // "Ip: Forwarding InReceives" above "Ip: 2 1234"
  kCpuColumns,      // a column for each processor of all nodes
  kConcatenation,   // of lines
  kIpc,             // of lines below one header, with global pids
  kLocks,           // of lines that are numbered through, with global pids
};

struct AskedFile {
  const char* path;  // below /proc
  AskedRule rule;
  uint32_t kept = 0;  // of kSum, bits of columns that are no amounts: the first node's
};

inline constexpr std::array<AskedFile, 55> kAskedFiles = {{
    {"cmdline", AskedRule::kOwn},
    {"interrupts", AskedRule::kCpuColumns},
    {"locks", AskedRule::kLocks},
    {"net/icmp", AskedRule::kInetSockets},
    {"net/icmp6", AskedRule::kInetSockets},
    {"net/netlink", AskedRule::kNetlinkSockets},
    {"net/netstat", AskedRule::kHeadedSums},
    {"net/packet", AskedRule::kPacketSockets},
    {"net/raw", AskedRule::kInetSockets},
    {"net/raw6", AskedRule::kInetSockets},
    {"net/snmp", AskedRule::kHeadedSums},
    {"net/snmp6", AskedRule::kLineSums},
    {"net/sockstat", AskedRule::kPairSums},
    {"net/sockstat6", AskedRule::kPairSums},
    {"net/softnet_stat", AskedRule::kConcatenation},
    {"net/tcp", AskedRule::kInetSockets},
    {"net/tcp6", AskedRule::kInetSockets},
    {"net/udp", AskedRule::kInetSockets},
    {"net/udp6", AskedRule::kInetSockets},
    {"net/udplite", AskedRule::kInetSockets},
    {"net/udplite6", AskedRule::kInetSockets},
    {"net/unix", AskedRule::kUnixSockets},
    {"softirqs", AskedRule::kCpuColumns},
    {"sys/fs/dentry-state", AskedRule::kSum, 1 << 2},  // the age limit in seconds
    {"sys/fs/file-max", AskedRule::kSum},
    {"sys/fs/file-nr", AskedRule::kSum},
    {"sys/fs/inode-nr", AskedRule::kSum},
    {"sys/fs/inode-state", AskedRule::kSum},
    {"sys/fs/nr_open", AskedRule::kOwn},
    {"sys/kernel/cap_last_cap", AskedRule::kOwn},
    {"sys/kernel/domainname", AskedRule::kOwn},
    {"sys/kernel/hostname", AskedRule::kOwn},
    {"sys/kernel/msgmax", AskedRule::kOwn},
    {"sys/kernel/msgmnb", AskedRule::kOwn},
    {"sys/kernel/msgmni", AskedRule::kOwn},
    {"sys/kernel/ngroups_max", AskedRule::kOwn},
    {"sys/kernel/osrelease", AskedRule::kOwn},
    {"sys/kernel/ostype", AskedRule::kOwn},
    {"sys/kernel/pid_max", AskedRule::kPidMax},
    {"sys/kernel/pty/max", AskedRule::kOwn},
    {"sys/kernel/pty/nr", AskedRule::kSum},
    {"sys/kernel/random/boot_id", AskedRule::kOwn},
    {"sys/kernel/random/uuid", AskedRule::kOwn},
    {"sys/kernel/sem", AskedRule::kOwn},
    {"sys/kernel/shmall", AskedRule::kOwn},
    {"sys/kernel/shmmax", AskedRule::kOwn},
    {"sys/kernel/shmmni", AskedRule::kOwn},
    {"sys/kernel/threads-max", AskedRule::kSum},
    {"sys/kernel/version", AskedRule::kOwn},
    {"sys/net/core/somaxconn", AskedRule::kOwn},
    {"sys/vm/overcommit_memory", AskedRule::kOwn},
    {"sysvipc/msg", AskedRule::kIpc},
    {"sysvipc/sem", AskedRule::kIpc},
    {"sysvipc/shm", AskedRule::kIpc},
    {"tty/drivers", AskedRule::kOwn},
}};

// nullptr: it is not one of them.
const AskedFile* FindAskedFile(std::string_view path);

// One node's copy.
struct NodeCopy {
  uint16_t node = 0;
  std::string text;
};

// Of copies by ascending node, as `self` shows them. Not for kOwn and kPidMax. Empty if no copy is
// usable.
std::string MergeAskedFile(const AskedFile& file, std::span<const NodeCopy> copies, uint16_t self);

// What everybody may know of a node's text: the addresses of sockets in the kernel's memory, which
// the kernel itself hides from readers without privileges, are zeros. A line in which they cannot
// be told is left out.
std::string HideAskedAddresses(const AskedFile& file, std::string text);

// The numbers of the sockets of another node, in tables and links: the kernel's take 32 bits, and
// the node stands above them. This node's stay as they are, for its own /proc shows them as well.
constexpr int kSocketNodeShift = 32;
constexpr uint64_t GlobalSocket(uint16_t node, uint64_t inode, uint16_t self) {
  return node == self || inode == 0 ? inode : uint64_t{node} << kSocketNodeShift | inode;
}

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_ASKED_FILES_H_
