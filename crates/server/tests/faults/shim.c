/* Faults of a disk and a clock, laid over the C library of the server under test.
 *
 * Preloaded by tests/faults.rs. It watches files below one folder that are open for writing,
 * counts what is done to them, and from a count on lets things go wrong. A power cut takes what
 * was not synced: a file keeps a length between what was synced and what was written, and what
 * was written over other bytes is there or not. Names are not taken back: renames and removals
 * count as durable at once.
 *
 *   FAULTS_FOLDER   files below it are watched
 *   FAULTS_KIND     write-error, short-write, full-disk, sync-error, power-cut, clock-jump
 *   FAULTS_AFTER    so many calls go well first
 *   FAULTS_TIMES    so many calls go wrong then; 0: all
 *   FAULTS_SEED     of what is left to chance
 *   FAULTS_HIT      a file that is made when the first call goes wrong
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NONE, WRITE_ERROR, SHORT_WRITE, FULL_DISK, SYNC_ERROR, POWER_CUT, CLOCK_JUMP };

/* Bytes that were written over, until the file is synced. */
struct undo {
    off64_t at;
    size_t length;
    char *bytes;
    struct undo *next;
};

/* A watched file, by its inode. */
struct file {
    dev_t device;
    ino_t inode;
    int fd; /* a descriptor of our own, for the power cut */
    off64_t synced;
    struct undo *undo;
    struct file *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct file *files;
static enum kind kind;
static const char *folder;
static uint64_t chance, calls, after, times;
static int64_t jump_s;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off64_t);
static int (*real_open)(const char *, int, ...);
static int (*real_clock)(clockid_t, struct timespec *);

static uint64_t number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

static void set_up(void) {
    static const char *const names[] = {"",          "write-error", "short-write", "full-disk",
                                        "sync-error", "power-cut",   "clock-jump"};
    const char *wanted = getenv("FAULTS_KIND");
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    for (int i = NONE; wanted && i <= CLOCK_JUMP; i++)
        if (!strcmp(wanted, names[i]))
            kind = i;
    folder = getenv("FAULTS_FOLDER");
    after = number("FAULTS_AFTER");
    times = number("FAULTS_TIMES");
    chance = number("FAULTS_SEED");
}

