// SPDX-License-Identifier: Apache-2.0
// What the three files of the demo's program share.
#pragma once

const char* greeting(void);
int sum(int from, int to);
