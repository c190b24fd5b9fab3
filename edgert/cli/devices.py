"""edgert devices: what could be pushed to from here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgert.cli._device_options import devices_option
from edgert.cli._shared import json_option, print_json


@click.command("devices")
@devices_option
@json_option
def command(devices_file: Path | None, as_json: bool) -> None:
    """List serial ports, devices of adb, and the names of edgert-devices.toml.

    \b
    That file gives names to addresses, and may say what is there:
      [devices]
      bench = "serial:/dev/ttyUSB0?baud=921600"
      [devices.kitchen]
      address = "ssh://pi@kitchen.local"
      for = "raspberry-pi-4"         # what it is: edgert targets
      device_id = "d1f0..."          # push to no other
      key = "keys/kitchen.pem"       # signs what is pushed there
    """
    from edgert.device.listing import list_devices
    from edgert.report.console import print_table

    listing = list_devices(devices_file)
    if as_json:
        print_json({"devices": [asdict(one) for one in listing.found], "notes": list(listing.notes)})
        return
    if listing.found:
        rows = [
            (one.name or one.address, one.address if one.name else one.stable, one.description, one.usb,
             one.serial_number, one.state)
            for one in listing.found
        ]  # fmt: skip
        print_table(("target", "address", "what", "usb", "serial number", "state"), rows)
    else:
        click.echo("no serial port, no device of adb, and no edgert-devices.toml here or above", err=True)
    for note in listing.notes:
        click.echo(f"edgert: {note}", err=True)
