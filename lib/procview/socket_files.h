// SPDX-License-Identifier: Apache-2.0
//
// net/tcp, net/unix and the other lists of sockets. Pure functions, from any thread; private to the
// layer, behind asked_files.h.
#ifndef CLUSTIX_LIB_PROCVIEW_SOCKET_FILES_H_
#define CLUSTIX_LIB_PROCVIEW_SOCKET_FILES_H_

#include <span>
#include <string>
#include <string_view>

#include "lib/procview/asked_files.h"

namespace clustix::procview {

// The words of a line, from 0, in which a socket's inode number and its address in the kernel's
// memory stand.
struct SocketColumns {
  size_t inode, address;
};
inline constexpr SocketColumns kInetColumns = {9, 11};
inline constexpr SocketColumns kUnixColumns = {6, 0};
inline constexpr SocketColumns kNetlinkColumns = {9, 0};
inline constexpr SocketColumns kPacketColumns = {8, 0};

// One list after the other, below the header of the first. A line without those columns is left
// out.
std::string MergeSockets(const SocketColumns& columns, std::span<const NodeCopy> copies,
                         uint16_t self);

std::string HideSocketAddresses(const SocketColumns& columns, std::string_view text);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_SOCKET_FILES_H_
