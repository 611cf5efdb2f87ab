/* Makes system calls that a filter may refuse, each in a process of its own, and writes what came of it: the error, 0 for
 * none, or the signal that ended that process. The first word names the file.
 *
 * All are made so that they do no harm where they are allowed: by arguments that are refused behind the filter, or on
 * what is this process's own. So the error says who has refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *output;
static char folder[] = "/tmp/calls.XXXXXX";

/* What a call has returned, as an error; -1 is written by the C library. */
static int error_of(long result) { return result < 0 ? errno : 0; }

#define TRY(NAME, CALL) \
    do { \
        int status, error; \
        pid_t child = fork(); \
        if (child == 0) { \
            errno = 0; \
            error = error_of(CALL); \
            _exit(error); \
        } \
        waitpid(child, &status, 0); \
        fprintf(output, "%s %s%d\n", NAME, WIFSIGNALED(status) ? "signal " : "", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)); \
    } while (0)

static long attach_executable(void)
{
    int id = shmget(IPC_PRIVATE, 4096, 0700);
    void *at = shmat(id, NULL, SHM_EXEC);
    int error = errno;
    shmctl(id, IPC_RMID, NULL);
    errno = error;
    return at == (void *)-1 ? -1 : 0;
}

static long make_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(at, 4096, PROT_READ | PROT_EXEC);
}

static long map_both(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? -1 : 0;
}

static long old_call(void) /* getpid(2) of 32 bits */
{
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    errno = -result;
    return result < 0 ? -1 : 0;
#else
    return 0;
#endif
}

static long special_bit(int bit)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    return fd < 0 ? -1 : fchmod(fd, 0700 | bit);
}

static long created(int bit)
{
    int fd = open("created", O_CREAT | O_RDWR, 0600 | bit);
    int error = errno;
    unlink("created");
    errno = error;
    return fd;
}

static long made_node(int bit)
{
    long result = mknod("node", S_IFIFO | 0600 | bit, 0);
    int error = errno;
    unlink("node");
    errno = error;
    return result;
}

static long scheduled(int policy)
{
    struct sched_param parameter = {.sched_priority = policy == SCHED_FIFO};
    return sched_setscheduler(0, policy, &parameter);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int flag; } SPACES[] = {
        {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"net", CLONE_NEWNET}, {"mnt", CLONE_NEWNS},
        {"pid", CLONE_NEWPID}, {"user", CLONE_NEWUSER}, {"uts", CLONE_NEWUTS}};
    char name[64];
    if (argc < 2 || mkdtemp(folder) == NULL || chdir(folder) < 0)
        return 1;
    snprintf(name, sizeof name, "%s.new", argv[1]);
    output = fopen(name, "w");
    setvbuf(output, NULL, _IONBF, 0);
    for (int family = 1; family <= 20; family++) {
        snprintf(name, sizeof name, "socket %d", family);
        TRY(name, socket(family, SOCK_DGRAM, 0) < 0 && errno == EAFNOSUPPORT ? -1 : 0);
    }
    for (size_t at = 0; at < sizeof SPACES / sizeof *SPACES; at++) {
        snprintf(name, sizeof name, "unshare %s", SPACES[at].name);
        TRY(name, unshare(SPACES[at].flag));
        snprintf(name, sizeof name, "setns %s", SPACES[at].name);
        TRY(name, setns(-1, SPACES[at].flag));
        snprintf(name, sizeof name, "clone %s", SPACES[at].name);
        TRY(name, syscall(SYS_clone, SPACES[at].flag | CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0)); /* which cannot be both */
    }
    TRY("setns of any", setns(-1, 0));
    TRY("clone3", syscall(SYS_clone3, NULL, 0));
    TRY("mmap", map_both());
    TRY("mprotect", make_executable());
    TRY("shmat", attach_executable());
    TRY("personality 32", personality(PER_LINUX32));
    TRY("personality", personality(PER_LINUX));
    TRY("scheduler fifo", scheduled(SCHED_FIFO));
    TRY("scheduler batch", scheduled(SCHED_BATCH));
    TRY("sched_setattr", syscall(SYS_sched_setattr, 0, NULL, 0));
    TRY("set-user-ID", special_bit(S_ISUID));
    TRY("set-group-ID", special_bit(S_ISGID));
    TRY("fchmodat2", syscall(452, AT_FDCWD, "nowhere", S_ISUID, 0));
    TRY("neither", special_bit(0));
    TRY("openat", created(S_ISUID));
    TRY("openat2", syscall(SYS_openat2, -1, NULL, NULL, 0));
    TRY("mknod", made_node(S_ISUID));
    TRY("mknod of none", made_node(0));
    TRY("init_module", syscall(SYS_init_module, NULL, 0, NULL));
    TRY("delete_module", syscall(SYS_delete_module, "no-such-module", 0));
    TRY("syslog", syscall(SYS_syslog, 99, NULL, 0));
    TRY("settimeofday", syscall(SYS_settimeofday, (void *)8, NULL));
    TRY("clock_settime", syscall(SYS_clock_settime, 99, NULL));
    TRY("sethostname", syscall(SYS_sethostname, NULL, -1));
    TRY("setdomainname", syscall(SYS_setdomainname, NULL, -1));
#ifdef __x86_64__
    TRY("ioperm", syscall(SYS_ioperm, 1UL << 60, 1, 1));
    TRY("iopl", syscall(SYS_iopl, 99));
    TRY("x32", syscall(0x40000000 | SYS_getpid));
#endif
    TRY("int 0x80", old_call());
    TRY("mount", syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
    TRY("uname", syscall(SYS_uname, NULL));
    TRY("chown", syscall(SYS_chown, NULL, 0, 0));
    TRY("nobody's", syscall(600));
    fclose(output);
    chdir("/");
    rmdir(folder);
    snprintf(name, sizeof name, "%s.new", argv[1]);
    return rename(name, argv[1]) < 0;
}
