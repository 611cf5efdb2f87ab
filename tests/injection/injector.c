/* Makes one system call of a program, or of a process that it forks, fail; or kills the process before the call.
 *
 *   injector --join ADDRESS COMMAND...             let the tracer that listens at ADDRESS trace this process; COMMAND
 *   injector ADDRESS MARK                          trace who joins at ADDRESS, and list the system calls
 *   injector ADDRESS MARK ROLE CALL COUNT KIND ERROR   make one of them fail; with ERROR 0: SIGKILL instead
 *
 * ADDRESS is the path of a UNIX socket. Who joins keeps its PID and its parent, so an init sees nothing of all this.
 * Calls count from when a file whose path contains MARK has been read and closed. A process is traced until it becomes
 * another program. ROLE is "main", "main.1" for what it forks first, "main.1.1" for what that forks, "main:2" for a
 * thread that it starts then. COUNT is the how-manyth CALL (its number) of this role; it is left alone if its first
 * argument is no descriptor of this KIND.
 *
 * Told on standard output, a line each: "listening", "main PID", "call ROLE CALL ARGUMENT1 ... ARGUMENT4 KIND
 * NONBLOCKING" (of what the first argument is a descriptor of), "hit ROLE ARGUMENT1", "end ROLE STATUS", "exec ROLE",
 * and "quiet" when none of the processes has done anything for a while.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/ptrace.h>

#define PROCESSES 256
#define ROLE_MAX 64
#define QUIET_NS 20000000 /* without any event; then all of them wait for something */
#define WANTED                                                                                                  \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | \
	 PTRACE_O_EXITKILL)

/* is_known: its parent's fork was seen. waits: it was seen before that. opens: it opens the marked file; marked: its
 * descriptor. replace: what the running call is to return, 0 for what it does return. */
struct process {
	pid_t pid;
	char role[ROLE_MAX];
	int forks, count, marked;
	long replace;
	bool is_known, waits, is_armed, opens, closes;
};

static struct process processes[PROCESSES];
static int many;
static const char *mark, *wanted_role, *wanted_kind;
static long wanted_call = -1;
static int wanted_count, wanted_error;

static void fail(const char *what)
{
	fprintf(stderr, "injector: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void tell(const char *format, ...)
{
	va_list values;
	va_start(values, format);
	vprintf(format, values);
	va_end(values);
	fflush(stdout);
}

static struct process *find(pid_t pid)
{
	for (int at = 0; at < many; at++)
		if (processes[at].pid == pid)
			return &processes[at];
	return NULL;
}

static struct process *add(pid_t pid)
{
	if (many == PROCESSES) {
		errno = ENOSPC;
		fail("too many processes");
	}
	struct process *made = &processes[many++];
	*made = (struct process){.pid = pid, .marked = -1};
	return made;
}

static void forget(struct process *gone)
{
	*gone = processes[--many];
}

/* Tracees that were killed meanwhile are no error anywhere: their end is waited for. */
static void go_on(pid_t pid, int signal_number)
{
	ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal_number);
}

static void skip_call(pid_t pid)
{
#if defined(__x86_64__)
	struct user_regs_struct registers;
	ptrace(PTRACE_GETREGS, pid, NULL, &registers);
	registers.orig_rax = -1;
	ptrace(PTRACE_SETREGS, pid, NULL, &registers);
#elif defined(__aarch64__)
	int none = -1;
	struct iovec value = {&none, sizeof none};
	ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &value);
#else
#error "not written for this architecture"
#endif
}

static void set_result(pid_t pid, long result)
{
#if defined(__x86_64__)
	struct user_regs_struct registers;
	ptrace(PTRACE_GETREGS, pid, NULL, &registers);
	registers.rax = result;
	ptrace(PTRACE_SETREGS, pid, NULL, &registers);
#elif defined(__aarch64__)
	struct user_regs_struct registers;
	struct iovec value = {&registers, sizeof registers};
	ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &value);
	registers.regs[0] = result;
	ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &value);
#endif
}

