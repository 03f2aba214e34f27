// SPDX-License-Identifier: Apache-2.0
#include "lib/base/blake2s.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace clustix::base {
namespace {

struct MacFree {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

// Takes what OpenSSL queued, so that no later call reports our failure as its own.
absl::Status OpenSslError(const char* step) {
  char text[256] = "no reason given";
  if (const unsigned long error = ERR_get_error()) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return absl::InternalError(absl::StrCat("BLAKE2s: ", step, ": ", text));
}

}  // namespace

// Fetches the algorithm on each call: that is microseconds, and calls come with handshakes only.
absl::StatusOr<Blake2sDigest> Blake2sMac(std::span<const uint8_t, 32> key, const void* data,
                                         size_t bytes) {
  const std::unique_ptr<EVP_MAC, MacFree> mac(EVP_MAC_fetch(nullptr, "BLAKE2SMAC", nullptr));
  if (!mac) return OpenSslError("fetch");
  const std::unique_ptr<EVP_MAC_CTX, MacFree> context(EVP_MAC_CTX_new(mac.get()));
  if (!context) return OpenSslError("allocate");
  if (!EVP_MAC_init(context.get(), key.data(), key.size(), nullptr)) return OpenSslError("init");
  if (!EVP_MAC_update(context.get(), static_cast<const unsigned char*>(data), bytes)) {
    return OpenSslError("update");
  }
  Blake2sDigest digest;
  size_t written = 0;
  if (!EVP_MAC_final(context.get(), digest.data(), &written, digest.size()) ||
      written != digest.size()) {
    return OpenSslError("final");
  }
  return digest;
}

}  // namespace clustix::base
