/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Wire format: what the kernel programs put into the ring buffers and what src/wire reads.
 * The same bytes are what a recording holds, so a change here is a new CICD_WIRE_VERSION.
 *
 * Rules: fixed-width members, natural alignment, every padding byte named and zeroed, sizes
 * asserted in C (below) and so in C++ too. Host byte order (a recording names it). A sample is
 *     struct sample_<type>  (starts with struct sample_header)
 *     the bytes of its wire_strings, in the order of the members, without gaps
 * `header.size` is the whole of it. A reader takes nothing on trust: string lengths must add up.
 */
#ifndef CICD_WIRE_SAMPLE_H
#define CICD_WIRE_SAMPLE_H

#include <linux/types.h>

#define CICD_WIRE_VERSION 4

#ifdef __cplusplus
#define CICD_STATIC_ASSERT static_assert
#else
#define CICD_STATIC_ASSERT _Static_assert
#endif

/* Longest of each string, in bytes. Longer ones are cut and marked CICD_STRING_TRUNCATED. */
#define CICD_PATH_MAX 4096
#define CICD_ARGV_MAX 8192
#define CICD_ENVIRONMENT_MAX 2048
#define CICD_CGROUP_PATH_MAX 1024
#define CICD_DNS_PAYLOAD_MAX 4096
#define CICD_NAME_MAX 256 /* host names, methods, names of modules */
#define CICD_URL_PATH_MAX 1024
/* Most components of one path that the kernel side walks. */
#define CICD_PATH_COMPONENTS_MAX 200

enum cicd_sample_type {
  CICD_SAMPLE_FORK = 1,
  CICD_SAMPLE_EXEC = 2,
  CICD_SAMPLE_EXIT = 3,
  CICD_SAMPLE_CGROUP_MKDIR = 4,
  CICD_SAMPLE_CGROUP_RMDIR = 5,
  CICD_SAMPLE_CGROUP_ATTACH = 6, /* also a task that left the job: CICD_ATTACH_ESCAPE */
  CICD_SAMPLE_CONNECT = 7,
  CICD_SAMPLE_OPEN = 8,
  CICD_SAMPLE_REMOVE = 9,
  CICD_SAMPLE_MOVE = 10,
  CICD_SAMPLE_LINK = 11,
  CICD_SAMPLE_MOUNT = 12,
  CICD_SAMPLE_UNIX_CONNECT = 13,
  CICD_SAMPLE_DNS = 14,
  CICD_SAMPLE_GETADDRINFO = 15,
  CICD_SAMPLE_HTTP = 16,
  CICD_SAMPLE_LIBRARY = 17,
  CICD_SAMPLE_PTRACE = 18,
  CICD_SAMPLE_MEMORY = 19,
  CICD_SAMPLE_SIGNAL = 20,
  CICD_SAMPLE_PRIVILEGE = 21,
  CICD_SAMPLE_NAMESPACE = 22,
  CICD_SAMPLE_MODULE = 23,
  CICD_SAMPLE_BPF = 24,
  CICD_SAMPLE_IO_URING = 25,
  CICD_SAMPLE_EXEC_MEMORY = 26,
  CICD_SAMPLE_EGRESS = 27,
  CICD_SAMPLE_SOCKET = 28,
  CICD_SAMPLE_TYPES = 32, /* room; an index into the loss counters is below this */
};

/* How the bytes of a wire_string are to be read. */
enum cicd_string_flags {
  CICD_STRING_TRUNCATED = 1 << 0, /* cut at the limit, or deeper than PATH_COMPONENTS_MAX */
  CICD_STRING_FAULT = 1 << 1,     /* memory could not be read; the bytes are what came before */
  /*
   * A walked path: components from the leaf to the root, each ended by a NUL, none of them the
   * root itself ("usr\0" of "/usr/bin" comes last). No bytes at all is "/".
   */
  CICD_STRING_COMPONENTS = 1 << 2,
  CICD_STRING_DELETED = 1 << 3, /* the file's name was unlinked when it was seen */
  /* A file that lives outside every path; the bytes hold the dentry's name, if it has one. */
  CICD_STRING_PIPE = 1 << 4,
  CICD_STRING_SOCKET = 1 << 5,
  CICD_STRING_NAMESPACE = 1 << 6,
  CICD_STRING_ANON_INODE = 1 << 7,
  CICD_STRING_MEMFD = 1 << 8,
  /* A walked path that ended at the top of a tree and not at the task's root. */
  CICD_STRING_UNREACHABLE = 1 << 9,
};

