// SPDX-License-Identifier: Apache-2.0
#include "hello.h"

const char* greeting(void) { return "hello from a watched build"; }
