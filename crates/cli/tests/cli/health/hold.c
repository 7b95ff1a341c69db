// Suspends one thread of a process (LD_PRELOAD), for tests of a hung thread's effects.
//
// While the file HOLD_WHILE exists, the thread named HOLD_THREAD stays in a signal handler, wherever it was. That needs
// no right to trace other processes, which containers often withhold.
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *file, *name;
static volatile sig_atomic_t held;

static void nap(void) {
    struct timespec time = {0, 10 * 1000 * 1000};
    nanosleep(&time, NULL);
}

static void hold(int signal) {
    (void)signal;
    while (access(file, F_OK) == 0) nap();
    held = 0;
}

static long find(void) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    long found = 0;
    while (tasks && !found && (task = readdir(tasks))) {
        char path[300], comm[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *read = fopen(path, "re");
        if (!read) continue;
        if (fgets(comm, sizeof comm, read)) {
            comm[strcspn(comm, "\n")] = 0;
            if (strcmp(comm, name) == 0) found = atol(task->d_name);
        }
        fclose(read);
    }
    if (tasks) closedir(tasks);
    return found;
}

static void *watch(void *nothing) {
    for (;; nap()) {
        if (held || access(file, F_OK) != 0) continue;
        long thread = find();
        if (!thread) continue;
        held = 1;
        syscall(SYS_tgkill, getpid(), thread, SIGUSR2);
    }
    return nothing;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    file = getenv("HOLD_WHILE");
    name = getenv("HOLD_THREAD");
    if (!file || !name) return;
    struct sigaction action = {.sa_handler = hold, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
    pthread_create(&thread, NULL, watch, NULL);
}
