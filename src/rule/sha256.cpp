// SPDX-License-Identifier: Apache-2.0
#include "rule/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace cicd {

std::string sha256_hex(std::string_view text) {
  // The machine's openssl.cnf can name modules to load; hashing needs none.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &bytes, EVP_sha256(), nullptr) != 1) return {};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (unsigned int i = 0; i < bytes; ++i) {
    out += kDigits[digest[i] >> 4];
    out += kDigits[digest[i] & 0xf];
  }
  return out;
}

}  // namespace cicd
