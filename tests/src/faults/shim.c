/* Faults of the system, for one process: load with LD_PRELOAD.
 *
 * FAULTS_SYNC_AT=k     the k-th fsync or fdatasync of the process fails with EIO; FAULTS_SYNC_NOTE=FILE then says what of
 *                      ("file PATH" or "folder PATH"), and "again" once that was synced after all.
 * FAULTS_CLOCK=FILE    FILE holds 8 bytes, native int64: milliseconds by which the wall clock is off, at any time.
 *
 * The monotonic clock is left alone, as the system leaves it when the wall clock is set. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static atomic_long syncs;
static long sync_at;
static volatile int64_t *clock_off;

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("FAULTS_SYNC_AT");
  sync_at = at ? atol(at) : 0;
  const char *file = getenv("FAULTS_CLOCK");
  if (!file) return;
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) abort();
  void *shared = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) abort();
  close(fd);
  clock_off = shared;
}

typedef int (*sync_fn)(int);

static char failed_path[4096];
static atomic_int failed;

static void note(const char *text) {
  const char *file = getenv("FAULTS_SYNC_NOTE");
  int fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (fd < 0) abort();
  if (write(fd, text, strlen(text)) < 0 || write(fd, "\n", 1) < 0) abort();
  close(fd);
}

static void path_of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  path[length < 0 ? 0 : length] = 0;
}

static int sync_or_fail(int fd, const char *name) {
  if (sync_at > 0 && atomic_fetch_add(&syncs, 1) + 1 == sync_at) {
    struct stat about;
    char text[4200];
    path_of(fd, failed_path, sizeof failed_path);
    int folder = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    snprintf(text, sizeof text, "%s %s", folder ? "folder" : "file", failed_path);
    note(text);
    atomic_store(&failed, 1);
    errno = EIO;
    return -1;
  }
  int result = ((sync_fn)dlsym(RTLD_NEXT, name))(fd);
  if (result == 0 && atomic_load(&failed)) {
    char path[4096];
    path_of(fd, path, sizeof path);
    if (strcmp(path, failed_path) == 0 && atomic_exchange(&failed, 0)) note("again");
  }
  return result;
}

int fsync(int fd) { return sync_or_fail(fd, "fsync"); }

int fdatasync(int fd) { return sync_or_fail(fd, "fdatasync"); }

typedef int (*clock_fn)(clockid_t, struct timespec *);

int clock_gettime(clockid_t which, struct timespec *now) {
  static _Atomic(clock_fn) real;
  clock_fn next = atomic_load(&real);
  if (!next) {
    next = (clock_fn)dlsym(RTLD_NEXT, "clock_gettime");
    atomic_store(&real, next);
  }
  int result = next(which, now);
  if (result || !clock_off || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return result;
  int64_t ms = *clock_off;
  now->tv_sec += ms / 1000;
  now->tv_nsec += ms % 1000 * 1000000;
  if (now->tv_nsec < 0) now->tv_nsec += 1000000000, now->tv_sec--;
  if (now->tv_nsec >= 1000000000) now->tv_nsec -= 1000000000, now->tv_sec++;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}

time_t time(time_t *into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}
