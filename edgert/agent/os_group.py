"""Group 0: what every SMP device answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgert.agent.fields import field


def echo(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"r": field(body, "d", str)}


def parameters(buf_size: int, buf_count: int) -> dict[str, Any]:
    """buf_size: bytes of the largest message, header included. buf_count: messages that may be on their way at once."""
    return {"buf_size": buf_size, "buf_count": buf_count}
