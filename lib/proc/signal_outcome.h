// SPDX-License-Identifier: Apache-2.0
//
// What became of a signal that was sent to a process of any node.
#ifndef CLUSTIX_LIB_PROC_SIGNAL_OUTCOME_H_
#define CLUSTIX_LIB_PROC_SIGNAL_OUTCOME_H_

namespace clustix::proc {

// As SignalOutcome in proto/admin.capnp, in the same order.
enum class SignalOutcome {
  kDelivered,
  kNoSuchProcess,
  kDenied,
  kInvalid,      // no such signal
  kUnreachable,  // certainly not delivered: the node does not answer
  kUnknown,      // the node failed, or did not answer in time
};

}  // namespace clustix::proc

#endif  // CLUSTIX_LIB_PROC_SIGNAL_OUTCOME_H_
