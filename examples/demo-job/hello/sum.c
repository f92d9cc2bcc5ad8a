// SPDX-License-Identifier: Apache-2.0
#include "hello.h"

int sum(int from, int to) {
  int total = 0;
  for (int i = from; i <= to; ++i) total += i;
  return total;
}
