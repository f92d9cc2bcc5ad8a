/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Egress control: what the user side tells the kernel side of a job's policies, and the maps'
 * keys and values. A job has up to two policies, the host's and the project's; a flow must pass
 * both. Both are compiled into the same entries; a bit per scope says whose each rule is.
 *
 * Addresses are 16 bytes in network order; IPv4 is mapped into IPv6 (::ffff:a.b.c.d), so that an
 * IPv4 address meets the same rules through either kind of socket. Ports are in host order.
 */
#ifndef CICD_WIRE_EGRESS_H
#define CICD_WIRE_EGRESS_H

#include "wire/sample.h"

enum cicd_egress_scope {
  CICD_SCOPE_HOST = 1 << 0,
  CICD_SCOPE_PROJECT = 1 << 1,
};

enum cicd_egress_kind {
  CICD_EGRESS_ALLOW = 1,
  CICD_EGRESS_DENY = 2,
  CICD_EGRESS_DENY_DOH = 3, /* a known endpoint of DNS over HTTPS */
};

enum cicd_egress_reason {
  CICD_REASON_NONE = 0,
  CICD_REASON_DEFAULT_DENY = 1, /* no rule for it; or a packet whose header cannot be read */
  CICD_REASON_DIRECT_IP = 2,    /* the address is of no rule and of no name that was resolved */
  CICD_REASON_PORT = 3,         /* there are rules for the address, none for port and protocol */
  CICD_REASON_STEP = 4,         /* there are rules for it, in other steps of the job only */
  CICD_REASON_RULE = 5,         /* a rule denies it */
  CICD_REASON_METADATA = 6,
  CICD_REASON_DOT = 7, /* port 853 */
  CICD_REASON_DOH = 8,
  CICD_REASON_RAW_SOCKET = 9, /* neither TCP nor UDP, or a header of the sender's own making */
  CICD_REASON_IPV6 = 10,      /* the policy lets no IPv6 out */
  CICD_REASON_REBINDING = 11, /* an allowed name leads inside: the resolver's, never a map's */
  CICD_REASONS = 16,          /* room */
};

/* What ports, protocol and step of the job a rule is for. Proto 0: any; step 0: any. */
struct cicd_egress_rule {
  __u16 port_first;
  __u16 port_last;
  __u8 proto; /* IPPROTO_* */
  __u8 kind;  /* enum cicd_egress_kind */
  __u8 scopes;
  __u8 step;
  __u16 rule; /* its place in the policy (egress/policy.h); a scope's own count */
  __u16 pad0;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_egress_rule) == 12, "wire: egress rule");

/*
 * Every rule that holds for an address or a range. In a scope: one that denies and fits is the
 * answer; else one that allows and fits; else the scope's default. Never changed in place.
 */
#define CICD_EGRESS_RULES_MAX 16
struct cicd_egress_rules {
  __u32 count;
  __u32 pad0;
  struct cicd_egress_rule rules[CICD_EGRESS_RULES_MAX];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_egress_rules) == 200, "wire: egress rules");

/* Key of map `egress_addrs`: one address, of a name that the job has resolved. */
struct cicd_egress_address {
  __u32 slot;
  __u8 ip[16];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_egress_address) == 20, "wire: egress address");

/*
 * Key of map `egress_nets`: a range. prefix_bits counts the 32 of `slot` too. The longest one that
 * fits is found alone, so its value has the rules of all shorter ones that hold it as well.
 */
struct cicd_egress_net {
  __u32 prefix_bits;
  __u32 slot;
  __u8 ip[16];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_egress_net) == 24, "wire: egress net");

/* Value of map `egress_policies`, by slot. Members of one bit per scope unless said. */
struct cicd_egress_policy {
  __u32 generation;    /* not 0, another one whenever anything in the policy changes */
  __u8 watching;       /* has a policy that the kernel side looks at; 0: nothing to do */
  __u8 enforcing;      /* denies; the others only tell (audit) */
  __u8 default_allow;  /* what no rule is for is allowed */
  __u8 metadata_allow; /* 169.254.169.254 and fd00:ec2::254 */
  __u8 dot_allow;      /* port 853 */
  __u8 ipv6_block;     /* no IPv6 */
  __u8 has_steps;      /* (0 or 1) some rule is for a step */
  __u8 pad0;
  __u16 resolver_port; /* where port 53 goes on the loopback address; 0: where it was sent */
  __u16 pad1;
  __u32 epoch; /* of the job: another one whenever the slot gets a new job; not 0 */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_egress_policy) == 20, "wire: egress policy");

/*
 * Key of map `egress_steps`; its value is the __u8 number of the step, 1 .. CICD_STEPS_MAX. A
 * process is of the first step that it or whoever started it was found in; it cannot change that.
 */
#define CICD_STEPS_MAX 255
#define CICD_STEP_ID_MAX 128 /* longer ids are cut there */
struct cicd_egress_step {
  __u64 hash; /* cicd_step_hash() of the step's id */
  __u32 slot;
  __u32 pad0;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_egress_step) == 16, "wire: egress step");

/* FNV-1a, a byte at a time: hash = cicd_step_hash(hash, byte), beginning with CICD_STEP_HASH. */
#define CICD_STEP_HASH 0xcbf29ce484222325ULL
static inline __attribute__((always_inline)) __u64 cicd_step_hash(__u64 hash, __u8 byte) {
  return (hash ^ byte) * 0x100000001b3ULL;
}

