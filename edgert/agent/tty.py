"""A serial port as a line: raw, at a speed, opened again when it hangs up."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import time
from collections.abc import Callable

from edgert.agent.serve import Answering, Framing, Stop, serve
from edgert.errors import EdgertError, InputError

# A USB gadget's port (/dev/ttyGS0) hangs up with every cable that is pulled, and is soon there again.
REOPEN_SECONDS = (0.2, 0.5, 1.0, 2.0)
STEADY_SECONDS = 10.0  # a port that stayed open for so long was there

SPEEDS = {
    int(name[1:]): getattr(termios, name)
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit() and name != "B0"  # which hangs up
}


class TtyError(EdgertError):
    """A serial port cannot be opened, or is none."""


def check_baud(baud: int) -> int:
    """Raises InputError, which names the speeds that there are."""
    if baud not in SPEEDS:
        known = ", ".join(str(speed) for speed in sorted(SPEEDS) if speed >= 9600)
        raise InputError(f"a serial port has no speed of {baud} baud here; known are {known}")
    return baud


def open_tty(path: str, baud: int) -> int:
    """A file descriptor of the port, raw (8 bits, no parity, no flow control, no echo), for us alone; not blocking.

    Raises TtyError when it is not there, may not be opened, is in use or is no serial port.
    """
    try:
        # O_NONBLOCK: opening must not wait for a modem's carrier. O_NOCTTY: a break must not become a signal to us.
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = {
            errno.EACCES: "; add the agent's user to the group that owns it (dialout on Debian)",
            errno.EBUSY: "; another program has it: a second agent, or a login prompt on the console",
            errno.ENOENT: "; `ls /dev/tty*` shows the ports that there are",
        }.get(error.errno or 0, "")
        raise TtyError(f"{path} cannot be opened: {error.strerror}{hint}") from error
    try:
        fcntl.ioctl(fd, termios.TIOCEXCL)  # two readers of one line would each get half of it
        _make_raw(fd, SPEEDS[check_baud(baud)])
    except (OSError, termios.error) as error:
        os.close(fd)
        raise TtyError(f"{path} is no serial port that can be set up: {error.args[-1]}") from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _make_raw(fd: int, speed: int) -> None:
    # iflag and oflag of 0 also switch XON/XOFF off: frames hold every byte value.
    cflag = termios.CS8 | termios.CREAD | termios.CLOCAL
    _i, _o, _c, _l, _in, _out, characters = termios.tcgetattr(fd)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, cflag, 0, speed, speed, characters])
    termios.tcflush(fd, termios.TCIFLUSH)


def serve_tty(
    path: str, baud: int, new_framing: Callable[[], Framing], server: Answering, stop: Stop, say: Callable[[str], None]
) -> None:
    """Serves at a serial port until `stop` is set. A port that hangs up, vanishes or fails is opened again and again,
    and `say` told when that begins. Raises TtyError only when it could not be opened at all."""
    fd = open_tty(path, baud)
    attempt = 0
    while True:
        opened = time.monotonic()
        try:
            ended = serve(fd, fd, new_framing(), server, stop, lossy=True)
        finally:
            os.close(fd)
        if stop.is_set():
            return
        if time.monotonic() - opened >= STEADY_SECONDS:
            attempt = 0
        if attempt == 0:  # a port that opens and hangs up again and again is not worth a line each time
            say(f"{path}: {ended}; opening it again until it answers")
        while True:
            if stop.wait(REOPEN_SECONDS[min(attempt, len(REOPEN_SECONDS) - 1)]):
                return
            attempt += 1
            server.tick()  # a push that waits for the line gives the home's lock back in time
            try:
                fd = open_tty(path, baud)
                break
            except TtyError:
                continue
