# SPDX-License-Identifier: Apache-2.0
@0xc8d5b0a6f1e94372;

# Programs started on other nodes: `clustix exec`, and what else works for a user on another node.
#
#   caller ----- its daemon ===== the node's daemon ----- session ----- the program
#        exec.sock         messenger            starter.sock
#
# The caller (a `clustix` command) and the session (a process beside the program, on its node, with the user's
# rights) speak in *frames*: four bytes of length, little endian, and one ExecFrame. The two daemons are a tunnel
# between them. They look into the first frame of a caller alone, which has to come within seconds, pass all
# others on as they are, and add `lost` or `failed` when the tunnel ends early: a frame is never cut, so that they
# can.
#
# Back-pressure. Of the program's input and of its output, at most execWindowBytes are under way each: the sender
# begins with that much credit, and the receiver gives back what it has handed on (`credit`). So daemons hold
# bounded buffers without a rule of their own, a signal never waits behind input that nobody reads, and a window
# is all that a slow terminal costs. A session that gets more than it allowed ends; a daemon that holds more than
# execQueueBytesMax for one local process ends that tunnel.
#
# What finds the messenger's queue to a node full waits in the daemon, which reads nothing meanwhile that would go
# there. While much waits, no session begins on that way, in either direction: the caller gets `failed`. A caller
# that goes while its `open` waits takes it along, with all that follows it; so what waits is that of callers who
# are there, and of sessions that the other node knows.
#
# Once. The messenger delivers each message exactly once and in order between two lives of two daemons, over any
# number of connections. So a program is started once for one `open`, nothing of its output is lost while a link
# is away, and what cannot be known is said: when the node's daemon has restarted, or has been silent for so long
# that it is given up, the caller gets `lost`. That is "outcome unknown", unless it came before `open` can have
# arrived: then it gets `failed`. What waited for a node in vain is dropped with the node, but for `close`.
#
# The end. A session lives no longer than its tunnel: when the caller's process ends, either daemon does, or either
# node gives the other up, the session's socket is closed, and it hangs up: SIGHUP and SIGCONT to the program's
# session, SIGKILL after a time of grace.
#
# Who may. The caller's daemon knows the caller's uid from the kernel, and the other nodes believe it, as they
# believe it in proc.capnp. A node starts programs for whom its `[exec] allow` says. The process that becomes
# the session takes on the user's ids, as the node's user database has them, before it looks at anything that the
# user sent. So a user gets what an account on that node gets, and no more.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");

const execFrameBytesMax :UInt32 = 262144;
const execChunkBytesMax :UInt32 = 32768;  # of input or output in one frame
const execWindowBytes :UInt32 = 262144;
const execQueueBytesMax :UInt32 = 4194304;
const execProcessesMax :UInt32 = 512;  # in one `wait` or `renice`

struct ExecFrame {
  union {
    # From the caller.
    start @0 :Start;  # the first frame, and only that
    input @1 :Data;
    inputEnd @2 :Void;
    signal @3 :Int32;  # to the program's process group
    resize @4 :TerminalSize;
    outputClosed @5 :Stream;  # nobody reads it any more: the program gets SIGPIPE

    # From the session.
    started @6 :Started;
    output @7 :Output;
    inputClosed @8 :Void;  # nobody reads it any more
    result @9 :Result;  # of one process, in `wait` and `renice`
    exited @10 :Exited;  # the last frame

    # From the session or a daemon: nothing was started. The last frame.
    failed @11 :Failed;
    # From the caller's daemon: what became of it is not known. The last frame.
    lost @12 :Text;

    # Both ways: so many bytes more of input or output.
    credit @13 :UInt32;

    # From a daemon to what becomes the session, before `start`.
    begin @14 :Begin;
  }
}

enum Stream {
  out @0;
  err @1;
}

struct Start {
  node @0 :Text;  # id or name
  union {
    command @1 :Command;
    wait @2 :List(Int32);  # until these processes of the node have ended: a result for each
    renice @3 :Renice;
  }
}

struct Command {
  argv @0 :List(Text);  # at least one; looked up in the PATH of the environment there
  environment @1 :List(Text);  # "NAME=value", beside what a login there gets
  directory @2 :Text;
  directoryRequired @3 :Bool;  # false: the home directory will do
  terminal @4 :TerminalSize;  # null: none, but a pipe each
}

struct TerminalSize {
  rows @0 :UInt16;
  columns @1 :UInt16;
}

struct Renice {
  pids @0 :List(Int32);
  nice @1 :Int32;
  relative @2 :Bool;  # added to what it is
}

struct Started {
  pid @0 :Int32;  # as the node counts
  homeInstead @1 :Text;  # the directory where it was started, for the one that was asked for is not there
}

struct Output {
  stream @0 :Stream;
  bytes @1 :Data;
}

struct Result {
  pid @0 :Int32;
  error @1 :Int32;  # an errno, or 0
  value @2 :Int32;  # of `renice`: the new niceness
}

struct Exited {
  code @0 :Int32;
  signal @1 :Int32;  # that killed it; then `code` means nothing
}

struct Failed {
  exitCode @0 :Int32;  # as a shell has it: 127 for not found, 126 otherwise
  text @1 :Text;
}

enum SessionKind {
  command @0;  # with the user's account
  process @1;  # `wait`, `renice`: with the user's uid alone
}

struct Begin {
  uid @0 :UInt32;
  kind @1 :SessionKind;
  # From the node's own daemon alone:
  caller @2 :UInt16;  # the node that asks
  daemonSocket @3 :Text;  # where the session reaches the daemon, to write what it runs (jobs.capnp)
}

struct ExecMessage {
  # Between the daemons, on kPortExec and the bulk lane: `open` is a call, whose answer is empty and says that it has
  # arrived, the others are one-way. A session is known by the node of the caller and a number that its daemon chose at
  # random.
  session @0 :UInt64;
  toCaller @1 :Bool;  # else to the node that runs it
  union {
    open @2 :Open;
    frames @3 :Data;  # one or more whole frames
    close @4 :Void;  # nothing follows, in either direction
  }
}

struct Open {
  begin @0 :Begin;
  start @1 :Data;  # the caller's first frame, with its length
}
