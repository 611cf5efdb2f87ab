"""A daemon for systemd that echoes: one client after the other on its passed socket, and none is left half served."""

import os
import select
import signal
import socket

assert os.environ["LISTEN_PID"] == str(os.getpid())
told, tell = os.pipe()
os.set_blocking(tell, False)
signal.set_wakeup_fd(tell)
signal.signal(signal.SIGTERM, lambda number, frame: None)
listening = socket.socket(fileno=3)
listening.setblocking(False)
while told not in select.select([told, listening.fileno()], [], [])[0]:
    try:
        client, _ = listening.accept()
    except BlockingIOError:
        continue
    with client:
        client.settimeout(10)
        client.sendall(client.recv(100))
