// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// No program, only the maps that the other objects share (include/maps.h).
#include "maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
