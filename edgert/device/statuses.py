"""STATUS, read so that damage on a line cannot pass for what a device says."""

from __future__ import annotations

from edgert.device.client import Client
from edgert.device.errors import LinkError
from edgert.device.results import DeviceStatus, read_status
from edgert.smp.groups import EdgertCommand, Group
from edgert.smp.message import Op

_MOST_READS = 8


async def read_twice(client: Client) -> DeviceStatus:
    """The device's status; on a line that may alter bytes, one that two answers in a row agree in.

    A frame's CRC lets one damaged answer in 65,536 pass, and a wrong counter would be signed and stay.
    """
    before: DeviceStatus | None = None
    for _ in range(_MOST_READS):
        status = await client.request(Op.READ, Group.EDGERT, EdgertCommand.STATUS, {}, read_status)
        if not client.stream.lossy or (
            before is not None and (before.device, before.models) == (status.device, status.models)
        ):
            return status
        before = status
    raise LinkError(f"{client.stream.describe()}: no two answers agree; the line alters what it carries")
