/* Counts the calls by which a process changes files below one folder, and lets one of them go wrong.

   Built as a shared object and preloaded (LD_PRELOAD). Nothing happens until `lodex_fault_arm` names the folder. From
   then on every call of libc below that writes, syncs, creates, renames, links or removes something inside it is
   numbered from 1, over all threads and over processes forked later. The call number `at` is the one that goes wrong:

     'b', 'h', 'a'  the process group is killed (SIGKILL) before the call, when half of its bytes are written, after it
     'e'            the call fails with `error` and does nothing, once; later calls work
     'f'            from this call on, whatever takes room on the device fails with `error`
     's'            the call writes half of its bytes and says so, as a call may

   A line for each call goes to the descriptor `log`, or with `at` > 0 only for the one that goes wrong:
     call <tab> number <tab> name <tab> phase <tab> path [<tab> second path]

   With `at` -1 nothing goes wrong and nothing is written. Inside the folder nothing is ever synced: a kill takes nothing
   from the kernel, and the checks need not wait for a disk.

   Calls that libc makes within itself are not seen, so buffered streams are counted where they are called: at fopen,
   fwrite, fflush and fclose. Writes through a mapping are not seen. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASS, FAIL, HALF, AFTER };

struct state {            /* shared with every process forked after arming */
  char root[PATH_MAX];
  size_t root_length;
  char phase[64];
  long at, count;
  int how, error, log;
};
static struct state *shared;

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Where a line is written must not be counted, so it goes by the bare system call. */
static void say(long number, const char *call, const char *path, const char *second) {
  char line[2 * PATH_MAX + 160];
  int n = snprintf(line, sizeof line, "call\t%ld\t%s\t%s\t%s%s%s\n", number, call, shared->phase, path,
                   second ? "\t" : "", second ? second : "");
  if (n > 0) syscall(SYS_write, shared->log, line, (size_t)n);
}

_Noreturn static void die(void) {
  kill(0, SIGKILL);
  for (;;) pause();
}

/* The absolute path of a name relative to a directory; "" where it cannot be told. */
static void locate(char *path, int directory, const char *name) {
  path[0] = 0;
  if (!name) return;
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
    return;
  }
  char base[PATH_MAX], link[64];
  snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
  ssize_t n = syscall(SYS_readlink, link, base, sizeof base - 1);
  if (n < 0) return;
  base[n] = 0;
  if ((size_t)snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) path[0] = 0;
}

static int is_below_root(const char *path) {
  return !strncmp(path, shared->root, shared->root_length) &&
         (path[shared->root_length] == '/' || !path[shared->root_length]);
}

/* Number a call and say what is to become of it; with `takes_room` it is one that a full device refuses. */
static int meet(const char *call, const char *path, const char *second, int takes_room) {
  if (!is_below_root(path)) return PASS;
  long number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
  if (!shared->at) say(number, call, path, second);
  if (number == shared->at) {
    say(number, call, path, second);
    if (shared->how == 'b') die();
    if (shared->how == 'h' || shared->how == 's') return HALF;
    if (shared->how == 'a') return AFTER;
    if (shared->how == 'e') return FAIL;
  }
  return shared->at && shared->how == 'f' && number >= shared->at && takes_room ? FAIL : PASS;
}

static int meet_name(const char *call, int directory, const char *name, int other, const char *second, int takes_room) {
  if (!shared) return PASS;
  char path[PATH_MAX], path2[PATH_MAX];
  int saved = errno;
  locate(path, directory, name);
  locate(path2, other, second);
  errno = saved;
  return meet(call, path, second ? path2 : NULL, takes_room);
}

static int meet_descriptor(const char *call, int descriptor, int takes_room) {
  if (!shared) return PASS;
  char path[PATH_MAX], link[64];
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t n = syscall(SYS_readlink, link, path, sizeof path - 1);
  errno = saved;
  if (n < 0) return PASS;
  path[n] = 0;
  return meet(call, path, NULL, takes_room);
}

/* ---------------------------------------------------------------------------------- what the tests call */

/* Begin to count below `root`; 0, or -1 where this process does not lead its group, as a kill would reach others. */
int lodex_fault_arm(const char *root, long at, int how, int error, int log) {
  if (getpgrp() != getpid()) return -1;
  struct state *fresh = mmap(NULL, sizeof *fresh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED) return -1;
  snprintf(fresh->root, sizeof fresh->root, "%s", root);
  fresh->root_length = strlen(fresh->root);
  fresh->at = at;
  fresh->how = how;
  fresh->error = error;
  fresh->log = log;
  shared = fresh;
  return 0;
}

