// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/http_server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::web {
namespace {

constexpr unsigned int kConnectionsMax = 64;
constexpr unsigned int kIdleSecondsMax = 30;
constexpr size_t kConnectionBytesMax = 32 * 1024;  // of what a client sends before it is refused

// What a browser may do with the page: run and show what comes from here, and nothing else.
constexpr std::pair<const char*, const char*> kHeaders[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
};

MHD_Result Respond(MHD_Connection* connection, const Answer& answer) {
  MHD_Response* response = MHD_create_response_from_buffer(
      answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;  // no memory: the connection ends
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
  for (const auto& [name, value] : kHeaders) MHD_add_response_header(response, name, value);
  if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const MHD_Result queued =
      MHD_queue_response(connection, static_cast<unsigned int>(answer.status), response);
  MHD_destroy_response(response);
  return queued;
}

MHD_Result OnRequest(void* context, MHD_Connection* connection, const char* url, const char* method,
                     const char*, const char*, size_t* upload_bytes, void** state) {
  // First the headers are there; the answer is taken when the whole request is.
  static char headers_seen;
  if (*state == nullptr) {
    *state = &headers_seen;
    return MHD_YES;
  }
  if (*upload_bytes != 0) {
    *upload_bytes = 0;  // nobody wants it
    return MHD_YES;
  }
  if (std::string_view(method) != "GET" && std::string_view(method) != "HEAD") {
    return Respond(connection, {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET or HEAD\n"});
  }
  const char* host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
  return Respond(connection,
                 static_cast<HttpServer*>(context)->Handle(url, host != nullptr ? host : ""));
}

absl::StatusOr<base::UniqueFd> Listen(const daemon::Address& address) {
  sockaddr_storage storage{};
  socklen_t bytes;
  if (address.is_ipv6) {
    auto* to = reinterpret_cast<sockaddr_in6*>(&storage);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.ip.c_str(), &to->sin6_addr);
    bytes = sizeof(*to);
  } else {
    auto* to = reinterpret_cast<sockaddr_in*>(&storage);
    to->sin_family = AF_INET;
    to->sin_port = htons(address.port);
    inet_pton(AF_INET, address.ip.c_str(), &to->sin_addr);
    bytes = sizeof(*to);
  }
  base::UniqueFd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), bytes) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    const std::string hint = errno == EADDRINUSE ? " (choose another with --listen)" : "";
    return base::ErrnoStatus(errno, absl::StrCat("cannot listen at ", address.Text(), hint));
  }
  return fd;
}

absl::StatusOr<uint16_t> PortOf(const base::UniqueFd& fd) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof(storage);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &bytes) != 0) {
    return base::ErrnoStatus(errno, "cannot find out the port");
  }
  return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const daemon::Address& address,
                                                              Handler handler) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, Listen(address));
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(handler)));
  ASSIGN_OR_RETURN(server->port_, PortOf(fd));
  const int listener = fd.get();
  server->daemon_ = MHD_start_daemon(
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC, 0, nullptr, nullptr, OnRequest,
      server.get(), MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
      kConnectionsMax, MHD_OPTION_CONNECTION_TIMEOUT, kIdleSecondsMax,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytesMax, MHD_OPTION_END);
  if (server->daemon_ == nullptr) return base::ErrnoStatus(errno, "cannot start the HTTP server");
  fd.Release();  // MHD_stop_daemon() closes it
  return server;
}

HttpServer::~HttpServer() {
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace clustix::web
