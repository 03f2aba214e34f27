// SPDX-License-Identifier: Apache-2.0
//
// One TCP connection on behalf of the session: carries bytes between a stream of Io and a
// kccm_conn. Belongs to the loop's thread. A link owns itself from Dial() or Accept() until the
// stream is closed, and keeps its Core alive for as long, because writes in flight read the
// session's memory.
#ifndef CLUSTIX_LIB_MSG_LINK_H_
#define CLUSTIX_LIB_MSG_LINK_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "lib/io/io.h"
#include "lib/session/session.h"

namespace clustix::msg {

class Core;

class Link final : public io::StreamHandler {
 public:
  // Starts a connection that the session asked for. Not OK: nothing was started.
  static absl::Status Dial(std::shared_ptr<Core> core, kccm_peer* peer, unsigned lane, bool knock,
                           const std::string& address);
  // Takes a connection in; nullptr refuses it (no memory).
  static Link* Accept(std::shared_ptr<Core> core, io::StreamId stream,
                      const std::string& peer_address);

  // The session's wishes; carried out by Flush() at the end of the turn.
  void OutputReady();
  void CloseSoon();
  void Flush();

  // Without a last word.
  void CloseNow();

  const std::string& address() const { return address_; }
  bool bulk() const { return bulk_; }

  void OnConnected(int error) override;
  void OnData(std::span<const std::byte> data) override;
  void OnSent(size_t bytes, int error) override;
  void OnClosed(int error) override;

 private:
  explicit Link(std::shared_ptr<Core> core, std::string address);
  ~Link() override;

  void Write();
  void LearnLane();
  void AbandonDial();
  void CancelTimer();

  const std::shared_ptr<Core> core_;
  const std::string address_;
  io::StreamId stream_ = 0;
  kccm_conn* conn_ = nullptr;
  bool sending_ = false;
  bool bulk_ = false;     // carries the bulk lane
  bool closing_ = false;  // the session wants no more of it
  bool dirty_ = false;    // in the core's list for the end of the turn
  io::TimerId timer_ = 0;

  // Until the dial is answered.
  kccm_peer* dialed_peer_ = nullptr;
  unsigned lane_ = 0;
  bool knock_ = false;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_LINK_H_
