/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a request of HTTP/1.x begins: what a packet or a write is looked at for first (http.h). */
#ifndef CICD_HTTP_METHOD_H
#define CICD_HTTP_METHOD_H

#include "kernel_types.h"

#define CICD_HTTP_METHOD_BYTES 8
#define CICD_HTTP_SHORTEST 8 /* no shorter request is possible */

/* A memcmp of up to eight bytes that is always inlined; there is no library to call. */
#define HTTP_AT(text, bytes, i) \
  ((i) >= sizeof(text) - 1 || (bytes)[i] == (text)[(i) < sizeof(text) ? (i) : 0])
#define HTTP_IS(text, bytes)                                                        \
  (HTTP_AT(text, bytes, 0) && HTTP_AT(text, bytes, 1) && HTTP_AT(text, bytes, 2) && \
   HTTP_AT(text, bytes, 3) && HTTP_AT(text, bytes, 4) && HTTP_AT(text, bytes, 5) && \
   HTTP_AT(text, bytes, 6) && HTTP_AT(text, bytes, 7))

/* Length of the method these eight bytes begin with, without its space; 0: none. */
static __always_inline __u32 http_method_length(const char bytes[CICD_HTTP_METHOD_BYTES]) {
  if (HTTP_IS("GET ", bytes) || HTTP_IS("PUT ", bytes)) return 3;
  if (HTTP_IS("POST ", bytes) || HTTP_IS("HEAD ", bytes)) return 4;
  if (HTTP_IS("PATCH ", bytes) || HTTP_IS("TRACE ", bytes)) return 5;
  if (HTTP_IS("DELETE ", bytes)) return 6;
  if (HTTP_IS("OPTIONS ", bytes) || HTTP_IS("CONNECT ", bytes)) return 7;
  return 0;
}

#endif
