// SPDX-License-Identifier: Apache-2.0
#include "clustix/messenger.h"

namespace clustix {

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kNotDelivered:
      return "not delivered";
    case Outcome::kUnknown:
      return "outcome unknown";
    case Outcome::kDeadline:
      return "deadline passed";
    case Outcome::kBusy:
      return "busy";
    case Outcome::kTooLarge:
      return "too large";
    case Outcome::kNoSuchPeer:
      return "no such peer";
    case Outcome::kNoSuchPort:
      return "no such port";
    case Outcome::kHandlerError:
      return "handler error";
    case Outcome::kOutOfMemory:
      return "out of memory";
  }
  return "?";
}

const char* PeerEventName(PeerEvent event) {
  switch (event) {
    case PeerEvent::kUp:
      return "up";
    case PeerEvent::kPathDown:
      return "path-down";
    case PeerEvent::kSuspect:
      return "suspect";
    case PeerEvent::kDead:
      return "dead";
    case PeerEvent::kRebooted:
      return "rebooted";
  }
  return "?";
}

const char* PeerStateName(PeerState state) {
  switch (state) {
    case PeerState::kConnecting:
      return "connecting";
    case PeerState::kUp:
      return "up";
    case PeerState::kPathDown:
      return "path-down";
    case PeerState::kSuspect:
      return "suspect";
    case PeerState::kDead:
      return "dead";
  }
  return "?";
}

}  // namespace clustix