/* SplitMix64, as in the tests. */
static uint64_t below(uint64_t end) {
    uint64_t z = (chance += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return end ? (z ^ (z >> 31)) % end : 0;
}

static struct file *find(int fd) {
    struct stat64 is;
    if (fstat64(fd, &is))
        return NULL;
    for (struct file *file = files; file; file = file->next)
        if (file->device == is.st_dev && file->inode == is.st_ino)
            return file;
    return NULL;
}

static void watch(const char *path, int fd, int flags) {
    struct stat64 is;
    if (!folder || (flags & O_ACCMODE) == O_RDONLY || strncmp(path, folder, strlen(folder)))
        return;
    pthread_mutex_lock(&lock);
    if (!find(fd) && !fstat64(fd, &is) && S_ISREG(is.st_mode)) {
        struct file *file = calloc(1, sizeof *file);
        file->device = is.st_dev;
        file->inode = is.st_ino;
        /* The length that a file has when it is opened was made durable before. */
        file->synced = is.st_size;
        file->fd = real_open(path, O_RDWR | O_CLOEXEC);
        file->next = files;
        files = file;
    }
    pthread_mutex_unlock(&lock);
}

/* Cuts the power: what was not synced is there in part, and the process is gone. */
static void cut(void) {
    for (struct file *file = files; file; file = file->next) {
        struct stat64 is;
        if (file->fd < 0 || fstat64(file->fd, &is))
            continue;
        for (struct undo *undo = file->undo; undo; undo = undo->next)
            if (below(2))
                real_pwrite(file->fd, undo->bytes, undo->length, undo->at);
        if (is.st_size > file->synced) {
            off64_t kept = file->synced + below(is.st_size - file->synced + 1);
            /* What the length covers may still be zeros. */
            if (kept > file->synced && below(4) == 0) {
                char zeros[4096] = {0};
                off64_t from = file->synced + below(kept - file->synced);
                for (off64_t at = from; at < kept; at += sizeof zeros)
                    real_pwrite(file->fd, zeros, kept - at < 4096 ? kept - at : 4096, at);
            }
            real_ftruncate(file->fd, kept);
        }
    }
    _exit(137);
}

/* Whether this call goes wrong, if it is one of those that do. */
static int wrong(enum kind now) {
    if (kind != now || calls++ < after || (times && calls - after > times))
        return 0;
    const char *hit = getenv("FAULTS_HIT");
    if (hit && calls == after + 1)
        close(real_open(hit, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return 1;
}

/* Notes what a write will lay over durable bytes. */
static void note(struct file *file, off64_t at, size_t length) {
    if (kind != POWER_CUT || at >= file->synced)
        return;
    struct undo *undo = malloc(sizeof *undo);
    undo->at = at;
    undo->length = file->synced - at < (off64_t)length ? (size_t)(file->synced - at) : length;
    undo->bytes = malloc(undo->length);
    if (pread64(file->fd, undo->bytes, undo->length, at) != (ssize_t)undo->length)
        undo->length = 0;
    undo->next = file->undo;
    file->undo = undo;
}

/* What to do with a write: -1 fails, else so many bytes of it. */
static ssize_t writing(int fd, size_t length, off64_t at) {
    ssize_t may = length;
    pthread_once(&once, set_up);
    pthread_mutex_lock(&lock);
    struct file *file = find(fd);
    if (file) {
        if (at < 0 && kind == POWER_CUT) {
            struct stat64 is;
            int appends = fcntl(fd, F_GETFL) & O_APPEND;
            at = appends && !fstat64(fd, &is) ? is.st_size : lseek64(fd, 0, SEEK_CUR);
        }
        note(file, at, length);
        if (wrong(POWER_CUT))
            cut();
        if (wrong(WRITE_ERROR)) {
            errno = EIO;
            may = -1;
        } else if (wrong(FULL_DISK)) {
            errno = ENOSPC;
            may = -1;
        } else if (length > 1 && wrong(SHORT_WRITE)) {
            may = 1 + below(length - 1);
        }
    }
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return may;
}

static int syncing(int fd, int (*real)(int)) {
    pthread_mutex_lock(&lock);
    struct file *file = find(fd);
    if (file && wrong(POWER_CUT))
        cut();
    if (file && wrong(SYNC_ERROR)) {
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    struct stat64 is;
    off64_t length = file && !fstat64(fd, &is) ? is.st_size : 0;
    struct undo *undo = file ? file->undo : NULL;
    if (file)
        file->undo = NULL;
    pthread_mutex_unlock(&lock);
    int done = real(fd);
    int kept = errno;
    pthread_mutex_lock(&lock);
    if (file && !done && length > file->synced)
        file->synced = length;
    while (undo) {
        struct undo *next = undo->next;
        if (!done) {
            free(undo->bytes);
            free(undo);
        } else {
            undo->next = file->undo;
            file->undo = undo;
        }
        undo = next;
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t may = writing(fd, length, -1);
    return may < 0 ? may : real_write(fd, bytes, may);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    ssize_t may = writing(fd, length, -1);
    if (may < 0 || (size_t)may == length)
        return may < 0 ? may : real_writev(fd, parts, count);
    size_t first = parts[0].iov_len;
    return real_write(fd, parts[0].iov_base, (size_t)may < first ? (size_t)may : first);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    ssize_t may = writing(fd, length, at);
    return may < 0 ? may : real_pwrite(fd, bytes, may, at);
}

int fsync(int fd) {
    pthread_once(&once, set_up);
    return syncing(fd, real_fsync);
}

int fdatasync(int fd) {
    pthread_once(&once, set_up);
    return syncing(fd, real_fdatasync);
}

int ftruncate64(int fd, off64_t length) {
    pthread_once(&once, set_up);
    int done = real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    struct file *file = done ? NULL : find(fd);
    if (file && file->synced > length)
        file->synced = length;
    pthread_mutex_unlock(&lock);
    return done;
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    pthread_once(&once, set_up);
    int fd = real_open(path, flags, mode);
    if (fd >= 0) {
        int kept = errno;
        watch(path, fd, flags);
        errno = kept;
    }
    return fd;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    pthread_once(&once, set_up);
    int done = real_clock(clock, time);
    if (done || kind != CLOCK_JUMP || clock != CLOCK_REALTIME)
        return done;
    pthread_mutex_lock(&lock);
    if (wrong(CLOCK_JUMP) && below(8) == 0)
        jump_s = (int64_t)below(2 * 3600) - 3600;
    pthread_mutex_unlock(&lock);
    time->tv_sec += jump_s;
    return 0;
}
