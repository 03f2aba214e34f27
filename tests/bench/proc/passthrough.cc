// SPDX-License-Identifier: Apache-2.0
//
// A plain pass-through of a directory by libfuse's high-level interface, as its example
// `passthrough_fh` is one: what the cluster's /proc is measured beside. Only what a reader of /proc
// needs; files are read past the page cache, for those of /proc have no size.
//
// bench-proc-fuse SOURCE MOUNTPOINT: returns when it is mounted, and serves until it is unmounted.
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>

namespace {

int source = -1;

// The path below the source; "." for the source itself.
std::string Below(const char* path) { return path[1] == '\0' ? "." : path + 1; }

int GetAttr(const char* path, struct stat* info, fuse_file_info*) {
  return fstatat(source, Below(path).c_str(), info, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

int ReadLink(const char* path, char* buffer, size_t size) {
  const ssize_t length = readlinkat(source, Below(path).c_str(), buffer, size - 1);
  if (length < 0) return -errno;
  buffer[length] = '\0';
  return 0;
}

int ReadDir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*,
            fuse_readdir_flags) {
  const int fd = openat(source, Below(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  DIR* stream = fdopendir(fd);
  if (stream == nullptr) {
    const int error = errno;
    close(fd);
    return -error;
  }
  while (const dirent* entry = readdir(stream)) {
    struct stat info = {};
    info.st_ino = entry->d_ino;
    info.st_mode = static_cast<mode_t>(entry->d_type) << 12;
    if (fill(buffer, entry->d_name, &info, 0, fuse_fill_dir_flags{}) != 0) break;
  }
  closedir(stream);
  return 0;
}

int Open(const char* path, fuse_file_info* file) {
  const int fd = openat(source, Below(path).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  file->fh = static_cast<uint64_t>(fd);
  file->direct_io = 1;
  return 0;
}

int Read(const char*, char* buffer, size_t size, off_t offset, fuse_file_info* file) {
  const ssize_t length = pread(static_cast<int>(file->fh), buffer, size, offset);
  return length < 0 ? -errno : static_cast<int>(length);
}

int Release(const char*, fuse_file_info* file) {
  close(static_cast<int>(file->fh));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SOURCE MOUNTPOINT\n", argv[0]);
    return 2;
  }
  source = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (source < 0) {
    std::perror(argv[1]);
    return 1;
  }
  fuse_operations operations = {};
  operations.getattr = GetAttr;
  operations.readlink = ReadLink;
  operations.readdir = ReadDir;
  operations.open = Open;
  operations.read = Read;
  operations.release = Release;
  char allow_other[] = "-oallow_other";
  char* arguments[] = {argv[0], argv[2], allow_other, nullptr};
  return fuse_main(3, arguments, &operations, nullptr);
}
