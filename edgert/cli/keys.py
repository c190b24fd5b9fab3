"""edgert keys: the keys that sign what is pushed, and those that a device trusts."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgert.cli._shared import FILE, json_option, print_json
from edgert.errors import InputError

if TYPE_CHECKING:
    from edgert.manifest.keys import PublicKey


@click.group("keys")
def command() -> None:
    """Make and show the key that signs what is pushed; trust one on a device."""


def _key_option(text: str) -> click.Option:
    return click.Option(
        ["--key"], type=FILE, metavar="FILE", help=f"{text} Default: ~/.config/edgert/keys/default.pem."
    )


@command.command("new", params=[_key_option("Where the private key goes.")])
@click.option("--comment", metavar="TEXT", help="Who the key belongs to. Default: USER@HOST.")
@click.option(
    "--passphrase", is_flag=True,
    help="Lock it with a passphrase: the environment's EDGERT_KEY_PASSPHRASE, or asked for.",
)  # fmt: skip
@json_option
def new(key: Path | None, comment: str | None, passphrase: bool, as_json: bool) -> None:
    """Make a key pair: the private key, for you alone, and beside it KEY.pub for the devices."""
    from edgert.manifest.keys import KeyFileError, default_key_path, new_key

    path = key or default_key_path()
    public_path = path.with_suffix(".pub")
    if public_path.exists():  # before the private key is there without it
        raise KeyFileError(f"{public_path} is there already; name another file with --key, or remove it first")
    made = new_key(_owner() if comment is None else comment)
    made.save(path, _chosen_passphrase() if passphrase else None)
    try:
        public_path.write_text(f"{made.public.line()}\n", encoding="utf-8")
    except OSError as error:
        raise KeyFileError(f"{public_path} cannot be written: {error.strerror or error}") from error
    if as_json:
        print_json({"key": str(path), "public": str(public_path), "id": made.key_id.hex(), "line": made.public.line()})
        return
    print(f"{path}: the private key {made.key_id.hex()}; keep it, and keep it to yourself")
    print(f"{public_path}: the public key; on each device: edgert keys trust {public_path.name}")


@command.command("show", params=[_key_option("The private key, or a public one.")])
@json_option
def show(key: Path | None, as_json: bool) -> None:
    """Print the public key as a line that devices can trust."""
    from edgert.manifest.keys import default_key_path

    public = _public(key or default_key_path())
    if as_json:
        print_json({"id": public.key_id.hex(), "line": public.line()})
    else:
        print(public.line())


@command.command("trust")
@click.argument("key", type=click.Path(allow_dash=True), metavar="KEY.pub|-")
@click.option("--home", type=FILE, metavar="DIR", help="The agent's home. Default: EDGERT_HOME, or the system's.")
@json_option
def trust(key: str, home: Path | None, as_json: bool) -> None:
    """On a device: let whoever has this key push models to it. `-` reads the line from the standard input."""
    from edgert.manifest import keys
    from edgert.store.home import default_home

    if key == "-":
        public = keys.PublicKey.from_text(sys.stdin.read(1 << 16), "the standard input")
    else:
        public = keys.PublicKey.load(Path(key))
    place = keys.trust(public, (home or default_home()) / "keys")
    if as_json:
        print_json({"id": public.key_id.hex(), "file": str(place)})
    else:
        print(f"{place}: key {public.key_id.hex()} is trusted")


def _public(path: Path) -> PublicKey:
    """Of a private key that is locked, the one that was written beside it."""
    from edgert.manifest.keys import KeyFileError, PrivateKey, PublicKey

    if path.suffix == ".pub":
        return PublicKey.load(path)
    try:
        return PrivateKey.load(path).public
    except KeyFileError:
        beside = path.with_suffix(".pub")
        if not (path.exists() and beside.exists()):
            raise
        return PublicKey.load(beside)


def _owner() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container whose user has no name
        return socket.gethostname()


def _chosen_passphrase() -> str:
    from edgert.manifest.keys import PASSPHRASE

    chosen: str = os.environ.get(PASSPHRASE) or click.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
    if not chosen:
        raise InputError("an empty passphrase locks nothing; leave --passphrase away")
    return chosen
