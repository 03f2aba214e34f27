// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/faulted_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "lib/base/status.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

base::UniqueFd OpenFaults() {
  return base::UniqueFd(
      static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
}

}  // namespace

bool FaultedPages::ArePossible() { return OpenFaults().valid(); }

absl::StatusOr<std::unique_ptr<FaultedPages>> FaultedPages::Make(size_t pages, Fetch fetch) {
  std::unique_ptr<FaultedPages> made(new FaultedPages(pages, std::move(fetch)));
  RETURN_IF_ERROR(made->Map());
  made->server_ = std::thread([raw = made.get()] { raw->Serve(); });
  return made;
}

absl::Status FaultedPages::Map() {
  faults_ = OpenFaults();
  if (!faults_.valid()) return base::ErrnoStatus(errno, "userfaultfd");
  end_.Reset(eventfd(0, EFD_CLOEXEC));
  if (!end_.valid()) return base::ErrnoStatus(errno, "eventfd");
  uffdio_api api = {.api = UFFD_API, .features = 0, .ioctls = 0};
  if (ioctl(faults_.get(), UFFDIO_API, &api) != 0) return base::ErrnoStatus(errno, "UFFDIO_API");
  void* memory = mmap(nullptr, pages_ * kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return base::ErrnoStatus(errno, "mmap");
  memory_ = static_cast<std::byte*>(memory);
  uffdio_register range = {
      .range = {.start = reinterpret_cast<uintptr_t>(memory), .len = pages_ * kBytes},
      .mode = UFFDIO_REGISTER_MODE_MISSING,
      .ioctls = 0};
  if (ioctl(faults_.get(), UFFDIO_REGISTER, &range) != 0) {
    return base::ErrnoStatus(errno, "UFFDIO_REGISTER");
  }
  return absl::OkStatus();
}

FaultedPages::~FaultedPages() {
  if (server_.joinable()) {
    eventfd_write(end_.get(), 1);
    server_.join();
  }
  if (memory_ != nullptr) munmap(memory_, pages_ * kBytes);
}

void FaultedPages::Serve() {
  pollfd fds[] = {{faults_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}};
  while (true) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    uffd_msg fault;
    if (read(faults_.get(), &fault, sizeof(fault)) != static_cast<ssize_t>(sizeof(fault))) continue;
    if (fault.event != UFFD_EVENT_PAGEFAULT) continue;
    const uint64_t start = fault.arg.pagefault.address & ~uint64_t{kBytes - 1};
    bool supplied = false;
    const auto supply = [&](const void* bytes) {
      // Wakes whoever touched the page.
      uffdio_copy copy = {.dst = start,
                          .src = reinterpret_cast<uintptr_t>(bytes),
                          .len = kBytes,
                          .mode = 0,
                          .copy = 0};
      supplied = ioctl(faults_.get(), UFFDIO_COPY, &copy) == 0;
    };
    status_ = absl::OkStatus();
    const absl::Status fetched =
        fetch_((start - reinterpret_cast<uintptr_t>(memory_)) / kBytes, supply);
    if (supplied) continue;
    status_ = fetched.ok() ? absl::InternalError("a page was not supplied") : fetched;
    uffdio_zeropage zero = {.range = {.start = start, .len = kBytes}, .mode = 0, .zeropage = 0};
    ioctl(faults_.get(), UFFDIO_ZEROPAGE, &zero);
  }
}

absl::StatusOr<uint64_t> FaultedPages::Touch(size_t page) {
  const uint64_t begin = NowNs();
  static_cast<void>(*static_cast<const volatile std::byte*>(memory_ + page * kBytes));
  const uint64_t spent = NowNs() - begin;
  if (!status_.ok()) return status_;
  return spent;
}

}  // namespace clustix::bench
