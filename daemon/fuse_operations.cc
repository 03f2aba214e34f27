// SPDX-License-Identifier: Apache-2.0
//
// Three rules make tools believe that this is /proc:
//  1. What comes and goes is not cached by the kernel: the timeout of attributes is 0, and that of
//     names too, but where a name stands for the same thing forever: that of a process and those
//     inside it. Whether the process is there is asked by whatever is done with the name.
//  2. Sizes are 0 and reads go past the page cache (direct_io), or an empty file would be read.
//  3. A file's text is taken when it is opened, and again when it is read from its beginning again;
//     a directory's names when it is opened. So small reads see one moment, and a tool that keeps
//     its files open sees time pass.
#include "daemon/fuse_operations.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/proc_inode.h"
#include "daemon/proc_tree.h"

namespace clustix::daemon {
namespace {

constexpr double kForeverSeconds = 86400;
constexpr size_t kOpenBytes = 256;  // of what is open, besides what it says

FuseState* State(fuse_req_t req) { return static_cast<FuseState*>(fuse_req_userdata(req)); }

ProcTree* Tree(fuse_req_t req) { return &State(req)->tree; }

procview::Asker AskerOf(fuse_req_t req) {
  const fuse_ctx* context = fuse_req_ctx(req);
  return {context->uid, context->gid};
}

struct stat StatOf(const ProcTree::Attributes& attributes) {
  struct stat info = {};
  info.st_ino = attributes.number != 0 ? attributes.number : attributes.inode;
  info.st_mode = attributes.mode;
  info.st_nlink = 1;  // for a directory: "do not derive the number of its subdirectories"
  info.st_uid = attributes.uid;
  info.st_gid = attributes.gid;
  info.st_blksize = 1024;
  clock_gettime(CLOCK_REALTIME, &info.st_mtim);
  info.st_atim = info.st_ctim = info.st_mtim;
  return info;
}

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  const ProcTree::Attributes found = Tree(req)->Lookup(parent, name, AskerOf(req));
  fuse_entry_param entry = {};
  if (found.error == ENOENT && found.never) {  // inode 0: the kernel keeps that there is none
    entry.entry_timeout = kForeverSeconds;
    fuse_reply_entry(req, &entry);
    return;
  }
  if (found.error != 0) {
    fuse_reply_err(req, found.error);
    return;
  }
  entry.ino = found.inode;
  entry.attr = StatOf(found);
  entry.entry_timeout = ProcInode::Decode(found.inode).IsProcess() ? kForeverSeconds : 0;
  fuse_reply_entry(req, &entry);
}

void GetAttr(fuse_req_t req, fuse_ino_t number, fuse_file_info*) {
  const ProcTree::Attributes found = Tree(req)->GetAttributes(number, AskerOf(req));
  if (found.error != 0) {
    fuse_reply_err(req, found.error);
    return;
  }
  const struct stat info = StatOf(found);
  fuse_reply_attr(req, &info, 0);
}

// access(2), and entering a directory. Opening is not asked here but decided by the node.
void Access(fuse_req_t req, fuse_ino_t number, int mask) {
  const ProcTree::Attributes found = Tree(req)->GetAttributes(number, AskerOf(req));
  if (found.error != 0) {
    fuse_reply_err(req, found.error);
    return;
  }
  const fuse_ctx* context = fuse_req_ctx(req);
  mode_t granted = found.mode & 7;
  if (context->gid == found.gid) granted = found.mode >> 3 & 7;
  if (context->uid == found.uid) granted = found.mode >> 6 & 7;
  if (context->uid == 0) granted |= R_OK;
  fuse_reply_err(req, (static_cast<mode_t>(mask) & 7 & ~granted) != 0 ? EACCES : 0);
}

void ReadLink(fuse_req_t req, fuse_ino_t number) {
  const procview::FileResult target =
      Tree(req)->ReadLink(number, AskerOf(req), fuse_req_ctx(req)->pid);
  if (target.error != 0) {
    fuse_reply_err(req, target.error);
  } else {
    fuse_reply_readlink(req, target.text.c_str());
  }
}

// If the opener was interrupted, no release will follow.
template <typename T>
void ReplyOpen(fuse_req_t req, fuse_file_info* file, HandleTable<T>* table, T captured) {
  file->fh = table->Add(std::move(captured));
  if (fuse_reply_open(req, file) != 0) table->Remove(file->fh);
}

// Nothing if too much is kept already for this user, or for all.
std::optional<OpenFile::Captured> Charged(fuse_req_t req, std::string text) {
  MemoryAccount::Charge charge =
      State(req)->memory.Take(fuse_req_ctx(req)->uid, kOpenBytes + text.capacity());
  if (!charge) return std::nullopt;
  return OpenFile::Captured{std::move(text), std::move(charge)};
}

void Open(fuse_req_t req, fuse_ino_t number, fuse_file_info* file) {
  if ((file->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(req, EROFS);
    return;
  }
  const procview::Asker opener = AskerOf(req);
  procview::FileResult result = Tree(req)->Read(number, opener);
  if (result.error != 0) {
    fuse_reply_err(req, result.error);
    return;
  }
  std::optional<OpenFile::Captured> captured = Charged(req, std::move(result.text));
  if (!captured) {
    fuse_reply_err(req, ENFILE);
    return;
  }
  file->direct_io = 1;
  ReplyOpen(
      req, file, &State(req)->files,
      std::make_shared<OpenFile>(opener, Tree(req)->StartOf(number, opener), *std::move(captured)));
}

void Read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info* file) {
  const auto handle = State(req)->files.Get(file->fh);
  if (!handle) {
    fuse_reply_err(req, EBADF);
    return;
  }
  OpenFile& open = **handle;
  if (offset == 0 && open.BeginsAgain()) {
    procview::FileResult result = Tree(req)->ReadAgain(number, open.opener(), open.started());
    if (result.error != 0) {
      fuse_reply_err(req, result.error);
      return;
    }
    std::optional<OpenFile::Captured> captured = Charged(req, std::move(result.text));
    if (!captured) {
      fuse_reply_err(req, ENOMEM);
      return;
    }
    open.Renew(*std::move(captured));
  }
  const std::shared_ptr<const std::string> text = open.text();
  const size_t start = std::min(static_cast<size_t>(offset), text->size());
  fuse_reply_buf(req, text->data() + start, std::min(size, text->size() - start));
}

void Release(fuse_req_t req, fuse_ino_t, fuse_file_info* file) {
  State(req)->files.Remove(file->fh);
  fuse_reply_err(req, 0);
}

void OpenDir(fuse_req_t req, fuse_ino_t number, fuse_file_info* file) {
  ProcTree::Listing listing = Tree(req)->List(number, AskerOf(req));
  if (listing.error != 0) {
    fuse_reply_err(req, listing.error);
    return;
  }
  const size_t bytes = kOpenBytes + listing.entries.capacity() * sizeof(ProcTree::Entry);
  OpenDirectory directory = {std::move(listing.entries),
                             State(req)->memory.Take(fuse_req_ctx(req)->uid, bytes)};
  if (!directory.charge) {
    fuse_reply_err(req, ENFILE);
    return;
  }
  ReplyOpen(req, file, &State(req)->directories, std::move(directory));
}

// An entry's offset is its index + 1; a directory stream can be rewound and positioned.
void ReadDir(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
  const auto captured = State(req)->directories.Get(file->fh);
  if (!captured) {
    fuse_reply_err(req, EBADF);
    return;
  }
  const std::vector<ProcTree::Entry>& entries = captured->entries;
  std::vector<char> buffer(size);
  size_t used = 0;
  for (size_t i = static_cast<size_t>(offset); i < entries.size(); ++i) {
    struct stat info = {};
    info.st_ino = entries[i].inode;
    info.st_mode = entries[i].mode;
    const size_t needed = fuse_add_direntry(req, buffer.data() + used, size - used,
                                            entries[i].name.c_str(), &info, off_t(i) + 1);
    if (needed > size - used) break;
    used += needed;
  }
  fuse_reply_buf(req, buffer.data(), used);
}

void ReleaseDir(fuse_req_t req, fuse_ino_t, fuse_file_info* file) {
  State(req)->directories.Remove(file->fh);
  fuse_reply_err(req, 0);
}

fuse_lowlevel_ops MakeOperations() {
  fuse_lowlevel_ops operations = {};
  operations.lookup = Lookup;
  operations.getattr = GetAttr;
  operations.access = Access;
  operations.readlink = ReadLink;
  operations.open = Open;
  operations.read = Read;
  operations.release = Release;
  operations.opendir = OpenDir;
  operations.readdir = ReadDir;
  operations.releasedir = ReleaseDir;
  return operations;
}

}  // namespace

const fuse_lowlevel_ops& FuseOperations() {
  static const fuse_lowlevel_ops operations = MakeOperations();
  return operations;
}

}  // namespace clustix::daemon
