"""A device that the system's ssh reaches, with all that the user's configuration says of it: keys, jumps, aliases.

What is asked of ssh beyond that: no question that a person had to answer (a script may be pushing to twenty devices),
no terminal, none of the forwardings meant for working there, and an end to waiting where the configuration sets none.
"""

from __future__ import annotations

import asyncio
import shutil

from edgert.device.address import SshAddress
from edgert.device.errors import AgentMissingError, LinkError
from edgert.device.stream import ByteStream
from edgert.device.transports.process import ProcessStream, agent_command
from edgert.device.words import last_line

CONNECT_SECONDS = 10  # for TCP; a host that is there answers in a second
ALIVE_SECONDS = 5  # three unanswered questions, and the connection is dead
START_SECONDS = 60.0  # for all: a small board takes its time to check keys
CONFIG_SECONDS = 10.0
# Where pip install --user, pipx and the samples' install put edgert; a shell without a login looks in none of them.
MORE_PATH = ("$HOME/.local/bin", "/opt/edgert/bin", "/usr/local/bin")


async def open_ssh(address: SshAddress) -> ByteStream:
    """Raises LinkError when the host cannot be reached or lets nobody in, and, from the stream's first read,
    AgentMissingError when it has no agent."""
    program = shutil.which("ssh")
    if program is None:
        raise LinkError("there is no ssh on this machine, which reaches ssh:// devices; install OpenSSH's client")
    where = [*(("-l", address.user) if address.user else ()), *(("-p", str(address.port)) if address.port else ())]
    configured = await _configuration(program, where, address.host)
    options = {
        "BatchMode": "yes",
        "RemoteCommand": "none",  # ours is the command
        "ClearAllForwardings": "yes",  # ports of this machine can be given to one connection only
        "ConnectTimeout": _unless(configured.get("connecttimeout"), CONNECT_SECONDS),
        "ServerAliveInterval": _unless(configured.get("serveraliveinterval"), ALIVE_SECONDS),
    }
    words = [word for name, value in options.items() if value for word in ("-o", f"{name}={value}")]
    command = agent_command(address.agent, address.home, MORE_PATH)
    argv = [program, "-T", *words, *where, "--", address.host, command]
    return await ProcessStream.open(argv, str(address), lambda code, text: _explain(address, code, text), START_SECONDS)


def _unless(configured: str | None, seconds: int) -> str:
    """ssh takes the command line's word before the configuration's, so a default of ours is said only without one."""
    return str(seconds) if configured in (None, "none", "0") else ""


async def _configuration(program: str, where: list[str], host: str) -> dict[str, str]:
    """What ssh would do for this host, by option; empty where it cannot say, since the connection then says why."""
    try:
        asked = await asyncio.create_subprocess_exec(
            program,
            "-G",
            *where,
            "--",
            host,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return {}
    try:
        async with asyncio.timeout(CONFIG_SECONDS):
            said, _ = await asked.communicate()
    except TimeoutError:
        asked.kill()
        await asked.wait()
        return {}
    pairs = (line.partition(" ") for line in said.decode(errors="replace").splitlines())
    return {name.lower(): value.strip() for name, _, value in pairs}


_MENDED = (
    # What ssh says -> how to mend it; {login} is what ssh is given to get there.
    (
        "host identification has changed",
        "the host shows another key than it did before; find out why, then `ssh-keygen -R`",
    ),
    ("host key verification failed", "run `ssh {login}` once and compare the key that the host shows"),
    ("permission denied", "put your key there with `ssh-copy-id {login}`; no password is asked for here"),
    (
        "too many authentication failures",
        "name the one key to use with IdentityFile and IdentitiesOnly in ssh's config",
    ),
    ("could not resolve", "check the host's name"),
    ("connection refused", "check that sshd runs there, and the port"),
    ("timed out", "check that the device is switched on and on the network"),
    ("no route to host", "check that the device is switched on and on the network"),
)
BROKEN = 255  # ssh's own failures; any other code is the command's
NOT_FOUND = (126, 127)  # a shell's


def _explain(address: SshAddress, code: int, complaints: str) -> LinkError:
    said = last_line(complaints).rstrip(".")
    if code == BROKEN or code < 0:
        low = complaints.lower()
        mend = next((text for sign, text in _MENDED if sign in low), "push again to go on where it stopped")
        return LinkError(f"{address}: {said or 'the connection broke'}; {mend.format(login=_login(address))}")
    return explain_agent(str(address), address.agent, code, complaints)


def explain_agent(text: str, agent: str, code: int, complaints: str) -> LinkError:
    """What the end of the device's side means: there is no agent, an old one, or one that says what is wrong."""
    said = last_line(complaints)
    if code == 0:  # what adb says of a cable that was pulled out, too
        return LinkError(f"{text}: the connection ended; push again to go on where it stopped")
    if code in NOT_FOUND:
        return AgentMissingError(
            f"{text}: there is no `{agent}` on the device; install it there (pip install edgert cryptography), "
            "or give its place with ?agent=/path/to/edgert"
        )
    if "No such command 'agent'" in complaints:
        return AgentMissingError(f"{text}: the edgert on the device is too old to have an agent; update it there")
    return LinkError(f"{text}: the agent ended with code {code}{f': {said}' if said else ''}")


def _login(address: SshAddress) -> str:
    port = f"-p {address.port} " if address.port else ""
    return f"{port}{f'{address.user}@' if address.user else ''}{address.host}"
