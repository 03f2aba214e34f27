# SPDX-License-Identifier: Apache-2.0
@0x9d5e1c7a40b8f263;

# What is remembered of a program that `clustix exec` or `clustix run` started: the value of an object of the user's
# set of jobs (daemon/remote/job_log.h), as one unpacked message. Written by the session that runs the program,
# read by `clustix jobs` on any node.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");

struct Job {
  serial @0 :UInt64;  # of the user's jobs on that node, from 1 on
  node @1 :UInt16;  # where it runs
  caller @2 :UInt16;  # the node that asked for it
  pid @3 :Int32;  # as the node counts
  startTicks @4 :UInt64;  # with the pid, which process: field 22 of /proc/PID/stat
  startedMs @5 :Int64;  # since 1970, by the node's clock
  endedMs @6 :Int64;  # 0: it runs, as far as was written
  code @7 :Int32;  # how it ended: its exit code,
  signal @8 :Int32;  # or the signal that killed it, if not 0
  argv @9 :List(Text);  # cut after some length
}
