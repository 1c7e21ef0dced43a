/*
 * LD_PRELOAD shim for the crash tests: spoils I/O on the files broker.lmdb and broker.lmdb.journal, once the file FAULT_ARM exists.
 * FAULT_KIND: write-eio, write-enospc, write-short, sync-eio, sync-lie. FAULT_AT: which such call, counting from 1;
 * sync-lie spoils every call from that one on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <stdio.h>

static atomic_long calls;

static int is_kind(const char *prefix) {
  const char *kind = getenv("FAULT_KIND");
  return kind != NULL && strncmp(kind, prefix, strlen(prefix)) == 0;
}

static int is_ours(int fd) {
  char link[64], name[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0) return 0;
  name[length] = 0;
  const char *file = strrchr(name, '/');
  return file != NULL && (strcmp(file, "/broker.lmdb") == 0 || strcmp(file, "/broker.lmdb.journal") == 0);
}

/* Whether this call is the one: 1, and for a lie also every later one. */
static int is_due(int fd, const char *prefix) {
  const char *arm = getenv("FAULT_ARM"), *at = getenv("FAULT_AT");
  if (arm == NULL || at == NULL || !is_kind(prefix) || !is_ours(fd) || access(arm, F_OK) != 0) return 0;
  long call = atomic_fetch_add(&calls, 1) + 1;
  return call == atol(at) || (is_kind("sync-lie") && call > atol(at));
}

/* 1 when the call shall fail with errno, 2 when it shall be cut short. */
static int spoil_write(int fd) {
  if (!is_due(fd, "write-")) return 0;
  if (is_kind("write-short")) return 2;
  errno = is_kind("write-enospc") ? ENOSPC : EIO;
  return 1;
}

#define SINGLE(NAME, OFFSET)                                                                   \
  ssize_t NAME(int fd, const void *bytes, size_t count, OFFSET at) {                           \
    ssize_t (*real)(int, const void *, size_t, OFFSET) = dlsym(RTLD_NEXT, #NAME);              \
    int how = spoil_write(fd);                                                                 \
    if (how == 1) return -1;                                                                   \
    return real(fd, bytes, how == 2 ? count / 2 : count, at);                                  \
  }

#define GATHERED(NAME, OFFSET)                                                                 \
  ssize_t NAME(int fd, const struct iovec *parts, int count, OFFSET at) {                      \
    ssize_t (*real)(int, const struct iovec *, int, OFFSET) = dlsym(RTLD_NEXT, #NAME);         \
    int how = spoil_write(fd);                                                                 \
    if (how == 1) return -1;                                                                   \
    if (how == 0) return real(fd, parts, count, at);                                           \
    struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};                             \
    return real(fd, &half, 1, at);                                                             \
  }

SINGLE(pwrite, off_t)
SINGLE(pwrite64, off64_t)
GATHERED(pwritev, off_t)
GATHERED(pwritev64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
  ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
  int how = spoil_write(fd);
  if (how == 1) return -1;
  if (how == 0) return real(fd, parts, count);
  struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};
  return real(fd, &half, 1);
}

int fdatasync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
  if (!is_due(fd, "sync-")) return real(fd);
  if (is_kind("sync-lie")) return 0;
  errno = EIO;
  return -1;
}
