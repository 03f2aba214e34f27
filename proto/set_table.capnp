# SPDX-License-Identifier: Apache-2.0
@0xd2a90c1e7b6f4835;

# The table of object sets, as it stands in a system set of its own (daemon/objects/set_table.h): the
# names fall into buckets by their hash, and the value of each bucket's object is one of these, as one
# unpacked message. Written by any node, read by all.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");

struct SetTableBucket {
  sets @0 :List(SetTableEntry);
}

struct SetTableEntry {
  name @0 :Text;
  set @1 :UInt32;  # the id, which also tells durability, placement and creator (lib/kddm/ids.h)
  linker @2 :Text;
  mode @3 :UInt16;
  quotaBytes @4 :UInt64;
  uid @5 :UInt32;
  gid @6 :UInt32;
}
