// SPDX-License-Identifier: Apache-2.0
//
// An HTTP client that sends what it is told, right or wrong.
#ifndef CLUSTIX_TESTS_UNIT_WEB_HTTP_GET_H_
#define CLUSTIX_TESTS_UNIT_WEB_HTTP_GET_H_

#include <cstdint>
#include <string>

namespace clustix::web {

struct HttpAnswer {
  int status = 0;  // 0: the server closed the connection without one
  std::string headers, body;
};

// Sends `request` to 127.0.0.1 and reads until the server closes the connection, or for 10 s.
HttpAnswer SendHttp(uint16_t port, const std::string& request);

// GET with this Host.
HttpAnswer HttpGet(uint16_t port, const std::string& path, const std::string& host = "127.0.0.1");

}  // namespace clustix::web

#endif  // CLUSTIX_TESTS_UNIT_WEB_HTTP_GET_H_