/* Name what follows; the name stands in the lines of the calls. */
void lodex_fault_phase(const char *name) {
  if (shared) snprintf(shared->phase, sizeof shared->phase, "%s", name);
}

/* Let everything pass from now on; returns how many calls were counted. */
long lodex_fault_disarm(void) {
  long count = shared ? shared->count : 0;
  shared = NULL;
  return count;
}

/* ---------------------------------------------------------------------------------- calls that write bytes */

/* `write_part` writes half of the bytes, `write_all` all of them. */
#define WRITING(call, descriptor, write_part, write_all)        \
  switch (meet_descriptor(call, descriptor, 1)) {               \
    case FAIL: errno = shared->error; return -1;                \
    case HALF: {                                                \
      ssize_t done = write_part;                                \
      if (shared->how == 'h') die();                            \
      return done;                                              \
    }                                                           \
    case AFTER: (void)!write_all; die();                        \
  }                                                             \
  return write_all

static size_t half(size_t n) { return n > 1 ? n / 2 : n; }

ssize_t write(int f, const void *b, size_t n) {
  REAL(write);
  WRITING("write", f, real(f, b, half(n)), real(f, b, n));
}
ssize_t pwrite(int f, const void *b, size_t n, off_t o) {
  REAL(pwrite);
  WRITING("pwrite", f, real(f, b, half(n), o), real(f, b, n, o));
}
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) {
  REAL(pwrite64);
  WRITING("pwrite", f, real(f, b, half(n), o), real(f, b, n, o));
}
ssize_t writev(int f, const struct iovec *v, int n) {
  REAL(writev);
  WRITING("writev", f, real(f, v, n > 1 ? n / 2 : n), real(f, v, n));
}
ssize_t sendfile(int f, int in, off_t *o, size_t n) {
  REAL(sendfile);
  WRITING("sendfile", f, real(f, in, o, half(n)), real(f, in, o, n));
}
ssize_t sendfile64(int f, int in, off64_t *o, size_t n) {
  REAL(sendfile64);
  WRITING("sendfile", f, real(f, in, o, half(n)), real(f, in, o, n));
}
ssize_t copy_file_range(int in, off64_t *i, int f, off64_t *o, size_t n, unsigned flags) {
  REAL(copy_file_range);
  WRITING("copy_file_range", f, real(in, i, f, o, half(n), flags), real(in, i, f, o, n, flags));
}

size_t fwrite(const void *b, size_t size, size_t n, FILE *file) {
  REAL(fwrite);
  if (!shared) return real(b, size, n, file);
  switch (meet_descriptor("fwrite", fileno(file), 1)) {
    case FAIL: errno = shared->error; return 0;
    case HALF:
      if (shared->how == 's') break;  /* of a stream, fewer than asked for are an error */
      real(b, size, half(n), file);
      fflush(file);
      die();
    case AFTER: real(b, size, n, file); die();
  }
  return real(b, size, n, file);
}

/* ---------------------------------------------------------------------------------- calls that do or do not */

#define CHANGING(outcome, act)                                  \
  switch (outcome) {                                            \
    case FAIL: errno = shared->error; return -1;                \
    case HALF: if (shared->how == 's') break; /* fall through */ \
    case AFTER: (void)!(act); die();                            \
  }                                                             \
  return act

