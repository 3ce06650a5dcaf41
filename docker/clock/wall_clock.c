/*
 * A wall clock that can be set from outside, for one process that is linked dynamically (LD_PRELOAD).
 *
 * Owns: what a process is told when it reads the wall clock. Leaves alone: monotonic time, sleeps, timers and
 * deadlines, so that nothing hangs when the clock is set back. Does not reach: programs that are linked statically
 * or ask the kernel themselves (most of what is written in Go).
 *
 * The file that WALL_CLOCK names is mapped read-only; who writes it sets the clock of the running process. Its first
 * 32 bytes are four integers of 64 bits in the machine's order: a turn, odd while the others are being written; by how
 * much the clock is ahead (ns); how much it gains (ns a second); since when it gains (ns, Unix time). Without that
 * file, or where it is too short, the clock is right.
 *
 * Nothing but old functions of the C library are called, so that what is built here runs in an image of another
 * release, or of another C library. The time itself comes from the kernel by a call, not from the vDSO.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL
#define SIZE_BYTES 4096
#define TRIES 1000

struct setting {
    uint64_t turn;
    int64_t ahead_ns;
    int64_t gain_ns_per_s;
    int64_t since_ns;
};

static const struct setting right;
static const struct setting *set = &right;

__attribute__((constructor)) static void find_the_file(void)
{
    const char *path = getenv("WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    if (lseek(file, 0, SEEK_END) >= SIZE_BYTES) {
        void *mapped = mmap(0, SIZE_BYTES, PROT_READ, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED)
            set = mapped;
    }
    close(file);
}

/* The setting as one turn left it; as it stands where its writer never ended. */
static struct setting setting_now(void)
{
    struct setting now;
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t turn = __atomic_load_n(&set->turn, __ATOMIC_ACQUIRE);
        now.ahead_ns = __atomic_load_n(&set->ahead_ns, __ATOMIC_RELAXED);
        now.gain_ns_per_s = __atomic_load_n(&set->gain_ns_per_s, __ATOMIC_RELAXED);
        now.since_ns = __atomic_load_n(&set->since_ns, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (turn % 2 == 0 && turn == __atomic_load_n(&set->turn, __ATOMIC_RELAXED))
            break;
    }
    return now;
}

static int64_t told_ns(int64_t true_ns)
{
    struct setting now = setting_now();
    int64_t told = true_ns + now.ahead_ns;
    if (now.gain_ns_per_s) {
        int64_t passed_ns = true_ns - now.since_ns;
        told += passed_ns / SECOND_NS * now.gain_ns_per_s;
        told += passed_ns % SECOND_NS * now.gain_ns_per_s / SECOND_NS;
    }
    return told;
}

static int64_t wall_ns(clockid_t clock)
{
    struct timespec now;
    syscall(SYS_clock_gettime, clock, &now);
    return told_ns(now.tv_sec * SECOND_NS + now.tv_nsec);
}

int clock_gettime(clockid_t clock, struct timespec *told)
{
    int failed = syscall(SYS_clock_gettime, clock, told);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE && clock != CLOCK_TAI))
        return failed;
    int64_t now = told_ns(told->tv_sec * SECOND_NS + told->tv_nsec);
    told->tv_sec = now / SECOND_NS;
    told->tv_nsec = now % SECOND_NS;
    return 0;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone)
{
    (void)zone;
    int64_t now = wall_ns(CLOCK_REALTIME);
    told->tv_sec = now / SECOND_NS;
    told->tv_usec = now % SECOND_NS / 1000;
    return 0;
}

time_t time(time_t *told)
{
    time_t now = wall_ns(CLOCK_REALTIME_COARSE) / SECOND_NS;
    if (told)
        *told = now;
    return now;
}

int timespec_get(struct timespec *told, int base)
{
    if (base != TIME_UTC || clock_gettime(CLOCK_REALTIME, told))
        return 0;
    return base;
}
