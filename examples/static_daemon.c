/* A daemon that needs no library (gcc -static): it says that it is ready, as systemd has it (sd_notify(3)), counts the
 * sockets that it was passed (sd_listen_fds(3)), and ends with 0 when it is told to (SIGTERM). */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET"), *sockets = getenv("LISTEN_FDS");
    sigset_t stop;
    int number, fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    if (path != NULL && strlen(path) < sizeof to.sun_path) {
        memcpy(to.sun_path, path, strlen(path));
        if (*path == '@')
            *to.sun_path = 0; /* an abstract name (unix(7)) */
        sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + strlen(path));
    }
    printf("serving on %s sockets\n", sockets ? sockets : "0");
    fflush(stdout);
    return sigwait(&stop, &number);
}