struct cicd_string {
  __u32 length; /* bytes that follow the fixed part for this string */
  __u32 flags;  /* enum cicd_string_flags */
};

/* Whose act it is. For fork it is the child; for a moved task (attach) the moved task. */
struct cicd_sample_header {
  __u32 size;          /* of the whole sample, bytes */
  __u16 type;          /* enum cicd_sample_type */
  __u16 flags;         /* by type: enum cicd_*_flags below */
  __u64 time_ns;       /* CLOCK_BOOTTIME */
  __u64 start_time_ns; /* CLOCK_BOOTTIME start of the process (thread group leader) */
  __u64 cgroup_id;     /* v2 cgroup of the task */
  __u32 slot;          /* job slot; 0 is never a job */
  __u32 pid;           /* process id (tgid) in the initial pid namespace */
  __u32 tid;
  __u32 exec_id; /* task->self_exec_id: goes up with every exec; tells images of a pid apart */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_header) == 48, "wire: header");

/* Header: the child; only new processes, threads make no sample. */
struct cicd_sample_fork {
  struct cicd_sample_header header;
  __u64 parent_start_time_ns;
  __u64 parent_cgroup_id;
  __u32 parent_pid;
  __u32 parent_tid;
  __u32 parent_exec_id;
  __u32 uid;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_fork) == 80, "wire: fork");

enum cicd_exec_flags {
  CICD_EXEC_SCRIPT = 1 << 0, /* a script: exec_path is the interpreter, `filename` the script */
  CICD_EXEC_MEMFD = 1 << 1,  /* the program lives in a memfd */
};

struct cicd_sample_exec {
  struct cicd_sample_header header;
  __u32 uid;
  __u32 gid;
  __u64 inode;                  /* of the program that runs */
  __u32 device;                 /* its st_dev in kernel encoding (major << 20 | minor) */
  __u32 old_tid;                /* thread that called exec */
  struct cicd_string exec_path; /* program that runs, walked */
  struct cicd_string filename;  /* as the caller named it (bprm->filename), raw */
  struct cicd_string cwd;       /* walked */
  struct cicd_string argv;      /* arguments, each ended by a NUL, raw */
  /*
   * Variables of map `wanted_vars` alone, "NAME=value", each ended by a NUL, in their order. Flags:
   * TRUNCATED when there was more to look at or no room, FAULT as always.
   */
  struct cicd_string environment;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_exec) == 112, "wire: exec");

/* The last thread of the process has gone. */
struct cicd_sample_exit {
  struct cicd_sample_header header;
  __u32 status; /* as wait(2) gives it: exit code << 8, or signal, | 0x80 when core was dumped */
  __u32 pad0;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_exit) == 56, "wire: exit");

enum cicd_attach_flags {
  CICD_ATTACH_ESCAPE = 1 << 0, /* the task left the job's cgroups; it keeps its slot */
  CICD_ATTACH_CLONE = 1 << 1,  /* by clone3(CLONE_INTO_CGROUP), seen at fork; no `path` then */
};

/* mkdir, rmdir and attach. Header: who did it (mkdir, rmdir), who was moved (attach). */
struct cicd_sample_cgroup {
  struct cicd_sample_header header;
  __u64 target_cgroup_id;  /* made, removed or moved into */
  __u64 from_cgroup_id;    /* parent (mkdir, rmdir), the one it was in (escape), or 0 */
  struct cicd_string path; /* of the target below the v2 root, raw */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_cgroup) == 72, "wire: cgroup");

enum cicd_connect_flags {
  CICD_CONNECT_SENDMSG = 1 << 0, /* a datagram on an unconnected socket, not a connect */
};

struct cicd_sample_connect {
  struct cicd_sample_header header;
  __u64 socket_cookie;
  __u8 remote_ip[16]; /* network order; IPv4 in the first four, the rest zero */
  __u16 remote_port;  /* host order */
  __u16 family;       /* AF_INET or AF_INET6, as the caller used it */
  __u16 protocol;     /* IPPROTO_* */
  __u16 socket_type;  /* SOCK_* */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_connect) == 80, "wire: connect");

