/* Faults of a disk and a clock, laid over the C library of the process under test.
 *
 * Preloaded by the tests beside it. It watches files below some folders that are open for writing,
 * and names there, counts what is done to them, and from a count on lets things go wrong. A power
 * cut takes what was not synced: a file keeps a length between what was synced and what was
 * written, and what was written over other bytes is there, or not, or a part of it. A kill lets a write
 * be there in part, too, and after a short one the next may find no room. Of names that were made, changed
 * or removed since the last sync of anything, the later ones are taken back, as far as chance wants:
 * file systems with a journal keep their order, and a sync makes all before it durable.
 *
 *   FAULTS         FOLDER|KIND|AFTER|TIMES, several with ; between them: of what is done below
 *                  FOLDER so many calls go well first, and so many go wrong then (0: all)
 *                  KIND is write-error, short-write, full-disk, sync-error, power-cut, kill, clock-jump
 *   FAULTS_SEED    of what is left to chance
 *   FAULTS_HIT     a file that is made when the first call goes wrong
 *   FAULTS_ASIDE   a folder on the same file system, where names wait that may have to come back
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NONE, WRITE_ERROR, SHORT_WRITE, FULL_DISK, SYNC_ERROR, POWER_CUT, CLOCK_JUMP, KILL };

/* One thing that goes wrong. */
struct fault {
    char *folder;
    size_t length; /* of the folder's name */
    enum kind kind;
    uint64_t after, times, calls;
};
enum { FAULTS_MAX = 8 };

/* A change of a name, until something is synced. */
struct name {
    enum { MADE, MOVED, REMOVED } what;
    char *path;
    char *from;  /* of what was moved */
    char *aside; /* what had the name before, if something had */
    struct name *next;
};

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
    unsigned faults; /* those that it may suffer, by their bits */
    off64_t synced;
    int full; /* the next write finds no room */
    struct undo *undo;
    struct file *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct file *files;
static struct name *names; /* the newest first */
static struct fault faults[FAULTS_MAX];
static int count, cuts, jumps;
static const char *aside;
static uint64_t chance, asides;
static int64_t jump_s;
static int has_hit;
static int dying; /* killed when the write under way has done its part */

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off64_t);
static int (*real_open)(const char *, int, ...);
static int (*real_rename)(const char *, const char *);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_unlink)(const char *);
static int (*real_clock)(clockid_t, struct timespec *);

static uint64_t number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

static void add(char *text) {
    static const char *const kinds[] = {"",          "write-error", "short-write", "full-disk",
                                        "sync-error", "power-cut",   "clock-jump",  "kill"};
    struct fault *fault = &faults[count];
    char *rest = NULL, *parts[4];
    for (int i = 0; i < 4; i++)
        if (!(parts[i] = strtok_r(i ? NULL : text, "|", &rest)))
            return;
    fault->folder = strdup(parts[0]);
    fault->length = strlen(parts[0]);
    for (int i = NONE; i <= KILL; i++)
        if (!strcmp(parts[1], kinds[i]))
            fault->kind = i;
    fault->after = strtoull(parts[2], NULL, 10);
    fault->times = strtoull(parts[3], NULL, 10);
    cuts |= fault->kind == POWER_CUT;
    jumps |= fault->kind == CLOCK_JUMP;
    count++;
}

