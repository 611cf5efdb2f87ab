/* The static file's words with the resident (resident/asking.py), before there is an interpreter.
 *
 * Of a start that is handed over, nine tenths are the interpreter's beginning, which is not needed for it: the resident
 * has done the thinking. So this asks what that module asks, in the same order and with its constants (asked.h, by
 * make_static.py), and does what is answered. Whatever is not as expected is left to Python, which begins then.
 */
#define _GNU_SOURCE
#include "asking.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "asked.h" /* BEGINNING, LONGEST, PASSED_MAX, PATIENCE_MS, NOEXEC_SEAL, BEHIND, TAKEN, OURS, and the letters */

extern char **environ;
enum {
    ONE = 3, /* descriptors: the file for the verdict, our pidfd, and standard error, before those that we were given */
    MOST = LONGEST / 2 + 1, /* changes in an answer: each has a 0 and a letter */
};

/* What is said, and what is answered; one more for a 0 behind it. */
static char message[LONGEST], answer[LONGEST + 1];
static char reason[sizeof "asking it: " + 256];

/* Whether there was a resident of this user's; address: where it listens (start.resident()). */
static int is_there(struct sockaddr_un *address)
{
    const char *base = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
    size_t room = sizeof address->sun_path;
    if (base == NULL || *base != '/' || snprintf(address->sun_path, room, "%s/cross-init/serve", base) >= (int)room)
        return 0;
    return access(address->sun_path, F_OK) == 0;
}

/* Whether it is the bridge that is to be, and -N is somewhere among its words (start.ask_resident()). */
static int is_asked_for(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    if (argc < 2 || strcmp(slash ? slash + 1 : argv[0], "cross-init") == 0 || strcmp(argv[1], "-ISc") == 0)
        return 0; /* the other command, or an interpreter (in_static.py) */
    for (int at = 1; at < argc; at++)
        if (strcmp(argv[at], "-N") == 0 || strcmp(argv[at], "--notify") == 0)
            return 1;
    return 0;
}

/* Whether this variable is passed on: it has a name, and is the first of it. */
static int counts(char **variable)
{
    size_t length = strcspn(*variable, "=");
    if (length == 0 || (*variable)[length] == '\0')
        return 0;
    for (char **before = environ; before < variable; before++)
        if (strncmp(*before, *variable, length + 1) == 0)
            return 0;
    return 1;
}

/* Append this and a 0; returns whether there was room. */
static int say(size_t *length, const char *word)
{
    size_t more = strlen(word) + 1;
    if (more > sizeof message - *length)
        return 0;
    memcpy(message + *length, word, more);
    *length += more;
    return 1;
}

/* All that we were given, as instead.read() takes it: how long it is; 0 if it is too long. */
static size_t say_all(int argc, char **argv)
{
    char number[24];
    size_t length = 0;
    int fits = say(&length, BEGINNING);
    snprintf(number, sizeof number, "%d", (int)getppid());
    fits = fits && say(&length, number);
    snprintf(number, sizeof number, "%d", argc - 1);
    fits = fits && say(&length, number);
    for (int at = 1; fits && at < argc; at++)
        fits = say(&length, argv[at]);
    for (char **variable = environ; fits && *variable != NULL; variable++)
        fits = !counts(variable) || say(&length, *variable);
    return fits ? length - 1 : 0; /* no 0 behind the last */
}

/* Read into the answer what has come of it in time: how much. 0 if nothing, or the resident has ended. */
static size_t hear(int sock)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (long end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + PATIENCE_MS;;) {
        ssize_t length = recv(sock, answer, LONGEST, 0);
        if (length >= 0)
            return (size_t)length;
        if (errno != EAGAIN && errno != EINTR)
            return 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        long left = end - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
        if (left <= 0 || (poll(&(struct pollfd){.fd = sock, .events = POLLIN}, 1, (int)left) < 0 && errno != EINTR))
            return 0;
    }
}

/* Say it to who listens there: how long the answer is, if that is that it does the rest; 0 if we do it. -1: see errno.
 *
 * silence: as in struct asked. file: for the verdict, of the lowest number that was free, so all below are open.
 */
