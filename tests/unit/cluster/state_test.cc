// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "daemon/cluster/down.h"
#include "daemon/cluster/files.h"

namespace clustix::cluster {
namespace {

class StateTest : public testing::Test {
 protected:
  ~StateTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  static std::string MakeTemporary() {
    char path[] = "/tmp/clustix-state-XXXXXX";
    const char* made = mkdtemp(path);
    return made != nullptr ? made : "";
  }

  const std::string directory_ = MakeTemporary();
  Layout layout_{directory_};
};

TEST_F(StateTest, Comes_back_as_it_was_saved) {
  State state{.mode = Mode::kLoopback, .nodes = {{1, {10, 100}}, {5, {11, 1ull << 40}}}};
  ASSERT_TRUE(SaveState(layout_, state).ok());
  absl::StatusOr<State> loaded = LoadState(layout_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->mode, Mode::kLoopback);
  EXPECT_EQ(loaded->nodes, state.nodes);
}

TEST_F(StateTest, Of_another_boot_names_no_process) {
  ASSERT_TRUE(SaveState(layout_, State{.nodes = {{1, {10, 100}}}}).ok());
  std::string text = *ReadFile(layout_.StateFile());
  size_t at = text.find("\"boot_id\": \"") + 12;
  text[at] = text[at] == '0' ? '1' : '0';
  ASSERT_TRUE(WriteFileAtomically(layout_.StateFile(), text, 0644).ok());
  absl::StatusOr<State> loaded = LoadState(layout_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(loaded->nodes.empty());
}

TEST_F(StateTest, That_is_damaged_is_an_error) {
  for (const char* text : {"", "{", "[]", "{\"mode\": 3}", "\xff\xfe", "{\"nodes\":{}}"}) {
    ASSERT_TRUE(WriteFileAtomically(layout_.StateFile(), text, 0644).ok());
    EXPECT_EQ(LoadState(layout_).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST_F(StateTest, Lock_is_for_one_at_a_time) {
  absl::StatusOr<BaseLock> first = BaseLock::Take(layout_, After(std::chrono::seconds(5)));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(BaseLock::Take(layout_, After(std::chrono::seconds(0))).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(StateTest, Lock_is_free_again_when_its_holder_lets_go) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(BaseLock::Take(layout_, After(std::chrono::seconds(0))).ok());
  }
}

TEST_F(StateTest, Down_without_a_cluster_removes_what_is_left_and_the_directory) {
  ASSERT_TRUE(MarkDirectory(directory_).ok());
  ASSERT_TRUE(MakeDirectory(layout_.NodeDir(1), 0755).ok());
  ASSERT_TRUE(WriteFileAtomically(layout_.Log(1), "x", 0644).ok());
  absl::StatusOr<DownResult> result = Down(layout_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->nodes, 0);
  EXPECT_TRUE(result->leftovers);
  EXPECT_NE(access(directory_.c_str(), F_OK), 0);
  result = Down(layout_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->leftovers);
}

TEST_F(StateTest, Down_leaves_a_directory_alone_that_no_cluster_has_made) {
  const std::string file = directory_ + "/letters";
  ASSERT_TRUE(WriteFileAtomically(file, "x", 0644).ok());
  EXPECT_EQ(Down(layout_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*ReadFile(file), "x");
}

TEST_F(StateTest, Tree_is_removed_without_following_links) {
  const std::string inside = directory_ + "/inside", outside = directory_ + "/outside";
  ASSERT_TRUE(MakeDirectory(inside, 0755).ok());
  ASSERT_TRUE(MakeDirectory(outside, 0755).ok());
  ASSERT_TRUE(WriteFileAtomically(outside + "/kept", "x", 0644).ok());
  ASSERT_EQ(symlink(outside.c_str(), (inside + "/link").c_str()), 0);
  ASSERT_TRUE(RemoveTree(inside).ok());
  EXPECT_NE(access(inside.c_str(), F_OK), 0);
  EXPECT_EQ(access((outside + "/kept").c_str(), F_OK), 0);
}

TEST_F(StateTest, Directory_that_others_may_write_to_is_refused) {
  const std::string path = directory_ + "/open";
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
  EXPECT_TRUE(MakeDirectory(path, 0755).ok());
  ASSERT_EQ(chmod(path.c_str(), 0777), 0);
  EXPECT_EQ(MakeDirectory(path, 0755).code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace clustix::cluster
