// SPDX-License-Identifier: Apache-2.0
// Events of descriptors, and how devices are let go; commands need a device, as tests/vm has one.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/unique_fd.h"
#include "lib/io/uring_command.h"
#include "tests/unit/io/uring_fixture.h"

namespace clustix::io {
namespace {

class Probe : public DeviceHandler {
 public:
  explicit Probe(std::function<void()> progress) : progress_(std::move(progress)) {}
  void OnCommand(uint32_t tag, int result) override {
    EXPECT_FALSE(detached);
    results.emplace_back(tag, result);
    progress_();
  }
  void OnEvents(uint32_t events) override {
    EXPECT_FALSE(detached);
    ++told;
    last_events = events;
    if (on_events) on_events();
    progress_();
  }
  void OnDetached() override {
    EXPECT_FALSE(detached) << "twice";
    detached = true;
    progress_();
  }

  std::vector<std::pair<uint32_t, int>> results;
  int told = 0;
  uint32_t last_events = 0;
  bool detached = false;
  std::function<void()> on_events;

 private:
  std::function<void()> progress_;
};

class UringDevices : public UringFixture {
 protected:
  void SetUp() override {
    UringFixture::SetUp();
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    reader_.Reset(ends[0]);
    writer_.Reset(ends[1]);
  }
  void Write() { ASSERT_EQ(write(writer_.get(), "x", 1), 1); }

  base::UniqueFd reader_, writer_;
  Probe probe_{Progress()};
};

TEST_F(UringDevices, Tells_each_time_that_something_happens) {
  const DeviceId device = io_->Attach(reader_.get(), &probe_);
  io_->Watch(device, POLLIN);
  for (int i = 1; i <= 3; ++i) {
    Write();
    ASSERT_TRUE(RunUntil([&] { return probe_.told == i; }));
    EXPECT_TRUE(probe_.last_events & POLLIN);
  }
  io_->Detach(device);
  ASSERT_TRUE(RunUntil([&] { return probe_.detached; }));
}

TEST_F(UringDevices, Is_silent_after_it_was_detached_from_within) {
  const DeviceId device = io_->Attach(reader_.get(), &probe_);
  io_->Watch(device, POLLIN);
  probe_.on_events = [&] { io_->Detach(device); };
  Write();
  ASSERT_TRUE(RunUntil([&] { return probe_.detached; }));
  EXPECT_EQ(probe_.told, 1);
}

TEST_F(UringDevices, Is_detached_at_once_if_nothing_is_in_flight_but_not_within_the_call) {
  const DeviceId device = io_->Attach(reader_.get(), &probe_);
  io_->Detach(device);
  io_->Detach(device);
  EXPECT_FALSE(probe_.detached);
  ASSERT_TRUE(RunUntil([&] { return probe_.detached; }));
}

// A pipe knows none.
TEST_F(UringDevices, Reports_every_command_before_it_is_detached) {
  const DeviceId device = io_->Attach(reader_.get(), &probe_);
  for (uint32_t tag = 10; tag < 13; ++tag) io_->Submit(device, 1, {}, tag);
  io_->Detach(device);
  ASSERT_TRUE(RunUntil([&] { return probe_.detached; }));
  ASSERT_EQ(probe_.results.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(probe_.results[i].first, 10 + i);
    EXPECT_EQ(probe_.results[i].second, -EOPNOTSUPP);
  }
}

TEST_F(UringDevices, Runs_one_command_without_a_loop) {
  EXPECT_EQ(RunDeviceCommand(reader_.get(), 1, {}), -EOPNOTSUPP);
  EXPECT_EQ(RunDeviceCommand(-1, 1, {}), -EBADF);
}

}  // namespace
}  // namespace clustix::io