static bool opens_mark(pid_t pid, unsigned long address)
{
	char path[4096];
	struct iovec here = {path, sizeof path - 1}, there = {(void *)address, sizeof path - 1};
	ssize_t size = -1;
	for (; size < 0 && there.iov_len; there.iov_len /= 2) /* it may stand at the end of what is readable */
		size = process_vm_readv(pid, &here, 1, &there, 1, 0);
	if (size < 0)
		return false;
	path[size] = '\0';
	return strstr(path, mark) != NULL;
}

static const char *kind_of(pid_t pid, __u64 descriptor)
{
	static const char *const begin[] = {"pipe:", "socket:", "anon_inode:", "/proc/", "/dev/"};
	static const char *const kinds[] = {"pipe", "socket", "anonymous", "proc", "device"};
	char path[64], target[16] = "";
	snprintf(path, sizeof path, "/proc/%d/fd/%llu", pid, (unsigned long long)descriptor);
	if (readlink(path, target, sizeof target - 1) < 0)
		return "none";
	for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++)
		if (!strncmp(target, begin[at], strlen(begin[at])))
			return kinds[at];
	return "file";
}

static int is_nonblocking(pid_t pid, __u64 descriptor)
{
	char path[64];
	unsigned int flags = 0;
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%llu", pid, (unsigned long long)descriptor);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "pos: %*d flags: %o", &flags) != 1)
		flags = 0;
	fclose(file);
	return (flags & O_NONBLOCK) != 0;
}

/* A call that nothing can be done about: the way back from a handler, and what the kernel itself begins again. */
static bool is_counted(long call)
{
	return call != SYS_rt_sigreturn && call != SYS_restart_syscall;
}

static void enter(struct process *it, long call, const __u64 *arguments)
{
	it->replace = 0;
	if (!it->is_armed) {
		it->opens = call == SYS_openat && opens_mark(it->pid, arguments[1]);
		it->closes = call == SYS_close && it->marked >= 0 && (int)arguments[0] == it->marked;
		return;
	}
	if (!is_counted(call))
		return;
	if (!wanted_role) {
		tell("call %s %ld %lld %lld %lld %lld %s %d\n", it->role, call, (long long)arguments[0],
		     (long long)arguments[1], (long long)arguments[2], (long long)arguments[3],
		     kind_of(it->pid, arguments[0]), is_nonblocking(it->pid, arguments[0]));
		return;
	}
	if (call != wanted_call || strcmp(it->role, wanted_role) || ++it->count != wanted_count)
		return;
	if (strcmp(kind_of(it->pid, arguments[0]), wanted_kind))
		return; /* not the one that was listed: its error would be none that this one may have */
	tell("hit %s %lld\n", it->role, (long long)arguments[0]);
	if (!wanted_error) {
		kill(it->pid, SIGKILL);
		return;
	}
	it->replace = -wanted_error;
	if (call != SYS_close) /* a descriptor is free whatever close() says (close(2)) */
		skip_call(it->pid);
}

static void leave(struct process *it, long result)
{
	if (it->opens && result >= 0)
		it->marked = (int)result;
	if (it->closes)
		it->is_armed = true;
	it->opens = it->closes = false;
	if (it->replace)
		set_result(it->pid, it->replace);
	it->replace = 0;
}

static void at_call(struct process *it)
{
	struct ptrace_syscall_info information;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, it->pid, sizeof information, &information) <= 0)
		return;
	if (information.op == PTRACE_SYSCALL_INFO_ENTRY)
		enter(it, (long)information.entry.nr, information.entry.args);
	else if (information.op == PTRACE_SYSCALL_INFO_EXIT)
		leave(it, (long)information.exit.rval);
}

/* Whether it is a thread: of the same process, so that its end is the end of both. */
static void forked(struct process *parent, bool is_thread)
{
	unsigned long pid;
	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid))
		return;
	int number = ++parent->forks;
	char role[ROLE_MAX];
	if (snprintf(role, sizeof role, "%.48s%c%d", parent->role, is_thread ? ':' : '.', number) >= ROLE_MAX)
		fail("a role's name");
	bool is_armed = parent->is_armed;
	struct process *child = find((pid_t)pid);
	if (!child)
		child = add((pid_t)pid);
	strcpy(child->role, role);
	child->is_armed = is_armed;
	child->is_known = true;
	if (child->waits)
		go_on(child->pid, 0);
	child->waits = false;
}

