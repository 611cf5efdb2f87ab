/* A daemon that says that it is ready, after a moment, and then how it is again and again, until it is told to settle.
 *
 *     talker SETTLED
 *
 * SIGHUP: it reloads. SIGTERM: it stops. SIGUSR1: it says its last words, writes them into the file SETTLED, and is quiet.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void hear(int number) { got = number; }

static void say(const char *text) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const char *path = getenv("NOTIFY_SOCKET");
  int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  if (*path == '@')
    to.sun_path[0] = 0;
  if (sendto(sock, text, strlen(text), 0, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + strlen(path)) < 0)
    perror("saying"), _exit(99);
  close(sock);
}

static void wait_ms(long most) {
  struct timespec time = {0, (1 + random() % most) * 1000000};
  nanosleep(&time, NULL); /* a signal ends it */
}

int main(int count, char **words) {
  char text[100];
  (void)count;
  srandom(getpid());
  struct sigaction action = {.sa_handler = hear};
  sigaction(SIGHUP, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  wait_ms(100);
  say("READY=1");
  for (int number = 0;; number++) {
    int now = got;
    got = 0;
    if (now == SIGTERM) {
      say("STOPPING=1");
      return 0;
    }
    if (now == SIGHUP) {
      say("RELOADING=1");
      wait_ms(20);
      say("READY=1");
    }
    snprintf(text, sizeof text, "STATUS=%d", number);
    if (now == SIGUSR1) {
      snprintf(text, sizeof text, "STATUS=settled %d", getpid());
      say(text);
      FILE *file = fopen(words[1], "w");
      fprintf(file, "%s\n", text + 7);
      fclose(file);
      while (got != SIGTERM)
        sleep(1);
      continue;
    }
    say(text);
    wait_ms(50);
  }
}
