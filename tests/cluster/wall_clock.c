/* Preloaded, lets Python see a wall clock that is ahead by the seconds (int64) in the file WALL_CLOCK.
 *
 * Only callers in Python's own binary see it: compiled libraries hand wall-clock deadlines to the kernel, whose clock no
 * process can set for itself. (libfaketime 0.9.10 makes Python 3.11's time.sleep fail unless it sets the monotonic clock
 * too, which no clock change does.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead;
static int (*true_time)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    true_time = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *name = getenv("WALL_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) ahead = page;
    if (file >= 0) close(file);
}

/* Whether an address is in python3.11, libpython3.11.so, ...; not in a library in a folder of such a name. */
static int in_python(void *address) {
    Dl_info object;
    if (!dladdr(address, &object) || !object.dli_fname) return 0;
    const char *slash = strrchr(object.dli_fname, '/');
    const char *name = slash ? slash + 1 : object.dli_fname;
    return !strncmp(name, "python", 6) || !strncmp(name, "libpython", 9);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!true_time) begin();
    int failed = true_time(clock, now);
    if (!failed && ahead && clock == CLOCK_REALTIME && in_python(__builtin_return_address(0))) now->tv_sec += *ahead;
    return failed;
}
