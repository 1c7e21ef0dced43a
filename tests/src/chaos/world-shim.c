/*
 * Preloaded into a program under test. Its wall clock is off by the nanoseconds in $CHAOS_WORLD/clock (8 bytes, the
 * machine's own order), and its machine's boot id is what $CHAOS_WORLD/boot-id says. The monotonic clock is left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *const boot_id = "/proc/sys/kernel/random/boot_id";
static volatile const long long *offset_ns;
static char own_boot_id[4096];

__attribute__((constructor)) static void enter(void) {
  const char *world = getenv("CHAOS_WORLD");
  if (world == NULL) return;
  char file[4096];
  snprintf(file, sizeof file, "%s/clock", world);
  snprintf(own_boot_id, sizeof own_boot_id, "%s/boot-id", world);
  int clock = open(file, O_RDONLY | O_CLOEXEC);
  if (clock < 0) return;
  void *page = mmap(NULL, sizeof *offset_ns, PROT_READ, MAP_SHARED, clock, 0);
  if (page != MAP_FAILED) offset_ns = page;
  close(clock);
}

static long long off(void) { return offset_ns == NULL ? 0 : *offset_ns; }

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*next)(clockid_t, struct timespec *);
  if (next == NULL) next = dlsym(RTLD_NEXT, "clock_gettime");
  int answer = next(id, now);
  if (answer != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return answer;
  long long at = now->tv_sec * 1000000000LL + now->tv_nsec + off();
  now->tv_sec = at / 1000000000LL;
  now->tv_nsec = at % 1000000000LL;
  return answer;
}

int gettimeofday(struct timeval *now, void *zone) {
  (void)zone;
  struct timespec at;
  int answer = clock_gettime(CLOCK_REALTIME, &at);
  now->tv_sec = at.tv_sec;
  now->tv_usec = at.tv_nsec / 1000;
  return answer;
}

time_t time(time_t *now) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (now != NULL) *now = at.tv_sec;
  return at.tv_sec;
}

#define REDIRECTED(name)                                                                             \
  int name(const char *file, int flags, ...) {                                                       \
    static int (*next)(const char *, int, mode_t);                                                   \
    if (next == NULL) next = dlsym(RTLD_NEXT, #name);                                                \
    va_list rest;                                                                                    \
    va_start(rest, flags);                                                                           \
    mode_t mode = va_arg(rest, mode_t);                                                              \
    va_end(rest);                                                                                    \
    int is_boot_id = own_boot_id[0] != 0 && strcmp(file, boot_id) == 0;              \
    return next(is_boot_id ? own_boot_id : file, flags, mode);                                       \
  }

REDIRECTED(open)
REDIRECTED(open64)
