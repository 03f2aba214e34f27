// SPDX-License-Identifier: Apache-2.0
//
// One client of the admin socket: cuts its bytes into requests, writes replies. Private to
// AdminService; the loop's thread.
#ifndef CLUSTIX_DAEMON_ADMIN_CONNECTION_H_
#define CLUSTIX_DAEMON_ADMIN_CONNECTION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daemon/admin_service.h"
#include "daemon/reply_cache.h"
#include "lib/io/io.h"
#include "lib/procview/cluster_view.h"

namespace clustix::daemon {

class AdminConnection : public io::StreamHandler {
 public:
  AdminConnection(AdminService& service, io::StreamId stream, const procview::Asker& client);

  const procview::Asker& client() const { return client_; }
  // Sends the reply to the request in work, 1 to ADMIN_REPLY_BYTES_MAX bytes, and goes on with the
  // next.
  void Reply(ReplyBytes message);

  void OnConnected(int error) override {}
  void OnData(std::span<const std::byte> data) override;
  void OnSent(size_t bytes, int error) override;
  void OnClosed(int error) override;

 private:
  enum class Phase {
    kReceiving,  // collecting a request
    kInWork,     // somebody makes the reply; what comes now waits in input_
    kSending,
    kLastSending,  // as kSending, then the connection ends
    kClosing,
  };

  // Takes the next request out of input_, if it is complete.
  void TakeRequest();
  // Says why, then closes.
  void Refuse(const std::string& why);
  void SendMore();
  void Close();
  void RestartIdleTimer();

  AdminService& service_;
  const io::StreamId stream_;
  const procview::Asker client_;
  Phase phase_ = Phase::kReceiving;
  std::vector<std::byte> input_;
  uint32_t output_length_ = 0;  // of output_, as it is sent before it
  ReplyBytes output_;
  size_t sent_ = 0;  // of both
  io::TimerId idle_timer_ = 0;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_ADMIN_CONNECTION_H_