enum cicd_open_call {
  CICD_OPEN_OPEN = 1,
  CICD_OPEN_OPENAT = 2,
  CICD_OPEN_OPENAT2 = 3,
  CICD_OPEN_CREAT = 4,
  CICD_OPEN_BY_HANDLE_AT = 5,
  CICD_OPEN_TRUNCATE = 6, /* truncate(2): a file was emptied or cut without an open */
  CICD_OPEN_COMPAT = 7,   /* a 32-bit call; trampolines, and with --strict */
  CICD_OPEN_IO_URING = 8, /* trampolines only */
  CICD_OPEN_OTHER = 9,    /* a call whose work is another one, but that opens what it was given */
};

enum cicd_open_flags {
  CICD_OPEN_READ = 1 << 0, /* the file was opened for reading (failed opens: asked for) */
  CICD_OPEN_WRITE = 1 << 1,
  CICD_OPEN_DIRECTORY = 1 << 2, /* it is a directory */
  /*
   * It succeeded, but there is no file to look at: another thread closed the descriptor before
   * that, or the call opens none (truncate). `path` and `base` are as for a failed open, inode and
   * device are 0.
   */
  CICD_OPEN_UNRESOLVED = 1 << 3,
};

struct cicd_sample_open {
  struct cicd_sample_header header;
  __u64 inode; /* 0 when the open failed */
  __u32 device;
  __u32 open_flags; /* O_* as given by the caller */
  __u16 call;       /* enum cicd_open_call */
  __u16 error;      /* errno, 0 on success */
  __u32 pad0;
  struct cicd_string path; /* success: walked. Failure: as the caller gave it, raw */
  struct cicd_string base; /* failure and relative: cwd or directory fd, walked; else empty */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_open) == 88, "wire: open");

/*
 * Names of files. Each comes as in cicd_sample_open: walked (flag COMPONENTS, base empty), or as
 * the caller gave it, with the place where it starts when it is relative.
 */
enum cicd_paths_flags {
  CICD_PATHS_FOLDER = 1 << 0,  /* remove: a directory */
  CICD_PATHS_SYMLINK = 1 << 1, /* link: `path` is a new symbolic link; else a hard link */
  CICD_PATHS_COMPAT = 1 << 2,  /* a 32-bit call; trampolines, and with --strict */
  CICD_PATHS_IO_URING = 1 << 3,
  CICD_PATHS_FOLLOWED = 1 << 4, /* link: a symbolic link at the end of `other` was followed */
  CICD_PATHS_EXCHANGE = 1 << 5, /* move: and `other` became `path` in the same moment */
};

enum cicd_mount_operation {
  CICD_MOUNT_NEW = 1,
  CICD_MOUNT_BIND = 2,
  CICD_MOUNT_MOVE = 3, /* also move_mount(2): the last step of the new mount API */
  CICD_MOUNT_REMOUNT = 4,
  CICD_MOUNT_PROPAGATION = 5,
  CICD_MOUNT_UMOUNT = 6,
  CICD_MOUNT_PIVOT_ROOT = 7,
};

/*
 * remove: `path`. move: from `path` to `other`. link: `path` is made, `other` is what it leads to
 * (a symbolic link: its text, without base). mount: `path` is the target, `other` the source.
 * Only what succeeded.
 */
struct cicd_sample_paths {
  struct cicd_sample_header header;
  __u64 mount_flags; /* MS_*, or the flags of the call that was made */
  __u32 operation;   /* enum cicd_mount_operation; else 0 */
  __u32 pad0;
  struct cicd_string path;
  struct cicd_string base;
  struct cicd_string other;
  struct cicd_string other_base;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_paths) == 96, "wire: paths");

enum cicd_unix_flags {
  CICD_UNIX_ABSTRACT = 1 << 0, /* `path` is an abstract name, without its leading NUL */
  CICD_UNIX_SENDMSG = 1 << 1,  /* a datagram on an unconnected socket */
};

/* Tried, whether or not it succeeded. */
struct cicd_sample_unix_connect {
  struct cicd_sample_header header;
  __u64 socket_cookie; /* 0: not known */
  __u16 socket_type;   /* SOCK_* */
  __u16 pad0;
  __u32 pad1;
  struct cicd_string path; /* as the caller gave it */
  struct cicd_string base; /* cwd, when the path is relative */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_unix_connect) == 80, "wire: unix connect");

