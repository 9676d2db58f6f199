/* A machine that misbehaves, for one process: preloaded into the program under test (LD_PRELOAD), so that the program
 * itself knows nothing of it. See machine.py, which builds it and holds the other end.
 *
 * SHIM_CONTROL  a file of `struct control`, mapped: the test turns its knobs while the program runs
 * SHIM_ROOT     the directory whose files are meant; others are left alone
 * SHIM_LOG      where every change to these files is recorded, in order, with CLOCK_MONOTONIC; may be absent
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    double utc_shift;      /* s added to the system's wall clock */
    int32_t clock_state;   /* what adjtimex answers: 0 disciplined, 5 not; -1 the kernel's own */
    int32_t fsync_ms;      /* how long every fsync takes */
    int32_t write_errno;   /* what every write gets; 0: it is done */
};
struct record {
    uint8_t kind;          /* o open, w write, t truncate, s fsync begins, S has ended, r rename, u unlink */
    uint8_t flags;         /* of o: 1 created or emptied */
    uint16_t path;         /* bytes of the path that follows */
    uint32_t data;         /* bytes after it: what was written, or the new name */
    uint64_t offset;       /* of w; of t the new size */
    double at;
} __attribute__((packed));

#define FILES 4096
static struct control idle = {0.0, -1, 0, 0};
static volatile struct control *knobs = &idle;
static const char *root;
static size_t root_length;
static int log_fd = -1;
static char *names[FILES];
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *control = getenv("SHIM_CONTROL"), *log = getenv("SHIM_LOG");
    root = getenv("SHIM_ROOT");
    root_length = root ? strlen(root) : 0;
    int fd = control ? REAL(open)(control, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED) knobs = at;
        REAL(close)(fd);
    }
    if (log) log_fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static double monotonic(void) {
    struct timespec t;
    REAL(clock_gettime)(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void note(char kind, int flags, const char *path, const void *data, size_t size, uint64_t offset) {
    if (log_fd < 0) return;
    int kept = errno;
    struct record head = {kind, flags, strlen(path), size, offset, monotonic()};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, size}};
    if (REAL(writev)(log_fd, parts, 3) < 0) abort();
    errno = kept;
}

static const char *meant(int dir, const char *path, char *whole) {
    /* The absolute path if it is one of ours. The program under test names its files absolutely. */
    if (!root || !path) return NULL;
    if (path[0] != '/') {
        if (dir != AT_FDCWD || !getcwd(whole, PATH_MAX)) return NULL;
        size_t n = strlen(whole);
        snprintf(whole + n, PATH_MAX - n, "/%s", path);
    } else snprintf(whole, PATH_MAX, "%s", path);
    return strncmp(whole, root, root_length) == 0 ? whole : NULL;
}

static const char *named(int fd) { return fd >= 0 && fd < FILES ? names[fd] : NULL; }

static int opened(int dir, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    const char *mine = meant(dir, path, whole);
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (mine && writes && (knobs->write_errno == EROFS || (knobs->write_errno && access(whole, F_OK) != 0))) {
        errno = knobs->write_errno;
        return -1;
    }
    int fresh = mine && writes && ((flags & O_TRUNC) || access(whole, F_OK) != 0);
    int fd = REAL(openat)(dir, path, flags, mode);
    if (mine && fd >= 0 && fd < FILES) {
        free(names[fd]);
        names[fd] = strdup(whole);
        if (writes) note('o', fresh, whole, NULL, 0, 0);
    }
    return fd;
}

#define MODE(flags) ({ mode_t m = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, flags); m = va_arg(a, mode_t); va_end(a); } m; })
int open(const char *path, int flags, ...) { return opened(AT_FDCWD, path, flags, MODE(flags)); }
int open64(const char *path, int flags, ...) { return opened(AT_FDCWD, path, flags, MODE(flags)); }
int openat(int dir, const char *path, int flags, ...) { return opened(dir, path, flags, MODE(flags)); }
int openat64(int dir, const char *path, int flags, ...) { return opened(dir, path, flags, MODE(flags)); }

int close(int fd) {
    if (named(fd)) {
        free(names[fd]);
        names[fd] = NULL;
    }
    return REAL(close)(fd);
}

static int refused(int fd) {
    if (!named(fd) || !knobs->write_errno) return 0;
    errno = knobs->write_errno;
    return 1;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    if (refused(fd)) return -1;
    ssize_t done = REAL(pwrite)(fd, data, size, offset);
    if (done > 0 && named(fd)) note('w', 0, named(fd), data, done, offset);
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    if (refused(fd)) return -1;
    ssize_t done = REAL(write)(fd, data, size);
    if (done > 0 && named(fd)) note('w', 0, named(fd), data, done, lseek(fd, 0, SEEK_CUR) - done);
    return done;
}

int ftruncate(int fd, off_t size) {
    if (refused(fd)) return -1;
    int done = REAL(ftruncate)(fd, size);
    if (done == 0 && named(fd)) note('t', 0, named(fd), NULL, 0, size);
    return done;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int fallocate(int fd, int mode, off_t offset, off_t size) { return refused(fd) ? -1 : REAL(fallocate)(fd, mode, offset, size); }
int posix_fallocate(int fd, off_t offset, off_t size) { return refused(fd) ? errno : REAL(posix_fallocate)(fd, offset, size); }

static int synced(int fd, int (*real)(int)) {
    const char *name = named(fd);
    if (!name) return real(fd);
    if (refused(fd)) return -1;
    note('s', 0, name, NULL, 0, 0);
    int wait = knobs->fsync_ms;
    if (wait) usleep(wait * 1000);
    int done = real(fd);
    if (done == 0) note('S', 0, name, NULL, 0, 0);
    return done;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    char old[PATH_MAX], new[PATH_MAX];
    const char *mine = meant(from_dir, from, old), *target = meant(to_dir, to, new);
    if (mine && knobs->write_errno == EROFS) { errno = EROFS; return -1; }
    int done = REAL(renameat)(from_dir, from, to_dir, to);
    if (done == 0 && mine && target) note('r', 0, old, new, strlen(new), 0);
    return done;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int dir, const char *path, int flags) {
    char whole[PATH_MAX];
    const char *mine = meant(dir, path, whole);
    if (mine && knobs->write_errno == EROFS) { errno = EROFS; return -1; }
    int done = REAL(unlinkat)(dir, path, flags);
    if (done == 0 && mine) note('u', 0, whole, NULL, 0, 0);
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = REAL(clock_gettime)(clock, now);
    double shift = knobs->utc_shift;
    if (done == 0 && clock == CLOCK_REALTIME && shift != 0.0) {
        double nanos = now->tv_nsec + (shift - (int64_t)shift) * 1e9;
        now->tv_sec += (int64_t)shift + (nanos < 0 ? -1 : nanos >= 1e9);
        now->tv_nsec = nanos < 0 ? nanos + 1e9 : nanos >= 1e9 ? nanos - 1e9 : nanos;
    }
    return done;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec t;
    int done = clock_gettime(CLOCK_REALTIME, &t);
    now->tv_sec = t.tv_sec;
    now->tv_usec = t.tv_nsec / 1000;
    return done;
}

time_t time(time_t *at) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (at) *at = t.tv_sec;
    return t.tv_sec;
}

int adjtimex(struct timex *buffer) {
    int done = REAL(adjtimex)(buffer);
    return knobs->clock_state >= 0 ? knobs->clock_state : done;
}
