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

#define CICD_WIRE_VERSION 1

#ifdef __cplusplus
#define CICD_STATIC_ASSERT static_assert
#else
#define CICD_STATIC_ASSERT _Static_assert
#endif

/* Longest of each string, in bytes. Longer ones are cut and marked CICD_STRING_TRUNCATED. */
#define CICD_PATH_MAX 4096
#define CICD_ARGV_MAX 8192
#define CICD_CGROUP_PATH_MAX 1024
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
};
CICD_STATIC_ASSERT(sizeof(struct cicd_sample_exec) == 104, "wire: exec");

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
};

enum cicd_open_flags {
  CICD_OPEN_READ = 1 << 0, /* the file was opened for reading (failed opens: asked for) */
  CICD_OPEN_WRITE = 1 << 1,
  CICD_OPEN_DIRECTORY = 1 << 2, /* it is a directory */
  /*
   * It succeeded, but another thread closed the descriptor before it could be looked at: `path`
   * and `base` are as for a failed open, inode and device are 0.
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

#endif