static void stopped(pid_t pid, int status)
{
	int number = WSTOPSIG(status), event = status >> 16;
	struct process *it = find(pid);
	if (!it) /* its own first stop came before its parent's word of it */
		it = add(pid);
	if (!it->is_known) {
		it->waits = true;
		return;
	}
	switch (event) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		forked(it, event == PTRACE_EVENT_CLONE);
		go_on(pid, 0);
		return;
	case PTRACE_EVENT_EXEC:
		if (it->is_armed) {
			tell("exec %s\n", it->role);
			forget(it);
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
		} else
			go_on(pid, 0);
		return;
	case PTRACE_EVENT_STOP:
		if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU)
			ptrace(PTRACE_LISTEN, pid, NULL, NULL); /* it stays stopped, as it would without us */
		else
			go_on(pid, 0);
		return;
	}
	if (number == (SIGTRAP | 0x80)) {
		at_call(it);
		number = 0;
	}
	go_on(pid, number);
}

/* Those whose parent was killed before it could tell of them: nobody will any more. */
static void let_orphans_go(void)
{
	for (int at = 0; at < many; at++)
		if (processes[at].waits) {
			strcpy(processes[at].role, "orphan");
			processes[at].is_known = processes[at].is_armed = true;
			processes[at].waits = false;
			go_on(processes[at].pid, 0);
		}
}

static void trace(void)
{
	const struct timespec quiet = {0, QUIET_NS};
	sigset_t child;
	bool was_quiet = false;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (many) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
		if (pid < 0 && errno != EINTR)
			return;
		if (pid <= 0) {
			if (sigtimedwait(&child, NULL, was_quiet ? NULL : &quiet) < 0 && errno == EAGAIN) {
				let_orphans_go();
				tell("quiet\n");
				was_quiet = true;
			}
			continue;
		}
		was_quiet = false;
		if (WIFSTOPPED(status)) {
			stopped(pid, status);
			continue;
		}
		struct process *gone = find(pid);
		if (gone) {
			tell("end %s %d\n", gone->role, status);
			forget(gone);
		}
	}
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
	int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (made < 0 || strlen(path) >= sizeof address->sun_path)
		fail(path);
	strcpy(address->sun_path, path);
	return made;
}

static void join(char **words)
{
	struct sockaddr_un address;
	int tracer = unix_socket(words[0], &address);
	char go;
	if (connect(tracer, (struct sockaddr *)&address, sizeof address) || read(tracer, &go, 1) != 1)
		fail("joining");
	execv(words[1], words + 1);
	fail(words[1]);
}

static void let_join(const char *path)
{
	struct sockaddr_un address;
	int listening = unix_socket(path, &address), joined, status;
	struct ucred who;
	socklen_t size = sizeof who;
	if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 1))
		fail(path);
	tell("listening\n");
	joined = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (joined < 0 || getsockopt(joined, SOL_SOCKET, SO_PEERCRED, &who, &size) || who.pid <= 0)
		fail("accept");
	unlink(path);
	close(listening);
	struct process *first = add(who.pid);
	strcpy(first->role, "main");
	first->is_known = true;
	if (ptrace(PTRACE_SEIZE, who.pid, NULL, (void *)WANTED) || ptrace(PTRACE_INTERRUPT, who.pid, NULL, NULL) ||
	    waitpid(who.pid, &status, __WALL) != who.pid)
		fail("tracing");
	tell("main %d\n", who.pid);
	go_on(who.pid, 0);
	if (write(joined, "g", 1) != 1)
		fail("letting it go");
	close(joined);
}

int main(int count, char **words)
{
	sigset_t child;
	if (count > 3 && !strcmp(words[1], "--join"))
		join(words + 2);
	if (count != 3 && count != 8)
		return 2;
	mark = words[2];
	if (count == 8) {
		wanted_role = words[3];
		wanted_call = atol(words[4]);
		wanted_count = atoi(words[5]);
		wanted_kind = words[6];
		wanted_error = atoi(words[7]);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* and with us whom we trace */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	let_join(words[1]);
	trace();
	return 0;
}