static void set_up(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_linkat = dlsym(RTLD_NEXT, "linkat");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    const char *told = getenv("FAULTS");
    char *rest = NULL, *text = strdup(told ? told : "");
    for (char *one = strtok_r(text, ";", &rest); one && count < FAULTS_MAX;
         one = strtok_r(NULL, ";", &rest))
        add(one);
    free(text);
    aside = getenv("FAULTS_ASIDE");
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

/* The faults that what lies there may suffer, by their bits. */
static unsigned suffers(const char *path) {
    unsigned bits = 0;
    for (int i = 0; i < count; i++)
        if (!strncmp(path, faults[i].folder, faults[i].length))
            bits |= 1u << i;
    return bits;
}

static void watch(const char *path, int fd, int flags) {
    struct stat64 is;
    unsigned bits = suffers(path);
    if (!bits || (flags & O_ACCMODE) == O_RDONLY)
        return;
    pthread_mutex_lock(&lock);
    if (!find(fd) && !fstat64(fd, &is) && S_ISREG(is.st_mode)) {
        struct file *file = calloc(1, sizeof *file);
        file->device = is.st_dev;
        file->inode = is.st_ino;
        file->faults = bits;
        /* The length that a file has when it is opened was made durable before. */
        file->synced = is.st_size;
        file->fd = real_open(path, O_RDWR | O_CLOEXEC);
        file->next = files;
        files = file;
    }
    pthread_mutex_unlock(&lock);
}

static void forget(struct name *name) {
    while (name) {
        struct name *next = name->next;
        if (name->aside)
            real_unlink(name->aside);
        free(name->path);
        free(name->from);
        free(name->aside);
        free(name);
        name = next;
    }
}

/* Keeps what has a name aside; its place there, or NULL. */
static char *keep(const char *path) {
    char *kept = NULL;
    if (!aside || asprintf(&kept, "%s/%llu", aside, (unsigned long long)asides++) < 0)
        return NULL;
    if (!real_linkat(AT_FDCWD, path, AT_FDCWD, kept, 0))
        return kept;
    free(kept);
    return NULL;
}

static void note_name(int what, const char *path, const char *from, char *kept) {
    struct name *name = calloc(1, sizeof *name);
    name->what = what;
    name->path = strdup(path);
    name->from = from ? strdup(from) : NULL;
    name->aside = kept;
    name->next = names;
    names = name;
}

/* Takes some of the newest changes of names back. */
static void take_back(void) {
    uint64_t all = 0;
    for (struct name *name = names; name; name = name->next)
        all++;
    uint64_t back = below(all + 1);
    for (struct name *name = names; name && back; name = name->next, back--) {
        if (name->what == MADE)
            real_unlink(name->path);
        if (name->what == MOVED)
            real_rename(name->path, name->from);
        if (name->aside)
            real_linkat(AT_FDCWD, name->aside, AT_FDCWD, name->path, 0);
    }
}

/* Takes back what was written over other bytes, or a part: nothing keeps a write whole, however
 * short it is. */
static void undo_some(const struct file *file, const struct undo *undo) {
    size_t from = 0, end = undo->length;
    switch (below(4)) {
    case 0:
        return;
    case 1:
        from = below(end + 1);
        break;
    case 2:
        end = below(end + 1);
        break;
    }
    real_pwrite(file->fd, undo->bytes + from, end - from, undo->at + from);
}

/* Cuts the power: what was not synced is there in part, and the process is gone. */
static void cut(void) {
    for (struct file *file = files; file; file = file->next) {
        struct stat64 is;
        if (file->fd < 0 || fstat64(file->fd, &is))
            continue;
        for (struct undo *undo = file->undo; undo; undo = undo->next)
            undo_some(file, undo);
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
    take_back();
    _exit(137);
}

/* Whether this call goes wrong, if it is one of those that do. */
static int wrong(enum kind now, unsigned bits) {
    int is = 0;
    for (int i = 0; i < count; i++) {
        struct fault *fault = &faults[i];
        if (fault->kind != now || !(bits >> i & 1))
            continue;
        uint64_t call = fault->calls++;
        is |= call >= fault->after && (!fault->times || call - fault->after < fault->times);
    }
    const char *hit = getenv("FAULTS_HIT");
    if (is && hit && !has_hit++)
        close(real_open(hit, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return is;
}

static void die(void) {
    kill(getpid(), SIGKILL);
}

/* Ends the process here, if that is to happen. */
static void end(unsigned bits) {
    if (wrong(KILL, bits))
        die();
    if (wrong(POWER_CUT, bits))
        cut();
}

/* Notes what a write will lay over durable bytes. */
static void note(struct file *file, off64_t at, size_t length) {
    if (!cuts || at >= file->synced)
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
        if (at < 0 && cuts) {
            struct stat64 is;
            int appends = fcntl(fd, F_GETFL) & O_APPEND;
            at = appends && !fstat64(fd, &is) ? is.st_size : lseek64(fd, 0, SEEK_CUR);
        }
        note(file, at, length);
        if (wrong(POWER_CUT, file->faults))
            cut();
        if (wrong(KILL, file->faults)) {
            may = below(length + 1);
            dying = 1;
        } else if (wrong(WRITE_ERROR, file->faults)) {
            errno = EIO;
            may = -1;
        } else if (file->full || wrong(FULL_DISK, file->faults)) {
            file->full = 0;
            errno = ENOSPC;
            may = -1;
        } else if (length > 1 && wrong(SHORT_WRITE, file->faults)) {
            may = 1 + below(length - 1);
            file->full = below(2);
        }
    }
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return may;
}

/* The faults that a folder may suffer which is open. */
static unsigned suffers_open(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return suffers(path);
}

/* Ends the process behind a write, if that is to happen. */
static ssize_t written(ssize_t length) {
    if (dying)
        die();
    return length;
}

static int syncing(int fd, int (*real)(int)) {
    pthread_mutex_lock(&lock);
    struct file *file = find(fd);
    unsigned bits = file ? file->faults : suffers_open(fd);
    end(bits);
    if (wrong(SYNC_ERROR, bits)) {
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    struct name *settled = names;
    names = NULL;
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
    if (!done) {
        forget(settled);
    } else if (settled) {
        /* What came meanwhile is newer. */
        struct name **oldest = &names;
        while (*oldest)
            oldest = &(*oldest)->next;
        *oldest = settled;
    }
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
    return may < 0 ? may : written(real_write(fd, bytes, may));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    ssize_t may = writing(fd, length, -1);
    if (may < 0 || (size_t)may == length)
        return may < 0 ? may : written(real_writev(fd, parts, count));
    size_t first = parts[0].iov_len;
    return written(real_write(fd, parts[0].iov_base, (size_t)may < first ? (size_t)may : first));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    ssize_t may = writing(fd, length, at);
    return may < 0 ? may : written(real_pwrite(fd, bytes, may, at));
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

/* What is done before a name changes: -1 if it must not. */
static int changing(unsigned bits, int needs_room) {
    pthread_mutex_lock(&lock);
    end(bits);
    int full = needs_room && wrong(FULL_DISK, bits);
    int failed = full || wrong(WRITE_ERROR, bits);
    pthread_mutex_unlock(&lock);
    if (failed)
        errno = full ? ENOSPC : EIO;
    return -failed;
}

static void changed(int what, const char *path, const char *from, char *kept) {
    if (!cuts)
        return;
    int error = errno;
    pthread_mutex_lock(&lock);
    note_name(what, path, from, kept);
    pthread_mutex_unlock(&lock);
    errno = error;
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
    unsigned bits = flags & O_CREAT ? suffers(path) : 0;
    int is_new = bits && access(path, F_OK);
    if (is_new && changing(bits, 1))
        return -1;
    int fd = real_open(path, flags, mode);
    if (fd >= 0) {
        int kept = errno;
        watch(path, fd, flags);
        if (is_new)
            changed(MADE, path, NULL, NULL);
        errno = kept;
    }
    return fd;
}

int rename(const char *from, const char *to) {
    pthread_once(&once, set_up);
    unsigned bits = suffers(to);
    if (bits && changing(bits, 1))
        return -1;
    char *kept = bits && cuts ? keep(to) : NULL;
    int done = real_rename(from, to);
    if (bits && !done)
        changed(MOVED, to, from, kept);
    return done;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    pthread_once(&once, set_up);
    unsigned bits = suffers(to);
    if (bits && changing(bits, 1))
        return -1;
    int done = real_linkat(from_folder, from, to_folder, to, flags);
    if (bits && !done)
        changed(MADE, to, NULL, NULL);
    return done;
}

int unlink(const char *path) {
    pthread_once(&once, set_up);
    unsigned bits = suffers(path);
    if (bits && changing(bits, 0))
        return -1;
    char *kept = bits && cuts ? keep(path) : NULL;
    int done = real_unlink(path);
    if (bits && !done)
        changed(REMOVED, path, NULL, kept);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    pthread_once(&once, set_up);
    int done = real_clock(clock, time);
    if (done || !jumps || clock != CLOCK_REALTIME)
        return done;
    pthread_mutex_lock(&lock);
    if (wrong(CLOCK_JUMP, ~0u) && below(8) == 0)
        jump_s = (int64_t)below(2 * 3600) - 3600;
    pthread_mutex_unlock(&lock);
    time->tv_sec += jump_s;
    return 0;
}
