// SPDX-License-Identifier: Apache-2.0
//
// What a thread that uses an Exchange waits for. Within the exchange alone.
#ifndef CLUSTIX_LIB_CLIENT_EXCHANGE_BATCH_H_
#define CLUSTIX_LIB_CLIENT_EXCHANGE_BATCH_H_

#include <vector>

#include "lib/client/exchange.h"

namespace clustix::client {

struct Batch {
  // It has ended: whoever waits for that is woken once for all that end together.
  void Note(Call* call);

  size_t remaining = 0;                // calls that have not ended
  Exchange::Waiter* waiter = nullptr;  // its thread
  bool cancelled = false;
  SetOutcome reason = SetOutcome::kDeadline;
  uint64_t wake_at = kNever;            // when it is to be cancelled; then, given up
  std::vector<Call*>* ended = nullptr;  // where to note calls that have ended, if anywhere
};

// While it lives, a Canceller can end the batch. Neither begins nor ends with the exchange's lock.
class Cancelling {
 public:
  Cancelling(Exchange* exchange, Batch* batch, const Patience& patience)
      : cancel_(patience.cancel),
        batch_(batch),
        begun_(cancel_ == nullptr ||
               cancel_->Begin(batch, [exchange, batch] { exchange->Cancel(batch); })) {}
  ~Cancelling() {
    if (cancel_ != nullptr && begun_) cancel_->End(batch_);
  }
  Cancelling(const Cancelling&) = delete;
  Cancelling& operator=(const Cancelling&) = delete;

  // False: it was cancelled before.
  bool begun() const { return begun_; }

 private:
  CancelState* const cancel_;
  Batch* const batch_;
  const bool begun_;
};

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_EXCHANGE_BATCH_H_
