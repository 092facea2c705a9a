/* Faults of a machine, put between a program and its C library: a disk that fails to sync or is slow at it, and a clock that is set.
 *
 * Preloaded into dixmgr by the tests. The file that DIXMGR_FAULTS names holds three little-endian 64-bit numbers, which
 * the test may change at any time: how many nanoseconds the clock of the day is wrong, how many of 1,000 syncs fail, and how
 * many nanoseconds longer a sync takes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *faults;
static _Thread_local uint64_t seed;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DIXMGR_FAULTS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        _exit(97);
    void *mapped = mmap(NULL, 24, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        _exit(98);
    faults = mapped;
    close(file);
}

/* A number below 1,000 (xorshift, seeded by the time and the thread). */
static uint64_t draw(void) {
    if (!seed) {
        struct timespec now;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
        seed = (uint64_t)now.tv_nsec ^ ((uint64_t)syscall(SYS_gettid) << 32) ^ 0x9e3779b97f4a7c15u;
    }
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % 1000;
}

static int sync_fails(void) {
    if (faults && faults[2]) {
        struct timespec longer = {faults[2] / 1000000000, faults[2] % 1000000000};
        nanosleep(&longer, NULL);
    }
    if (!faults || (int64_t)draw() >= faults[1])
        return 0;
    errno = EIO;
    return 1;
}

int fsync(int file) { return sync_fails() ? -1 : (int)syscall(SYS_fsync, file); }

int fdatasync(int file) { return sync_fails() ? -1 : (int)syscall(SYS_fdatasync, file); }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (failed || !faults || clock != CLOCK_REALTIME)
        return failed;
    int64_t nanos = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + faults[0];
    time->tv_sec = nanos / 1000000000;
    time->tv_nsec = nanos % 1000000000;
    return 0;
}
