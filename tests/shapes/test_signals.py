"""The thread that takes the signals of a bridge that supervises (shapes/signals.py): it ends when it is told to."""

import subprocess
import sys
from pathlib import Path

import cross_init

# A start that the machine has kept waiting makes a second thread, as the first one seemed not to be there.
TWO_THREADS = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from cross_init.shapes.processes import block
from cross_init.shapes.signals import Signals
from cross_init.watch.event_loop import EventLoop

def until_asleep(count):
    while True:
        places = [f"/proc/self/task/{task}/stat" for task in os.listdir("/proc/self/task")]
        states = [open(place).read().rpartition(") ")[2][0] for place in places]
        if len(states) == count + 1 and states.count("S") == count:
            return

block()
loop, heard = EventLoop(), []
signals = Signals(loop, lambda number, code: heard.append(number))
while not signals.is_up:
    loop.turn()
signals._start()
until_asleep(2)
os.kill(os.getpid(), signal.SIGUSR1)
while not heard:
    loop.turn()
signals.close()
os.kill(os.getpid(), signal.SIGUSR2)
print(heard == [signal.SIGUSR1], signal.sigtimedwait([signal.SIGUSR2], 5).si_signo == signal.SIGUSR2, flush=True)
os._exit(0)
"""


def test_the_thread_that_takes_signals_is_the_one_that_is_told_to_end() -> None:
    source = str(Path(cross_init.__file__).parents[1])
    words = [sys.executable, "-ISc", TWO_THREADS, source]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert (ran.returncode, ran.stdout) == (0, "True True\n"), ran
