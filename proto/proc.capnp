# SPDX-License-Identifier: Apache-2.0
@0xef41cbee2dd16a44;

# The process view between two nodes.
#
# Every node knows its own /proc best: whoever wants to show the cluster asks each node for what it
# needs. A request is one call of the messenger on port kPortProc (lib/msg/ports.h); its reply is the
# call's answer. Pushed is one thing only, and only to nodes that look: births and exits.
#
# Snapshot. A node with many processes does not fit one message, and a long message delays what
# stands behind it. So a snapshot is fetched in pages: the asker names the last pid it has
# (`afterPid`, 0 at first), the node answers with the processes that follow in ascending order of
# pid, as many as pageBytesMax allows, and whether more are left. There is no cursor to keep: pages of
# one asker may come from two collections of the node, and then a process that lived through both is
# still listed exactly once, for it has one place in the order. One that was born or died in between
# may be listed or not, just as when /proc itself is read. The first page also carries the node-wide
# files.
#
# `maxAgeMs` tells how old the collection may be that the page is cut from. Askers allow little on
# the first page and more on those that follow, so that a node collects once per snapshot, and once
# for all nodes that ask at the same time.
#
# Births and exits. Whoever asks for a snapshot may ask to be told what changes after it, for a time
# (`leaseMs`); every further request prolongs that, so that a node which nobody looks at any more
# watches nothing and tells nobody. News go one way, as ProcessChanges on port kPortProcChanges, and
# say what has become of single processes: a record as in a snapshot, or that the process is gone. They
# are gathered for a few milliseconds and bounded; when too much happens at once, as when a program
# forks without end, they only say that there is more (`all`), and the asker fetches a snapshot
# when somebody looks again. `takenNs`, by the monotonic clock of the node that tells, orders
# them among each other and against snapshots, for these travel on another lane: what was
# read before a snapshot was begun is in it. A lost or late piece of news is made good by the next
# snapshot, so nothing is confirmed.
#
# Files and tasks. What a snapshot does not hold (environ, io, a thread's stat) is read when
# somebody asks, on behalf of a user. The node that runs the process decides, after the kernel's
# rules, whether that user may see it.
#
# Tools read the same file of one process after the other: ps -ef the environ, pgrep the cgroup. So whoever
# asks for a file may ask for that of the processes which follow, too (`alsoNext`).
#
# Node-wide files that few read, as net/tcp or sysvipc/shm, are in no snapshot. Who opens one asks all nodes
# for it at once; an answer holds as many whole lines as fit half a MiB. A node tells nothing that its kernel
# would hide from readers without privileges, and so need not know who asks.
#
# Signals. A signal goes to the node of the process, and that node decides, by the rule of kill(2) for the uid in
# the request. It opens the process before it looks at it and signals what it has opened, so that a pid which
# is used again meanwhile harms nobody. The messenger runs a request once at most; who gets no answer does
# not know whether the signal was delivered, and is told so: nobody sends it a second time for him.
#
# Trust. The messenger admits only nodes that hold the cluster key, and the uid in a request is
# believed: root on one node is root in the cluster's /proc, as with NFS without root squash. What a
# node sends is still not trusted to be well formed: sizes are bounded, pids must ascend, and a
# message that is malformed fails that one call, is counted, and harms nothing else.
#
# Texts of /proc are Data, not Text: a command line is any bytes.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");

const procRequestBytesMax :UInt32 = 65536;

const pageBytesMax :UInt32 = 524288;
# A page takes no further process when it has grown to this. A process is small: its command line is
# cut to 4 KiB in a snapshot.

const cpuinfoBytesMax :UInt32 = 524288;
const statBytesMax :UInt32 = 262144;
const nodeFileBytesMax :UInt32 = 32768;  # each of the others; lists of devices half, what is short an eighth
# A node-wide file is cut at the end of a line before this, so that the first page of a machine with
# hundreds of CPUs still fits one message.

const snapshotBytesMax :UInt32 = 67108864;
# What an asker keeps of one node, in bytes of text; a node that sends more is not believed.

const leaseMsMax :UInt32 = 10000;
# A node tells no longer than this without being asked again.

const changesMax :UInt32 = 64;
const changesBytesMax :UInt32 = 131072;
# Processes in one piece of news at most, and how large they are together; beyond, it says `all`.

