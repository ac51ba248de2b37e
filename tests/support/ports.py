"""Ports on loopback that stay this process's own: also while nobody listens on them.

port = free_port()          for whatever listens there later, here or in a process of the test's; nobody else gets it
port = free_port(23_456)    this one; OSError when somebody has it

Until this process ends each has a bound socket that does not listen. The system then gives that port to nobody who
asks for any port, nor to a connection as its own end, and still lets it be bound by number: a server that was down
comes back to where it was, and a connection to one that is down is refused.
"""

from __future__ import annotations

import socket

_HELD: list[socket.socket] = []


def free_port(port: int = 0) -> int:
    if port:
        with socket.socket() as probe:  # this bind fails where another process holds the port; the next would not
            probe.bind(("127.0.0.1", port))
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", port))
    _HELD.append(kept)
    return int(kept.getsockname()[1])