int fflush(FILE *file) {
  REAL(fflush);
  CHANGING(shared && file ? meet_descriptor("fflush", fileno(file), 1) : PASS, real(file));
}
int fclose(FILE *file) {
  REAL(fclose);
  int outcome = shared ? meet_descriptor("fclose", fileno(file), 1) : PASS;
  if (outcome == FAIL) {  /* the stream is gone all the same, as it is after a real failure */
    real(file);
    errno = shared->error;
    return EOF;
  }
  CHANGING(outcome, real(file));
}
int fsync(int f) {
  REAL(fsync);
  CHANGING(meet_descriptor("fsync", f, 0), (shared ? 0 : real(f)));
}
int fdatasync(int f) {
  REAL(fdatasync);
  CHANGING(meet_descriptor("fdatasync", f, 0), (shared ? 0 : real(f)));
}
int ftruncate(int f, off_t n) {
  REAL(ftruncate);
  CHANGING(meet_descriptor("ftruncate", f, 1), real(f, n));
}
int ftruncate64(int f, off64_t n) {
  REAL(ftruncate64);
  CHANGING(meet_descriptor("ftruncate", f, 1), real(f, n));
}
int rename(const char *from, const char *to) {
  REAL(rename);
  CHANGING(meet_name("rename", AT_FDCWD, from, AT_FDCWD, to, 0), real(from, to));
}
int renameat(int d, const char *from, int e, const char *to) {
  REAL(renameat);
  CHANGING(meet_name("rename", d, from, e, to, 0), real(d, from, e, to));
}
int renameat2(int d, const char *from, int e, const char *to, unsigned flags) {
  REAL(renameat2);
  CHANGING(meet_name("rename", d, from, e, to, 0), real(d, from, e, to, flags));
}
int link(const char *from, const char *to) {
  REAL(link);
  CHANGING(meet_name("link", AT_FDCWD, from, AT_FDCWD, to, 1), real(from, to));
}
int linkat(int d, const char *from, int e, const char *to, int flags) {
  REAL(linkat);
  CHANGING(meet_name("link", d, from, e, to, 1), real(d, from, e, to, flags));
}
int symlink(const char *target, const char *path) {
  REAL(symlink);
  CHANGING(meet_name("symlink", AT_FDCWD, path, 0, NULL, 1), real(target, path));
}
int symlinkat(const char *target, int d, const char *path) {
  REAL(symlinkat);
  CHANGING(meet_name("symlink", d, path, 0, NULL, 1), real(target, d, path));
}
int unlink(const char *path) {
  REAL(unlink);
  CHANGING(meet_name("unlink", AT_FDCWD, path, 0, NULL, 0), real(path));
}
int unlinkat(int d, const char *path, int flags) {
  REAL(unlinkat);
  CHANGING(meet_name(flags & AT_REMOVEDIR ? "rmdir" : "unlink", d, path, 0, NULL, 0), real(d, path, flags));
}
int rmdir(const char *path) {
  REAL(rmdir);
  CHANGING(meet_name("rmdir", AT_FDCWD, path, 0, NULL, 0), real(path));
}
int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  CHANGING(meet_name("mkdir", AT_FDCWD, path, 0, NULL, 1), real(path, mode));
}
int mkdirat(int d, const char *path, mode_t mode) {
  REAL(mkdirat);
  CHANGING(meet_name("mkdir", d, path, 0, NULL, 1), real(d, path, mode));
}

/* ---------------------------------------------------------------------------------- opening, where it creates */

#define MODE(flags)                            \
  mode_t mode = 0;                             \
  if ((flags) & (O_CREAT | __O_TMPFILE)) {     \
    va_list rest;                              \
    va_start(rest, flags);                     \
    mode = va_arg(rest, mode_t);               \
    va_end(rest);                              \
  }
#define CREATES(flags) ((flags) & (O_CREAT | O_TRUNC))

int open(const char *path, int flags, ...) {
  REAL(open);
  MODE(flags);
  CHANGING(CREATES(flags) ? meet_name("open", AT_FDCWD, path, 0, NULL, 1) : PASS, real(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
  REAL(open64);
  MODE(flags);
  CHANGING(CREATES(flags) ? meet_name("open", AT_FDCWD, path, 0, NULL, 1) : PASS, real(path, flags, mode));
}
int openat(int d, const char *path, int flags, ...) {
  REAL(openat);
  MODE(flags);
  CHANGING(CREATES(flags) ? meet_name("open", d, path, 0, NULL, 1) : PASS, real(d, path, flags, mode));
}
int openat64(int d, const char *path, int flags, ...) {
  REAL(openat64);
  MODE(flags);
  CHANGING(CREATES(flags) ? meet_name("open", d, path, 0, NULL, 1) : PASS, real(d, path, flags, mode));
}

#define OPENING(act)                                                                    \
  switch (mode[0] != 'r' ? meet_name("open", AT_FDCWD, path, 0, NULL, 1) : PASS) {      \
    case FAIL: errno = shared->error; return NULL;                                      \
    case HALF: if (shared->how == 's') break; /* fall through */                        \
    case AFTER: (void)!act; die();                                                      \
  }                                                                                     \
  return act

FILE *fopen(const char *path, const char *mode) {
  REAL(fopen);
  OPENING(real(path, mode));
}
FILE *fopen64(const char *path, const char *mode) {
  REAL(fopen64);
  OPENING(real(path, mode));
}