static ssize_t ask(int sock, const struct sockaddr_un *address, size_t length, int file, int pidfd,
                   const char **silence)
{
    static const size_t says = sizeof TAKEN - 1;
    int given[ONE + PASSED_MAX] = {file, pidfd, 2}, count = ONE;
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof given)]; } rights = {.head = {.cmsg_level = SOL_SOCKET}};
    struct iovec text = {message, length};
    struct msghdr sent = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &rights};
    struct ucred peer;
    char first;

    if (connect(sock, (const struct sockaddr *)address, sizeof *address) < 0
        || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer}) < 0)
        return -1;
    if (peer.uid != geteuid())
        return 0; /* Python asks again, and says whose it is */
    for (int fd = 3; fd < file && count < ONE + PASSED_MAX; fd++)
        given[count++] = fd;
    rights.head.cmsg_type = SCM_RIGHTS;
    rights.head.cmsg_len = CMSG_LEN(count * sizeof *given);
    sent.msg_controllen = CMSG_SPACE(count * sizeof *given);
    memcpy(CMSG_DATA(&rights.head), given, count * sizeof *given);
    if (sendmsg(sock, &sent, MSG_NOSIGNAL) < 0)
        return -1;
    size_t heard = hear(sock);
    if (heard >= says && memcmp(answer, TAKEN, says) == 0)
        return (ssize_t)heard;
    if (write(file, OURS, sizeof OURS - 1) < 0 || pread(file, &first, 1, 0) < 0) /* asking.verdict() */
        return -1;
    if (first == *OURS) {
        if (heard == 0)
            *silence = "it does not answer";
        return 0;
    }
    memcpy(answer, TAKEN, says); /* it has decided to, and did not come to say so */
    ssize_t rest = pread(file, answer + says, LONGEST - says, BEHIND);
    return rest < 0 ? -1 : (ssize_t)says + rest;
}

/* Whether this entry, NAME=value, is of one of these names: NAME, or NAME=value as well. */
static int is_among(const char *entry, char *const *names)
{
    for (size_t length; *names != NULL; names++)
        if (strncmp(entry, *names, length = strcspn(*names, "=")) == 0 && entry[length] == '=')
            return 1;
    return 0;
}

/* Change what was answered, and become the daemon. Returns if it could not be run, with what that was. */
static struct asked become(int argc, char **argv, size_t length, int pidfd)
{
    static char *programs[MOST], *removed[MOST], *variables[LONGEST]; /* each with a NULL behind its last */
    struct asked said = {.programs = programs, .command = argv + 1, .environ = variables};
    size_t program = 0, unset = 0, set = 0;
    int leads = 0, at = argc;

    answer[length] = '\0';
    for (char *change = answer + sizeof TAKEN - 1, *end = answer + length; change < end; change += strlen(change)) {
        char *value = ++change + 1;
        switch (*change) {
        case PROGRAM: programs[program++] = value; break;
        case CLOSE: close(atoi(value)); break;
        case UNSET: removed[unset++] = value; break;
        case SET: variables[set++] = value; break; /* before those that we have (procfs.variables()) */
        case AT: at = atoi(value); break;
        case IGNORES: said.ignores_sigpipe = 1; break;
        case LEADS: leads = 1; break;
        }
    }
    if (program == 0 || at < 0 || at >= argc - 1) {
        dprintf(2, "cross-init-bridge: what cross-init serve has answered is not understood: reload it (SIGHUP)\n");
        _exit(125);
    }
    said.command += at;
    char **next = variables + set;
    for (char **variable = environ; *variable != NULL; variable++)
        if (counts(variable) && !is_among(*variable, removed) && !is_among(*variable, variables))
            *next++ = *variable;
    if (leads)
        setsid(); /* if it leads a process group already, not */
    signal(SIGPIPE, said.ignores_sigpipe ? SIG_IGN : SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    execve(*programs, said.command, variables);
    fcntl(pidfd, F_SETFL, O_NONBLOCK); /* so the resident knows that it is said (Start.note_failure()) */
    return said;
}

struct asked ask_resident(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct asked said = {0};
    struct stat input;
    size_t length;
    ssize_t answered = 0;
    int file = -1, pidfd = -1, sock = -1;

    if (!is_asked_for(argc, argv) || !is_there(&address))
        return said;
    for (int fd = 0; fd < 3; fd++) /* start.occupy_standard_descriptors() */
        if (fcntl(fd, F_GETFD) < 0)
            open("/", O_PATH | O_CLOEXEC);
    if (fstat(0, &input) < 0 || S_ISSOCK(input.st_mode) || (length = say_all(argc, argv)) == 0)
        return said; /* a socket is perhaps for the daemon */
    if ((file = memfd_create("cross-init", MFD_CLOEXEC | NOEXEC_SEAL)) < 0 && errno == EINVAL)
        file = memfd_create("cross-init", MFD_CLOEXEC);
    if (file < 0 || (pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0)) < 0
        || (sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0
        || (answered = ask(sock, &address, length, file, pidfd, &said.silence)) < 0) {
        if (errno == ECONNREFUSED || errno == EAGAIN)
            said.silence = errno == EAGAIN ? "too many wait for it" : "none listens";
        else
            snprintf(reason, sizeof reason, "asking it: %s", strerror(errno)), said.silence = reason;
    }
    if (sock >= 0)
        close(sock);
    if (file >= 0)
        close(file);
    if (answered > 0)
        return become(argc, argv, (size_t)answered, pidfd);
    if (pidfd >= 0)
        close(pidfd);
    return said;
}
