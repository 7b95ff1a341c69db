// Intercepts a process's changes to files (LD_PRELOAD), for tests of recovery.
//
// It logs every change below LAYER_ROOT, in order, to LAYER_LOG, so that a test can rebuild the synced
// state. It kills the process before change number LAYER_KILL. While the file LAYER_FULL exists, writes
// fail with ENOSPC (only for paths that contain the file's text). While the file LAYER_CLOCK exists,
// the clock is moved by the seconds in the file, or back by one hour if the file is empty.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static const char *full, *back;
static long changes, kill_at;
static int record = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("LAYER_ROOT"), *at = getenv("LAYER_KILL");
    const char *path = getenv("LAYER_LOG");
    full = getenv("LAYER_FULL");
    back = getenv("LAYER_CLOCK");
    if (at) kill_at = atol(at);
    if (where && realpath(where, root)) root_length = strlen(root);
    if (path) record = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int exists(const char *path) {
    return path && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

static int below(const char *path) {
    return root_length && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

// The absolute path of a descriptor, if it lies below the root.
static int of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

// The same of a path: its folder resolved, its last name as it is.
static int of_path(int at, const char *given, char *path) {
    char whole[PATH_MAX], folder[PATH_MAX];
    if (given[0] == '/') {
        snprintf(whole, sizeof whole, "%s", given);
    } else {
        char base[PATH_MAX] = "";
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length <= 0) return 0;
            base[length] = 0;
        }
        if (snprintf(whole, sizeof whole, "%s/%s", base, given) >= (int)sizeof whole) return 0;
    }
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
    char *name = strrchr(whole, '/');
    if (!name) return 0;
    *name++ = 0;
    if (!realpath(whole[0] ? whole : "/", folder)) return 0;
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) return 0;
    return below(path);
}