enum cicd_dns_flags {
  CICD_DNS_INGRESS = 1 << 0,       /* came to the job; else it was sent by it */
  CICD_DNS_UNKNOWN_OWNER = 1 << 1, /* who owns the socket is not known: pid 0 */
  CICD_DNS_RESOLVER = 1 << 2, /* it went to our resolver; `remote_ip` is where it was sent to */
};

/*
 * One packet to or from port 53. Header: the process that owns the socket. TCP: the payload is a
 * piece of the stream, with the length prefixes of its messages.
 */
struct cicd_sample_dns {
  struct cicd_sample_header header;
  __u64 socket_cookie;
  __u8 remote_ip[16]; /* as in connect */
  __u16 remote_port;
  __u16 local_port;
  __u16 family;
  __u16 protocol;
  __u32 tcp_sequence;  /* of the first payload byte. UDP: size of each datagram when there are
                          several in this one (UDP_SEGMENT), else 0 */
  __u32 payload_bytes; /* on the wire; more than `payload` holds when that is cut */
  struct cicd_string payload;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_dns) == 96, "wire: dns");

#define CICD_ADDRESSES_MAX 16
struct cicd_address {
  __u8 ip[16]; /* as in connect */
  __u16 family;
  __u16 pad0;
  __u32 pad1;
};

/* A name was resolved by the C library. */
struct cicd_sample_getaddrinfo {
  struct cicd_sample_header header;
  __s32 result;        /* 0, or EAI_* as the library has it */
  __u32 address_count; /* as found; at most ADDRESSES_MAX of them are here */
  struct cicd_address addresses[CICD_ADDRESSES_MAX];
  struct cicd_string name;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_getaddrinfo) == 448, "wire: getaddrinfo");

enum cicd_http_source {
  CICD_HTTP_CLEARTEXT = 1,
  CICD_HTTP_OPENSSL = 2,
  CICD_HTTP_GNUTLS = 3,
};

struct cicd_sample_http {
  struct cicd_sample_header header;
  __u64 socket_cookie; /* 0: not known */
  __u32 source;        /* enum cicd_http_source */
  __u32 pad0;
  struct cicd_string method;
  struct cicd_string path; /* ends before the query */
  struct cicd_string host;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_http) == 88, "wire: http");

/* A file whose name looks like a library we know was mapped executable. */
struct cicd_sample_library {
  struct cicd_sample_header header;
  __u64 inode;
  __u32 device;
  __u32 pad0;
  struct cicd_string path; /* walked */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_library) == 72, "wire: library");

enum cicd_memory_method {
  CICD_MEMORY_PROC_MEM = 1,
  CICD_MEMORY_VM_READV = 2,
  CICD_MEMORY_VM_WRITEV = 3,
  CICD_MEMORY_PROC_ENVIRON = 4,
  CICD_MEMORY_PROC_MAPS = 5,
};

/*
 * Value of a ptrace that is no request of ptrace(2): pidfd_getfd(2), which asks for the same right
 * and takes an open descriptor out of the target.
 */
#define CICD_PTRACE_PIDFD_GETFD (1ULL << 32)

/* ptrace, memory, signal: what one process did to another. Never to itself. */
struct cicd_sample_target {
  struct cicd_sample_header header;
  __u64 target_start_time_ns;
  __u64 value;        /* ptrace: the request; memory: enum cicd_memory_method; signal: number */
  __u32 target_pid;   /* process id in the initial pid namespace; 0: not found */
  __u32 target_slot;  /* job of the target; 0: none */
  __u32 target_named; /* the pid as the caller gave it; 0: the call had none */
  __u32 error;        /* errno, 0 on success */
  struct cicd_string target_exec_path; /* walked */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_target) == 88, "wire: target");

enum cicd_privilege_kind {
  CICD_PRIVILEGE_SETUID = 1, /* setuid, setreuid, setresuid, setfsuid */
  CICD_PRIVILEGE_SETGID = 2, /* setgid, setregid, setresgid, setfsgid, setgroups */
  CICD_PRIVILEGE_CAPSET = 3,
  CICD_PRIVILEGE_EXEC = 4, /* a program with setuid, setgid or file capabilities */
};