const fileNextMax :UInt32 = 256;
const fileNextBytesMax :UInt32 = 262144;
# How many files come along at most, and how large they are together.

const taskListMax :UInt32 = 200000;
# Threads listed of one process: what fits one message.

struct ProcRequest {
  union {
    snapshot @0 :SnapshotRequest;
    readFile @1 :FileRequest;
    listTasks @2 :TasksRequest;
    signal @3 :SignalRequest;
    nodeFile @4 :Text;  # /proc/NODEFILE, of those that everybody may read; the answer is a file
  }
}

struct SnapshotRequest {
  afterPid @0 :Int32;
  maxAgeMs @1 :UInt32;
  leaseMs @2 :UInt32;  # tell of births and exits for so long; 0: do not
}

struct FileRequest {
  # /proc/PID/NAME, or /proc/PID/task/TID/NAME if tid is not 0; pids of the node that is asked.
  pid @0 :Int32;
  tid @1 :Int32;
  name @2 :Text;
  uid @3 :UInt32;  # on whose behalf
  gid @4 :UInt32;
  alsoNext @5 :UInt32;  # with tid 0: NAME of so many processes with greater pids as well
}

struct TasksRequest {
  pid @0 :Int32;
}

struct SignalRequest {
  pid @0 :Int32;  # of the node that is asked
  signal @1 :Int32;  # 0: only whether it could be sent
  startTicks @2 :UInt64;  # when the process started, as its stat says; 0: whoever has the pid now
  uid @3 :UInt32;  # on whose behalf
}

struct ProcReply {
  union {
    snapshot @0 :SnapshotPage;
    file @1 :FileReply;
    tasks @2 :TasksReply;
    signal @3 :SignalReply;
  }
}

struct SnapshotPage {
  node @0 :NodeFiles;  # on the first page only
  processes @1 :List(Process);  # ascending pids, all greater than the request's afterPid
  more @2 :Bool;  # there are processes after the last one; then there is at least one
  takenNs @3 :UInt64;  # when the reading of the collection began
}

struct ProcessChanges {
  # On port kPortProcChanges, one way.
  takenNs @0 :UInt64;  # when their reading began
  changed @1 :List(Process);  # born or become another program since, or exited and not yet reaped
  gone @2 :List(Int32);
  all @3 :Bool;  # more has changed than is told here
}

struct FileReply {
  error @0 :Int32;  # an errno as read(2) would give, or 0
  content @1 :Data;
  next @2 :List(NextFile);  # ascending pids, all greater than that of the request; may be fewer than asked for
}

struct NextFile {
  pid @0 :Int32;
  error @1 :Int32;
  content @2 :Data;
}

struct TasksReply {
  error @0 :Int32;
  tids @1 :List(Int32);
}

struct SignalReply {
  error @0 :Int32;  # ESRCH, EPERM or EINVAL as of kill(2), or 0: delivered
}

struct NodeFiles {
  # The node-wide files, as the node's kernel wrote them.
  hostname @0 :Text;
  clockTicks @1 :UInt32;  # per second, of every time in stat
  pageBytes @2 :UInt32;
  stat @3 :Data;
  meminfo @4 :Data;
  loadavg @5 :Data;
  uptime @6 :Data;
  cpuinfo @7 :Data;
  version @8 :Data;
  vmstat @9 :Data;
  # Empty: the node has no such file.
  diskstats @10 :Data;
  partitions @11 :Data;
  swaps @12 :Data;
  filesystems @13 :Data;
  netDev @14 :Data;  # net/dev
  pressureCpu @15 :Data;  # pressure/cpu, and so on
  pressureIo @16 :Data;
  pressureMemory @17 :Data;
  watch @18 :Text;  # how it learns of births and exits
}

struct Process {
  pid @0 :Int32;
  uid @1 :UInt32;  # owner and group of /proc/PID
  gid @2 :UInt32;
  stat @3 :Data;
  statm @4 :Data;
  status @5 :Data;
  cmdline @6 :Data;
  comm @7 :Data;
  # The node's /proc is mounted with hidepid: who but root may know that there is such a process.
  hidden @8 :Bool;
  seenByOwner @9 :Bool;  # whose uid and gid are the above
  seenByGid @10 :UInt32 = 0xffffffff;  # that: no group
}
