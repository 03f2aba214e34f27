// SPDX-License-Identifier: Apache-2.0
//
// What becomes of objects behind which a linker stands, told as short stories.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/engine.h"
#include "tests/unit/kddm/mesh.h"

namespace clustix::kddm {
namespace {

TEST(Linked, A_sync_reaches_the_linker_after_the_puts_of_its_node) {
  using What = LinkerWork::What;
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kLinked);
  mesh.Set(3, key, "w");
  mesh.TakeLinkerWorks();
  const OpId set = mesh.Begin(2, OpKind::kSet, key, "x");
  const OpId sync = mesh.Begin(2, OpKind::kSync, key);
  mesh.DeliverUntilEnd(set);
  EXPECT_EQ(mesh.Result(sync), "");
  EXPECT_EQ(mesh.DeliverUntilEnd(sync), (Told{"sync", "reply"}));
  EXPECT_EQ(mesh.Result(sync), "ok");
  EXPECT_EQ(mesh.TakeLinkerWorks(), (std::vector{What::kExport, What::kSync}));
}

TEST(Linked, A_sync_that_the_home_does_not_answer_is_asked_for_again_at_the_next_one) {
  Mesh mesh(3);
  const ObjectKey key = Written(mesh, 2, kLinked);
  const OpId sync = mesh.Begin(2, OpKind::kSync, key);
  mesh.Crash({1});
  EXPECT_EQ(mesh.Result(sync), "ok");
  EXPECT_EQ(mesh.TakeLinkerWorks().back(), LinkerWork::What::kSync);
  EXPECT_EQ(mesh.Get(3, key), "x");
}

TEST(Linked, What_a_linker_has_of_itself_is_asked_for_again_once_it_was_taken_back) {
  using What = LinkerWork::What;
  const std::string none = StatusName(Status::kNotFound);
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kLinked);
  mesh.Show(key, "old");
  EXPECT_EQ(mesh.Get(2, key), "old");
  mesh.Show(key, "new");
  EXPECT_EQ(mesh.Get(3, key), "old") << "until it is taken back";
  mesh.Do(1, OpKind::kRemove, key);
  EXPECT_EQ(mesh.TakeLinkerWorks(), (std::vector{What::kImport, What::kRemove}));
  EXPECT_EQ(mesh.Get(2, key), "new");
  EXPECT_EQ(mesh.Get(3, key), "new");
  EXPECT_EQ(mesh.TakeLinkerWorks(), (std::vector{What::kImport}));
  mesh.Do(1, OpKind::kRemove, key);
  // What was not there when somebody asked may be when the next one does.
  mesh.Show(key, "");
  EXPECT_EQ(mesh.Get(2, key), none);
  mesh.Show(key, "again");
  EXPECT_EQ(mesh.Get(3, key), "again");
}

TEST(Linked, A_sync_of_what_has_no_linker_waits_for_puts_and_sends_nothing) {
  Mesh mesh(3);
  const ObjectKey key = Mesh::PlacedAt(1, kReplicas2);
  const OpId set = mesh.Begin(2, OpKind::kSet, key, "x");
  const OpId sync = mesh.Begin(2, OpKind::kSync, key);
  mesh.DeliverUntilEnd(set);
  EXPECT_EQ(mesh.Result(sync), "ok");
  EXPECT_TRUE(mesh.DeliverAll().empty());
}

}  // namespace
}  // namespace clustix::kddm
