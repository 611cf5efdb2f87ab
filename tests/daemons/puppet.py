"""A daemon on strings: it does nothing but what the test tells it, over a UNIX socket, and says what happens to it.

    puppet.py SOCKET

It says one JSON object per line: first who it is, then each signal that it gets (except those that end or stop it), and
an answer to each command. Runs in a container with nothing but python3-minimal.
"""

import json
import os
import select
import signal
import socket
import sys

NOTED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)


def status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the one by which the folder was read
    return found


def notify(text: str) -> None:
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_manager:
        to_manager.connect("\0" + address[1:] if address.startswith("@") else address)
        to_manager.send(text.encode("latin-1"))


def send(expression: str) -> None:
    """Send the bytes that this Python expression is, and return when whoever hears us has dealt with them."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_manager:
        to_manager.connect("\0" + address[1:] if address.startswith("@") else address)
        to_manager.send(eval(expression))
        read, write = os.pipe()
        socket.send_fds(to_manager, [b"BARRIER=1"], [write])
        os.close(write)
        os.read(read, 1)
        os.close(read)


def serve_one() -> str:
    """Greet the client that waits on the socket that we were given, as a daemon for Upstart finds it."""
    with socket.socket(fileno=os.dup(int(os.environ["UPSTART_FDS"].split()[0]))) as listening:
        client, _ = listening.accept()
    with client:
        asked = client.recv(100).decode()
        client.sendall(f"hello {asked}".encode())
    return asked


def main() -> None:
    seen = {"fds": descriptors(), "status": status()}
    with socket.socket(socket.AF_UNIX) as test:
        test.connect(sys.argv[1])

        def say(**event: object) -> None:
            test.sendall(json.dumps(event).encode() + b"\n")

        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())  # one byte for each signal that arrives
        for number in NOTED:
            signal.signal(number, lambda number, frame: None)
        say(event="hello", pid=os.getpid(), parent=os.getppid(), environ=dict(os.environ), **seen)
        while True:
            for ready in select.select([test, woken], [], [])[0]:
                if ready is woken:
                    for got in woken.recv(100):
                        say(event="signal", number=got)
                    continue
                command, _, rest = test.recv(100_000).decode().partition(" ")
                if command == "exit":
                    os._exit(int(rest))
                elif command == "die":
                    os.kill(os.getpid(), int(rest))
                elif command == "stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                    say(event="continued")
                elif command == "notify":
                    notify(rest)
                    say(event="notified")
                elif command == "send":
                    send(rest)
                    say(event="sent")
                elif command == "do":
                    exec(rest, globals())
                    say(event="done")
                elif command == "write":  # to a descriptor, or to the one that a variable names
                    where, _, text = rest.partition(" ")
                    os.write(int(os.environ.get(where, where)), text.encode() + b"\n")
                    say(event="written")
                elif command == "serve":
                    say(event="served", asked=serve_one())
                else:  # the test is gone
                    os._exit(99)


main()
