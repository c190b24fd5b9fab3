"""Standard input and output as a line: what ssh and adb start on the device."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from edgert.agent.serve import Answering, Framing, Stop, serve

# A client that is there asks for the status now and then. A connection that died without a word would else keep its
# process for hours, until TCP notices.
IDLE_SECONDS = 600.0


def serve_stdio(framing: Framing, server: Answering, stop: Stop, say: Callable[[str], None]) -> None:
    """Serves until standard input ends. Whatever else this process, or a child of it, prints goes to standard error:
    it would damage frames."""
    if os.isatty(0):
        say("speaking SMP frames at this terminal; a push client should have started this. Ctrl-C ends it")
    sys.stdout.flush()
    read_fd, write_fd = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        # A client that ssh or adb brought here waits for a first byte. This one ends a frame and begins none.
        with suppress(OSError):  # it is gone already: reading says so, too
            os.write(write_fd, b"\0")
        ended = serve(read_fd, write_fd, framing, server, stop, idle_seconds=IDLE_SECONDS)
        if ended != "the line was closed" and not stop.is_set():
            say(ended)
    finally:
        os.close(read_fd)
        os.close(write_fd)
