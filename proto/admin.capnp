# SPDX-License-Identifier: Apache-2.0
@0xbd4ce015ca74e8e6;

# What a program on this machine may ask its daemon: the protocol of the admin socket,
# <runtime dir>/clustixd.sock.
#
# A message is four bytes of length, little endian, and as many bytes of one Cap'n Proto message,
# unpacked. The client sends a request, the daemon answers with one reply, and so on until the
# client closes. A length of 0 or above the limit (adminRequestBytesMax to the daemon, adminReplyBytesMax to
# the client), or bytes that are no AdminRequest, end the connection after an `error` reply that
# says why; `clustix status` counts them.
#
# Who may connect. Everybody on the machine, as everybody may read /proc: the socket's mode is 0666,
# nothing that /proc shows to its owner alone (environ, io) travels through it, and processes that their
# node hides (hidepid) are told to those alone to whom it would show them. The one request
# that changes anything, `signal`, is decided as kill(2) is for the caller. The daemon learns the caller's uid from the kernel (SO_PEERCRED)
# and limits how many connections one user keeps open, so that none is left out.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");
using Proc = import "proc.capnp";

const adminRequestBytesMax :UInt32 = 65536;
const adminReplyBytesMax :UInt32 = 268435456;
# All processes of the cluster come in one reply; those of one node may be snapshotBytesMax.

const awaitPeersMsMax :UInt32 = 20000;
# The longest that a request waits: less than a silent client may stay connected.

struct AdminRequest {
  union {
    status @0 :Void;
    snapshot @1 :Void;  # the processes and node-wide files of all nodes
    nodes @2 :Void;  # the nodes without their processes
    awaitPeers @3 :UInt32;
    # As `status`, answered once every peer is up and has been asked for its processes, and at the
    # latest after so many milliseconds.
    signal @4 :Signal;
  }
}

struct AdminReply {
  union {
    error @0 :Text;
    status @1 :Status;
    snapshot @2 :ClusterSnapshot;
    nodes @3 :List(Node);
    signal @4 :SignalOutcome;
  }
}

struct Signal {
  # libclustix-kill.so writes this request and reads its reply byte by byte (lib/client/signal_wire.h).
  gpid @0 :Int32;  # a process of any node, by its global pid
  signal @1 :Int32;  # 0: only whether it could be sent
  startTicks @2 :UInt64;
  # When the process that is meant started, as its stat in a snapshot says; 0: whoever has the pid now.
}

enum SignalOutcome {
  delivered @0;
  noSuchProcess @1;
  denied @2;  # kill(2) would not allow it to the caller
  invalid @3;  # no such signal
  unreachable @4;  # certainly not delivered: the node does not answer
  unknown @5;  # the node failed, or did not answer in time: it was, will be or never is delivered, once at most
}

struct Status {
  version @0 :Text;
  clusterName @1 :Text;
  clusterUuid @2 :Text;
  node @3 :UInt16;
  name @4 :Text;
  address @5 :Text;
  incarnation @6 :UInt64;
  pid @7 :Int32;  # of the daemon, in its own pid namespace
  uptimeMs @8 :UInt64;
  procMount @9 :Text;  # empty: nothing is mounted; procNote says why
  transport @10 :Transport;
  peers @11 :List(Peer);  # the other nodes
  counters @12 :List(Counter);
  # Of the whole node. "refused.REASON" counts connections that this node refused,
  # "refused_by_peer.REASON" those of this node that others refused; the rest are named for what
  # they count.
  procNote @13 :Text;
  localProc @14 :Text;  # with procMount: where links of the view expect the node's own /proc
  procWatch @15 :Text;  # how this node learns of births and exits of its processes
  setsEpoch @16 :UInt32;  # of the view in which this node serves object sets; 0: it does not yet
  setsState @17 :Text;  # how object sets stand here, in words
}

struct Transport {
  name @0 :Text;  # "user-space" or "kccm"
  reason @1 :Text;  # why this one
}

struct Counter {
  name @0 :Text;
  value @1 :UInt64;
}

struct Peer {
  node @0 :UInt16;
  name @1 :Text;
  address @2 :Text;
  state @3 :Text;  # "connecting", "up", "path-down", "suspect", "dead"
  incarnation @4 :UInt64;  # 0: never heard
  counters @5 :List(Counter);
}

struct Node {
  node @0 :UInt16;
  name @1 :Text;
  address @2 :Text;
  state @3 :Text;  # "self", or as in Peer
  stale @4 :Bool;  # the node did not answer; what is shown is the last that is known of it
  ageMs @5 :UInt64;  # of what is shown
  known @6 :Bool;  # false: never heard; what follows is empty
  files @7 :Proc.NodeFiles;
  processCount @8 :UInt32;
}

struct ClusterSnapshot {
  self @0 :UInt16;
  nodes @1 :List(NodeProcesses);
}

struct NodeProcesses {
  node @0 :Node;
  processes @1 :List(Proc.Process);
}
