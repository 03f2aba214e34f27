# SPDX-License-Identifier: Apache-2.0
@0xe6c41d0a93b7f258;

# How daemons agree on views of object sets: one way, on port 12. Who says what when, and why it is
# safe, stands in lib/member/agreement.h.
#
# Every message names the lives of both ends. A life is one run of a daemon, a random number. What is
# not meant for this life of the receiver tells it no more than that the sender is there.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("clustix::proto");

struct ViewMessage {
  life @0 :UInt64;  # the sender's; not 0
  yourLife @1 :UInt64;  # the receiver's, as far as the sender knows it; 0: it has not heard of it
  union {
    hello @2 :ViewHello;
    propose @3 :ViewProposal;  # of the node with the lowest id
    accept @4 :UInt64;  # to that node: the proposal of this number
    install @5 :UInt64;  # from it: all have accepted the proposal of this number
  }
}

struct ViewHello {
  answered @0 :Bool;  # the sender has learned that the receiver knows its life; false: say hello, too
  installed @1 :AgreedView;
  # To the node with the lowest id: the view that holds at the sender; of epoch 0 before the first one.
  highestEpoch @2 :UInt32;  # likewise: of all views that it has accepted
}

struct ViewProposal {
  number @0 :UInt64;  # from 1 on, in each life of the node that proposes
  base @1 :AgreedView;
  # The view that holds: some node has installed it. Of epoch 0: there is none, all nodes are new.
  next @2 :AgreedView;
}

struct AgreedView {
  epoch @0 :UInt32;
  members @1 :List(ViewMember);  # by ascending node
}

struct ViewMember {
  node @0 :UInt16;
  life @1 :UInt64;
}