static unsigned long inode(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

// One change is about to be made; the order is held until it is written down.
static void change(void) {
    pthread_mutex_lock(&order);
    if (++changes == kill_at) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
}

static void done(void) { pthread_mutex_unlock(&order); }

static void put(const void *bytes, size_t length) {
    while (record >= 0 && length > 0) {
        ssize_t written = syscall(SYS_write, record, bytes, length);
        if (written <= 0) _exit(99);
        bytes = (const char *)bytes + written;
        length -= written;
    }
}

static void note(const char *format, ...) {
    char line[2 * PATH_MAX + 64];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    put(line, length);
}

static int no_room(const char *path) {
    char part[256];
    int fd = full ? syscall(SYS_openat, AT_FDCWD, full, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t length = syscall(SYS_read, fd, part, sizeof part - 1);
    syscall(SYS_close, fd);
    part[length > 0 ? length : 0] = 0;
    if (!strstr(path, part)) return 0;
    errno = ENOSPC;
    return 1;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    int changing = (flags & (O_CREAT | O_TRUNC)) && of_path(at, path, whole);
    if (!changing) return syscall(SYS_openat, at, path, flags, mode);
    int there = exists(whole);
    if (!there && no_room(whole)) return -1;
    if (there && !(flags & O_TRUNC)) return syscall(SYS_openat, at, path, flags, mode);
    change();
    int fd = syscall(SYS_openat, at, path, flags, mode);
    int error = errno;
    if (fd >= 0 && !there) note("C %lu %s\n", inode(fd), whole);
    if (fd >= 0 && there) note("T %lu 0\n", inode(fd));
    done();
    errno = error;
    return fd;
}

#define OPEN(name, AT, at)                                                       \
    int name(AT const char *path, int flags, ...) {                              \
        va_list list;                                                            \
        va_start(list, flags);                                                   \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                            \
        return opened(at, path, flags, mode);                                    \
    }
#define NOTHING
#define FOLDER int folder,
OPEN(open, NOTHING, AT_FDCWD)
OPEN(open64, NOTHING, AT_FDCWD)
OPEN(openat, FOLDER, folder)
OPEN(openat64, FOLDER, folder)

static ssize_t written(int fd, const void *bytes, size_t length, off_t at) {
    char path[PATH_MAX];
    if (!of_fd(fd, path)) {
        return at < 0 ? syscall(SYS_write, fd, bytes, length)
                      : syscall(SYS_pwrite64, fd, bytes, length, at);
    }
    if (no_room(path)) return -1;
    change();
    off_t place = at;
    if (at < 0) {
        struct stat found;
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        place = appends && fstat(fd, &found) == 0 ? found.st_size : lseek(fd, 0, SEEK_CUR);
    }
    ssize_t wrote = at < 0 ? syscall(SYS_write, fd, bytes, length)
                           : syscall(SYS_pwrite64, fd, bytes, length, at);
    int error = errno;
    if (wrote > 0) {
        note("W %lu %ld %ld\n", inode(fd), (long)place, (long)wrote);
        put(bytes, wrote);
        put("\n", 1);
    }
    done();
    errno = error;
    return wrote;
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, -1); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return written(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return written(fd, bytes, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!of_fd(fd, path)) return syscall(SYS_writev, fd, parts, count);
    // A short write is a write: the caller goes on.
    for (int part = 0; part < count; part++) {
        if (parts[part].iov_len > 0) return written(fd, parts[part].iov_base, parts[part].iov_len, -1);
    }
    return 0;
}

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    if (!of_fd(fd, path)) return syscall(SYS_ftruncate, fd, length);
    change();
    int result = syscall(SYS_ftruncate, fd, length);
    if (result == 0) note("T %lu %ld\n", inode(fd), (long)length);
    done();
    return result;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int synced(int fd, long call) {
    char path[PATH_MAX] = "";
    struct stat found;
    if (!of_fd(fd, path) && strcmp(path, root) != 0) return syscall(call, fd);
    change();
    int result = syscall(call, fd);
    if (result == 0 && fstat(fd, &found) == 0) {
        if (S_ISDIR(found.st_mode)) note("D %s\n", path);
        else note("S %lu\n", (unsigned long)found.st_ino);
    }
    done();
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int renameat(int from_at, const char *from, int to_at, const char *to) {
    char old[PATH_MAX], new[PATH_MAX];
    if (!of_path(from_at, from, old) || !of_path(to_at, to, new))
        return syscall(SYS_renameat, from_at, from, to_at, to);
    change();
    int result = syscall(SYS_renameat, from_at, from, to_at, to);
    int error = errno;
    if (result == 0) note("R %s\n%s\n", old, new);
    done();
    errno = error;
    return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char new[PATH_MAX];
    if (!of_path(to_at, to, new)) return syscall(SYS_linkat, from_at, from, to_at, to, flags);
    change();
    int result = syscall(SYS_linkat, from_at, from, to_at, to, flags);
    int error = errno;
    struct stat found;
    if (result == 0 && lstat(new, &found) == 0) note("C %lu %s\n", (unsigned long)found.st_ino, new);
    done();
    errno = error;
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int at, const char *given, int flags) {
    char path[PATH_MAX];
    if (!of_path(at, given, path)) return syscall(SYS_unlinkat, at, given, flags);
    change();
    int result = syscall(SYS_unlinkat, at, given, flags);
    int error = errno;
    if (result == 0) note("U %s\n", path);
    done();
    errno = error;
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *given, mode_t mode) {
    char path[PATH_MAX];
    if (!of_path(at, given, path)) return syscall(SYS_mkdirat, at, given, mode);
    if (no_room(path)) return -1;
    change();
    int result = syscall(SYS_mkdirat, at, given, mode);
    int error = errno;
    if (result == 0) note("M %s\n", path);
    done();
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

static long shift(void) {
    char text[32] = "";
    int fd = syscall(SYS_openat, AT_FDCWD, back, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        syscall(SYS_read, fd, text, sizeof text - 1);
        syscall(SYS_close, fd);
    }
    return text[0] ? atol(text) : -3600;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && back && exists(back)) now->tv_sec += shift();
    return result;
}