/* Only what succeeded and changed something. */
struct cicd_sample_privilege {
  struct cicd_sample_header header;
  __u64 capabilities_from; /* effective */
  __u64 capabilities_to;
  __u32 uid_from; /* effective, in the initial user namespace */
  __u32 uid_to;
  __u32 gid_from;
  __u32 gid_to;
  __u32 kind; /* enum cicd_privilege_kind */
  __u32 pad0;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_privilege) == 88, "wire: privilege");

enum cicd_namespace_operation {
  CICD_NAMESPACE_UNSHARE = 1,
  CICD_NAMESPACE_SETNS = 2,
  CICD_NAMESPACE_CLONE = 3, /* header: the parent */
};

struct cicd_sample_namespace {
  struct cicd_sample_header header;
  __u64 flags; /* CLONE_NEW*; setns on a namespace file: its type, 0 when not known */
  __u32 operation;
  __u32 error; /* errno, 0 on success */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_namespace) == 64, "wire: namespace");

struct cicd_sample_module {
  struct cicd_sample_header header;
  __u32 error; /* errno, 0 on success */
  __u32 pad0;
  struct cicd_string name; /* of the module, or walked path of its file when it failed */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_module) == 64, "wire: module");

struct cicd_sample_bpf {
  struct cicd_sample_header header;
  __u32 command;      /* BPF_* of enum bpf_cmd */
  __u32 program_type; /* BPF_PROG_LOAD: enum bpf_prog_type; else 0 */
  __u32 error;        /* errno, 0 on success */
  __u32 pad0;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_bpf) == 64, "wire: bpf");

struct cicd_sample_socket {
  struct cicd_sample_header header;
  __u32 family;   /* AF_* */
  __u32 type;     /* SOCK_*, without its flags */
  __u32 protocol; /* as it was given: IPPROTO_*, or an EtherType in network order */
  __u32 error;    /* errno, 0 on success */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_socket) == 64, "wire: socket");

/* Submitted; whether it succeeded is not known then. Header: who submitted, or owns the ring. */
struct cicd_sample_io_uring {
  struct cicd_sample_header header;
  __u64 open_flags;
  __u8 remote_ip[16]; /* connect: as in cicd_sample_connect */
  __u16 remote_port;
  __u16 family; /* 0: no address */
  __u32 opcode; /* IORING_OP_* */
  struct cicd_string path;
  struct cicd_string base;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_io_uring) == 96, "wire: io_uring");

enum cicd_exec_memory_kind {
  CICD_EXEC_MEMORY_MMAP = 1,
  CICD_EXEC_MEMORY_MPROTECT = 2, /* also pkey_mprotect */
};

/* Anonymous memory became executable. A process's later ones are counted, not all reported. */
struct cicd_sample_exec_memory {
  struct cicd_sample_header header;
  __u64 address;
  __u64 size_bytes;
  __u64 count; /* of this process and program until now, this one included */
  __u32 kind;
  __u32 protection; /* PROT_* */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_exec_memory) == 80, "wire: exec memory");

enum cicd_egress_flags {
  CICD_EGRESS_UNKNOWN_OWNER = 1 << 0, /* a packet of nobody who is known: pid 0 */
};

enum cicd_egress_hook {
  CICD_EGRESS_CONNECT = 1,
  CICD_EGRESS_SENDMSG = 2,
  CICD_EGRESS_PACKET = 3,   /* it had not passed the others: a raw socket, one from outside */
  CICD_EGRESS_RESOLVER = 4, /* not of the kernel: our resolver tells it, with the name */
};

/* What a policy does not allow (wire/egress.h). Repeats are merged. `name_bytes` of name follow. */
struct cicd_sample_egress {
  struct cicd_sample_header header;
  __u64 socket_cookie;
  __u64 count;        /* attempts that this sample tells; by hook PACKET each is a packet */
  __u64 bytes;        /* of packets; of connects 0 */
  __u8 remote_ip[16]; /* as in connect */
  __u16 remote_port;
  __u16 family;
  __u16 protocol;    /* IPPROTO_* */
  __u16 socket_type; /* SOCK_*; 0: not known */
  __u8 reason;       /* enum cicd_egress_reason */
  __u8 scopes;       /* whose policy it is against: enum cicd_egress_scope */
  __u8 is_audit;     /* 1: it was let pass */
  __u8 step;         /* number; 0: none */
  __u8 hook;         /* enum cicd_egress_hook */
  __u8 name_bytes;   /* by hook RESOLVER; else 0 */
  __u8 pad0[2];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_egress) == 104, "wire: egress");

#endif
