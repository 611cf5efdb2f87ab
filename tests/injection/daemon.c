/* A daemon that is told when to be ready, and says what it does.
 *
 *   daemon ADDRESS WAY...
 *
 * It connects to the UNIX socket (SOCK_SEQPACKET) ADDRESS and says "alive". When it is told anything it says "ready"
 * there first, and then in each WAY:
 *
 *   notify        READY=1 on its notification socket
 *   store         FDSTORE=1 with a descriptor, there
 *   watchdog      WATCHDOG=1, there
 *   stop          it stops itself
 *   newline N     a newline on descriptor N
 *   file PATH     it makes this file
 *   print         a line on standard output that says "ready"
 *   fork PATH     it forks away, and writes the PID of what it leaves into this file; that one connects anew
 *
 * Then it stays until who is at ADDRESS is gone, or for a minute; whatever it is told it answers with "here".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LONGEST_S 60

static int connected(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (connect(made, (struct sockaddr *)&address, sizeof address) || send(made, "alive", 5, MSG_NOSIGNAL) != 5)
		exit(3);
	return made;
}

static void notify(const char *text, int descriptor)
{
	const char *name = getenv("NOTIFY_SOCKET");
	if (!name || strlen(name) >= sizeof((struct sockaddr_un *)0)->sun_path)
		return;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	char room[CMSG_SPACE(sizeof descriptor)] = {0};
	struct iovec body = {(void *)text, strlen(text)};
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = offsetof(struct sockaddr_un, sun_path) + strlen(name),
		.msg_iov = &body,
		.msg_iovlen = 1,
	};
	if (descriptor >= 0) {
		message.msg_control = room;
		message.msg_controllen = sizeof room;
		struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
		*rights = (struct cmsghdr){CMSG_LEN(sizeof descriptor), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
	}
	int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sendmsg(from, &message, MSG_NOSIGNAL); /* whoever hears it, or nobody: that is what is tested */
	close(from);
}

static void make(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file < 0 || write(file, text, strlen(text)) < 0)
		exit(4);
	close(file);
}

static int get_ready(int told, const char *address, char **way)
{
	char number[32];
	for (; *way; way++) {
		if (!strcmp(*way, "notify"))
			notify("READY=1\nSTATUS=serving", -1);
		else if (!strcmp(*way, "store"))
			notify("FDSTORE=1\nFDNAME=kept", open("/dev/null", O_RDONLY | O_CLOEXEC));
		else if (!strcmp(*way, "watchdog"))
			notify("WATCHDOG=1", -1);
		else if (!strcmp(*way, "stop"))
			raise(SIGSTOP);
		else if (!strcmp(*way, "newline") && way[1]) {
			if (write(atoi(*++way), "\n", 1) != 1)
				exit(5);
		} else if (!strcmp(*way, "file") && way[1])
			make(*++way, "");
		else if (!strcmp(*way, "print")) {
			if (write(1, "ready\n", 6) != 6)
				exit(5);
		} else if (!strcmp(*way, "fork") && way[1]) {
			const char *path = *++way;
			if (fork())
				_exit(0);
			close(told);
			told = connected(address);
			snprintf(number, sizeof number, "%d\n", getpid());
			make(path, number);
		} else
			exit(2);
	}
	return told;
}

int main(int count, char **words)
{
	char said;
	if (count < 3)
		return 2;
	alarm(LONGEST_S);
	int told = connected(words[1]);
	if (recv(told, &said, 1, 0) != 1)
		return 0;
	if (send(told, "ready", 5, MSG_NOSIGNAL) != 5)
		return 3;
	told = get_ready(told, words[1], words + 2);
	while (recv(told, &said, 1, 0) > 0 && send(told, "here", 4, MSG_NOSIGNAL) == 4)
		continue;
	return 0;
}
