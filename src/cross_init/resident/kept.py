"""What is kept of one service for the next resident, as that one gets it."""

Message = tuple[bytes, list[tuple[int, int, bytes]]]  # as recvmsg(2) gave it: its text, and what the kernel said of it
LONGEST = 1 << 17  # bytes of a packet by which something is given to who keeps it


class Kept:
    """data: the service's description. fds: -1 for those that were given up. state: what was noted of it last."""

    def __init__(self, data: bytes, fds: list[int]) -> None:
        self.data = data
        self.fds = fds
        self.state = b""
        self.said: list[Message] = []
