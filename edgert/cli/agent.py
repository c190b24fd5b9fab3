"""edgert agent: the receiving side of a push."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edgert.errors import InputError


def _say(text: str) -> None:
    print(f"edgert agent: {text}", file=sys.stderr, flush=True)


@click.command("agent")
@click.option("--tty", metavar="DEV", help="Serve at a serial port, as /dev/ttyAMA0, until ended.")
@click.option("--stdio", is_flag=True, help="Serve at standard input and output; what a push over ssh or adb starts.")
@click.option("--once", metavar="DIR", type=click.Path(path_type=Path), help="Install the bundle in DIR, and end.")
@click.option("--baud", type=int, default=115200, show_default=True, help="The serial port's speed.")
@click.option(
    "--framing", type=click.Choice(["auto", "cobs", "console"]), default="auto", show_default=True,
    help="How frames lie on the line; auto answers as it is spoken to.",
)  # fmt: skip
@click.option("--home", type=click.Path(path_type=Path), metavar="HOME", help="Where models are kept.")
def command(tty: str | None, stdio: bool, once: Path | None, baud: int, framing: str, home: Path | None) -> None:
    """Receive models that `edgert push` sends, check them, and install them.

    \b
    HOME is by default $EDGERT_HOME, systemd's $STATE_DIRECTORY, /var/lib/edgert or ~/.local/state/edgert, whichever is
    there first. Keys in its folder `keys` may push: edgert keys trust.
    --once ends with exit code 0 when the bundle is installed, and 1 when it is not.
    """
    if (tty is not None) + stdio + (once is not None) != 1:
        raise InputError("one of --tty, --stdio and --once is needed; a push over ssh starts `edgert agent --stdio`")
    from edgert.agent.serve import Stop
    from edgert.agent.server import STREAM_BUF_COUNT, STREAM_BUF_SIZE, open_server
    from edgert.smp.framing import framing as new_framing
    from edgert.store.home import Home, default_home

    place = Home(home if home is not None else default_home())
    if once is not None:
        from edgert.agent.once import install_bundle
        from edgert.cli._shared import CheckFailedError

        result = install_bundle(open_server(place).session, once)
        if not result.installed:
            raise CheckFailedError(result.detail)
        print(result.detail)
        return
    stop = Stop()
    if stdio:
        from edgert.agent.stdio import serve_stdio

        server = open_server(place, STREAM_BUF_SIZE, STREAM_BUF_COUNT)
        with stop.on_signals():
            serve_stdio(new_framing(framing, server.buf_size), server, stop, _say)
    elif tty is not None:
        from edgert.agent.tty import check_baud, serve_tty

        check_baud(baud)
        server = open_server(place)
        with stop.on_signals():
            serve_tty(tty, baud, lambda: new_framing(framing, server.buf_size), server, stop, _say)
    server.close()
