// SPDX-License-Identifier: Apache-2.0
//
// Small files, whole: read, write so that no reader sees half of one, and directories that are
// removed. Any thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_FILES_H_
#define CLUSTIX_DAEMON_CLUSTER_FILES_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace clustix::cluster {

absl::StatusOr<std::string> ReadFile(const std::string& path);
// Writes one of the kernel's files, which take their text in a single write(2).
absl::Status WriteProcFile(const std::string& path, const std::string& text);

// Replaces the file by a new one of that mode; on any error the old one is intact.
absl::Status WriteFileAtomically(const std::string& path, const std::string& text, mode_t mode);

// An existing directory is fine if it belongs to this user and nobody else may write to it:
// otherwise somebody could plant what we are about to run or remove.
absl::Status MakeDirectory(const std::string& path, mode_t mode);

// Of a directory whose content is ours to remove: this file stands in it.
inline constexpr char kMarkName[] = ".clustix";
// Marks a directory as ours, or says whether it is.
absl::Status MarkDirectory(const std::string& path);
bool IsMarked(const std::string& path);

// Removes a directory and what is in it. Stops at another file system rather than empty what is
// mounted there, and follows no symbolic link. A directory that is not there is fine.
absl::Status RemoveTree(const std::string& path);

// A file that is not there is fine.
absl::Status RemoveFile(const std::string& path);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_FILES_H_
