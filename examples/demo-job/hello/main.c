// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "hello.h"

int main(void) {
  printf("%s: %d\n", greeting(), sum(1, 9));
  return 0;
}
