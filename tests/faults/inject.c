/* For LD_PRELOAD: makes calls on the files of an SQLite database fail while the file named by INJECT_CONTROL says so.
 *
 * The file holds one line: CALLS ERROR SKIP COUNT ENDING. CALLS is any of w (write, pwrite), s (fsync, fdatasync), t (ftruncate,
 * fallocate), r (read, pread), o (open); ERROR a number of errno; SKIP how many calls pass before the first that fails; COUNT how many
 * fail, -1 without end; ENDING of which files, such as "-wal", or "*" for all whose name holds ".db". An empty file: nothing fails.
 * Calls that count are written to INJECT_LOG, if it is set, one letter each, upper case for those that failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec seen;
static char calls[16], ending[64];
static int error_number, skip, count;

static ssize_t (*real_read)(int, void *, size_t);
static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
    real_read = dlsym(RTLD_NEXT, "read");
    real_open = dlsym(RTLD_NEXT, "open");
    real_write = dlsym(RTLD_NEXT, "write");
}

static void reread(void) {
    const char *name = getenv("INJECT_CONTROL");
    struct stat now;
    if (!name || stat(name, &now) != 0) return;
    if (now.st_mtim.tv_sec == seen.tv_sec && now.st_mtim.tv_nsec == seen.tv_nsec) return;
    char text[256] = "";
    int file = real_open(name, O_RDONLY);
    if (file < 0) return;
    ssize_t length = real_read(file, text, sizeof text - 1);
    close(file);
    seen = now.st_mtim;
    calls[0] = 0;
    if (length > 0) sscanf(text, "%15s %d %d %d %63s", calls, &error_number, &skip, &count, ending);
}

static int name_fits(const char *name) {
    size_t length = strlen(name), wanted = strlen(ending);
    if (!strstr(name, ".db") || strstr(name, ".lock")) return 0;
    return !strcmp(ending, "*") || (length >= wanted && !strcmp(name + length - wanted, ending));
}

/* Whether this call fails. */
static int fails(char call, int file, const char *name) {
    char link[64], target[512];
    int failed = 0;
    if (!getenv("INJECT_CONTROL")) return 0;
    pthread_mutex_lock(&lock);
    reread();
    if (calls[0] && strchr(calls, call) && count) {
        if (!name) {
            snprintf(link, sizeof link, "/proc/self/fd/%d", file);
            ssize_t length = readlink(link, target, sizeof target - 1);
            if (length > 0) target[length] = 0, name = target;
        }
        if (name && name_fits(name)) {
            if (skip > 0) skip--;
            else {
                failed = 1;
                if (count > 0) count--;
            }
            const char *log = getenv("INJECT_LOG");
            int out = log ? real_open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
            if (out >= 0) {
                char letter = failed ? call - 32 : call;
                (void)!real_write(out, &letter, 1);
                close(out);
            }
        }
    }
    pthread_mutex_unlock(&lock);
    if (failed) errno = error_number;
    return failed;
}

#define WRAP(call, result, name, parameters, arguments)                         \
    result name parameters {                                                    \
        static result (*real) parameters;                                       \
        if (!real) real = dlsym(RTLD_NEXT, #name);                              \
        if (fails(call, file, NULL)) return -1;                                 \
        return real arguments;                                                  \
    }

WRAP('w', ssize_t, write, (int file, const void *bytes, size_t length), (file, bytes, length))
WRAP('w', ssize_t, pwrite, (int file, const void *bytes, size_t length, off_t at), (file, bytes, length, at))
WRAP('w', ssize_t, pwrite64, (int file, const void *bytes, size_t length, off64_t at), (file, bytes, length, at))
WRAP('s', int, fsync, (int file), (file))
WRAP('s', int, fdatasync, (int file), (file))
WRAP('t', int, ftruncate, (int file, off_t length), (file, length))
WRAP('t', int, ftruncate64, (int file, off64_t length), (file, length))
WRAP('t', int, fallocate, (int file, int mode, off_t at, off_t length), (file, mode, at, length))
WRAP('r', ssize_t, read, (int file, void *bytes, size_t length), (file, bytes, length))
WRAP('r', ssize_t, pread, (int file, void *bytes, size_t length, off_t at), (file, bytes, length, at))
WRAP('r', ssize_t, pread64, (int file, void *bytes, size_t length, off64_t at), (file, bytes, length, at))

#define WRAP_OPEN(function)                                                     \
    int function(const char *name, int flags, ...) {                            \
        static int (*real)(const char *, int, ...);                             \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        if (!real) real = dlsym(RTLD_NEXT, #function);                          \
        if (fails('o', -1, name)) return -1;                                    \
        return real(name, flags, mode);                                         \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
