# SPDX-License-Identifier: Apache-2.0
@0xb7a6d1c29e40f853;

# What a program on this machine says to its daemon to use object sets (docs/KDDM.md): the protocol
# of the socket of sets, <runtime dir>/sets.sock. Only what is rare goes through it: sets are opened,
# listed, described and removed here. Objects are read in shared memory and asked for on the ring in
# it (docs/CACHE.md); lib/client/set_requests.h has those requests.
#
# A message is four bytes of length, little endian, and as many bytes of one Cap'n Proto message,
# unpacked; requests and replies alternate. A length of 0 or above setsMessageBytesMax, or bytes that are no
# SetsRequest, end the connection after an `error` reply that says why.
#
# `attached` and `opened` come with open files (SCM_RIGHTS) beside the first byte of their length:
# `attached` with three, the node page, the client's region and its end of the bell, in this order; `opened`
# with one, the set's arena. The daemon writes page and arena; the program has them for reading alone.
#
# Who may. Everybody on the machine may connect; the kernel says who it is (SO_PEERCRED). Each set
# has an owner and a mode, as a file has: reading its objects wants r, writing and removing them w; removing the set itself,
# or changing who may use it, is its owner's and root's. The users of a cluster have the same numbers on all nodes.
#
# When the connection ends, whatever the program was doing ends: its requests are given up, what it had
# grabbed is released unwritten, and its memory is taken back. Closing a set ends what goes on in it alike.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");

const setsMessageBytesMax :UInt32 = 4194304;
const setNameBytesMax :UInt32 = 255;
# A name is "namespace/name" or deeper: parts of letters, digits, ".", "-" and "_" with "/" between
# them, none of them empty, "." or "..". Parts under "clustix/" are the system's own.

struct SetsRequest {
  union {
    attach @0 :Void;  # first of all, and once
    open @1 :OpenSet;
    close @2 :UInt32;  # the set's `handle`
    list @3 :Text;  # the sets whose names begin so
    stat @4 :Text;  # of one set by its name
    remove @5 :Text;  # the set and all its objects, everywhere; who has it open gets `removed` from then on
    hot @6 :Text;  # the contended objects of the sets whose names begin so
  }
}

struct SetsReply {
  union {
    error @0 :SetsError;
    attached @1 :Attached;
    opened @2 :Opened;
    done @3 :Void;  # of close and remove
    sets @4 :List(SetInfo);  # of list and stat
    hot @5 :List(HotObject);
  }
}

struct SetsError {
  kind @0 :Kind;
  message @1 :Text;
  enum Kind {
    invalid @0;  # the request is malformed, or asks for what cannot be
    notFound @1;
    exists @2;  # `exclusive`, or there is such a set of another policy
    denied @3;
    noSpace @4;  # sets, memory or clients: the message says which
    unavailable @5;  # the node is not in the cluster, or others do not answer
    unknown @6;  # whether it has happened, or will, is not known
  }
}

struct Attached {
  node @0 :UInt16;
  members @1 :List(UInt16);  # of every view
  epoch @2 :UInt32;  # of the one that holds now; 0: none yet
}

struct SetPolicy {
  durability @0 :Durability = replicas2;
  placement @1 :Placement = hash;
  linker @2 :Text;  # of a linked set: "memory", "file:PATH" or "procfs", which nobody may open to write
  mode @3 :UInt16 = 0x180;  # permission bits as of chmod(2); 0600
  quotaBytes @4 :UInt64;  # of all objects of the set on one node; 0: the node's own limit
  enum Durability { volatile @0; replicas2 @1; replicas3 @2; linked @3; }
  enum Placement { hash @0; creator @1; idBits @2; }
}

struct OpenSet {
  name @0 :Text;
  create @1 :Bool;  # if there is none, by `policy`; else `policy` is not looked at
  exclusive @2 :Bool;  # with `create`: there must be none
  write @3 :Bool;  # also to write; else only to read
  policy @4 :SetPolicy;
}

struct Opened {
  handle @0 :UInt32;  # names the set in requests on this connection
  set @1 :UInt32;  # its id in the cluster
  created @2 :Bool;
  policy @3 :SetPolicy;
}

struct SetInfo {
  name @0 :Text;
  set @1 :UInt32;
  policy @2 :SetPolicy;
  uid @3 :UInt32;
  gid @4 :UInt32;
  creator @5 :UInt16;  # the node
  # What this node has of it:
  objects @6 :UInt64;  # held here in any form
  readable @7 :UInt64;  # of these, in programs' reach
  homed @8 :UInt64;  # of which this node keeps the directory
  bytes @9 :UInt64;
  clients @10 :UInt32;
  counters @11 :List(SetCounter);
}

struct SetCounter {
  name @0 :Text;
  value @1 :UInt64;
}

struct HotObject {
  set @0 :Text;
  object @1 :UInt64;
  home @2 :UInt16;
  transfersPerSecond @3 :Float64;  # from writer to writer, over the last seconds, as seen at its home
  waiting @4 :UInt32;  # requests that queue at its home now
}
