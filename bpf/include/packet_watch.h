/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What packet.bpf.c has other files do with a packet. Functions of their own for the verifier, and
 * each with a stack of its own; what they are given is the packet alone.
 */
#ifndef CICD_PACKET_WATCH_H
#define CICD_PACKET_WATCH_H

#include "kernel_types.h"

/* Whether it may go. egress.bpf.c */
int judge_sent(struct __sk_buff *skb);
/* All three give 0. dns.bpf.c, http.bpf.c */
int watch_dns_sent(struct __sk_buff *skb);
int watch_dns_received(struct __sk_buff *skb);
int watch_http_sent(struct __sk_buff *skb);

#endif
