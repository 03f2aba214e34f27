// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 for a few readers: GET and HEAD, one thread of its own (libmicrohttpd's), a bounded
// number of connections.
#ifndef CLUSTIX_DAEMON_WEB_HTTP_SERVER_H_
#define CLUSTIX_DAEMON_WEB_HTTP_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/address.h"
#include "daemon/web/site.h"

struct MHD_Daemon;

namespace clustix::web {

class HttpServer {
 public:
  // Called by the server's thread, one at a time. `path` is decoded and without its query.
  using Handler = std::function<Answer(const std::string& path, const std::string& host)>;

  // Port 0: any that is free.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const daemon::Address& address,
                                                           Handler handler);
  // Ends connections and the thread.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const { return port_; }
  Answer Handle(const std::string& path, const std::string& host) { return handler_(path, host); }

 private:
  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {}

  const Handler handler_;
  MHD_Daemon* daemon_ = nullptr;
  uint16_t port_ = 0;
};

}  // namespace clustix::web

#endif  // CLUSTIX_DAEMON_WEB_HTTP_SERVER_H_