/* Value of map `resolver_nets`, by inode number of a network namespace. */
enum cicd_netns_state {
  CICD_NETNS_SERVED = 1, /* our resolver listens there: questions are turned to it */
  CICD_NETNS_ASKED = 2,  /* userspace was asked to see to that */
  CICD_NETNS_OWN = 3,    /* served; the resolver's own, where nftables is left alone */
  CICD_NETNS_LED = 4,    /* served; a job made a raw socket there, and userspace was told */
};

/*
 * Raw sockets of jobs in a served namespace carry this mark (SO_MARK), so that a rule of nftables
 * there finds what they send to port 53, and nothing else (egress/dns_redirect.h). "cicd".
 */
#define CICD_RAW_SOCKET_MARK 0x63696364

/*
 * What is in ring `netns_ring`: a task of a job is in a namespace that has no entry yet; or has
 * made the first raw socket in one that is served.
 */
#define CICD_NETNS_RING_BYTES 65536
struct cicd_netns_ask {
  __u32 netns;
  __u32 slot;
  __u32 tid;         /* initial pid namespace */
  __u32 wants_table; /* 0 or 1: for what raw sockets ask */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_netns_ask) == 16, "wire: netns ask");

/* Key of map `dns_clients`: who sent a question to the resolver. */
struct cicd_dns_client_key {
  __u32 netns; /* inode number of the network namespace */
  __u16 port;  /* of the job's socket */
  __u8 proto;  /* IPPROTO_* */
  __u8 is_v6;  /* by the packet: 0 or 1 */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_dns_client_key) == 8, "wire: dns client key");
struct cicd_dns_client {
  __u64 start_time_ns;
  __u64 cgroup_id;
  __u32 slot;
  __u32 pid;
  __u32 exec_id;
  __u32 step; /* number; 0: none */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_dns_client) == 32, "wire: dns client");

/*
 * Value of map `socket_owners`: who uses a socket, where to, and what went over it. Written by the
 * kernel side at connect and sendmsg; by the user side for sockets that were open before a job.
 */
enum cicd_socket_flags {
  CICD_SOCKET_REDIRECTED =
      1 << 0, /* it talks to our resolver; ip and port are what was asked for */
  /* Connected before the job was watched, by a process that was there: it keeps its peer. */
  CICD_SOCKET_BEFORE = 1 << 2,
  CICD_SOCKET_RELEASED = 1 << 1, /* closed; what is still sent is counted at once */
};
struct cicd_actor {
  __u64 start_time_ns; /* of the process, as in the header of a sample */
  __u64 cgroup_id;
  __u32 slot; /* 0: not known */
  __u32 pid;
  __u32 tid;
  __u32 exec_id;
};
struct cicd_socket_owner {
  struct cicd_actor who;
  __u32 epoch;      /* of the job (cicd_egress_policy); another one: the slot is someone else's */
  __u32 generation; /* of the policy that let ip, port and protocol pass; 0: none did */
  __u32 step;
  __u8 ip[16]; /* mapped; where it sent to last */
  __u16 port;
  __u8 proto;
  __u8 flags;
  __u64 sent_bytes; /* since they were added to `egress_flows` */
  __u64 sent_packets;
  __u64 received_bytes;
  __u64 received_packets;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_socket_owner) == 96, "wire: socket owner");

/* Key of map `egress_flows`: traffic of a job with one destination. */
struct cicd_flow_key {
  __u32 slot;
  __u16 port;
  __u8 proto;
  __u8 pad0;
  __u8 ip[16];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_flow_key) == 24, "wire: flow key");
struct cicd_flow {
  __u64 sent_bytes; /* of packets with their IP headers, as the kernel sends them */
  __u64 sent_packets;
  __u64 received_bytes;
  __u64 received_packets;
  __u64 blocked_bytes;
  __u64 blocked_packets;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_flow) == 48, "wire: flow");

/*
 * Key and value of map `egress_denied`: repeats of what was told are counted here (`pending`).
 * Packets are counted apart from connects, so that a count is of one or the other.
 */
#define CICD_DENIED_PACKETS 0x80 /* in `reason` */
struct cicd_denied_key {
  __u32 slot;
  __u32 pid;
  __u32 exec_id;
  __u16 port;
  __u8 proto;
  __u8 reason;
  __u8 ip[16];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_denied_key) == 32, "wire: denied key");
struct cicd_denied {
  __u64 last_told_ns; /* boot time */
  __u64 pending;      /* attempts since then that no sample has told */
  __u64 pending_bytes;
  __u64 start_time_ns; /* of the process */
  __u64 cgroup_id;
  __u8 scopes;
  __u8 is_audit;
  __u8 step;
  __u8 pad0[5];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_denied) == 48, "wire: denied");

/* Index of a counter in map `egress_totals`: slot * CICD_TOTALS_STRIDE + enum, or + reason. */
#define CICD_TOTALS_STRIDE 64
enum cicd_egress_total {
  CICD_TOTAL_DENIED = 0,                    /* and the reason */
  CICD_TOTAL_AUDITED = CICD_REASONS,        /* and the reason */
  CICD_TOTAL_FLOWS_FULL = 2 * CICD_REASONS, /* traffic that `egress_flows` had no room for */
  CICD_TOTAL_DENIED_FULL,                   /* attempts that `egress_denied` had no room for */
  CICD_TOTAL_SOCKET_FULL,                   /* sockets without memory for their owner */
  CICD_TOTAL_NETNS_FULL,                    /* namespaces that userspace could not be asked about */
};

#endif
