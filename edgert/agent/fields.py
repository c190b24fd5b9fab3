"""Fields of a request's body. They come from strangers: a missing one, or one of another type, is no bug of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from edgert.agent.refusal import ProtocolError
from edgert.smp.groups import MgmtError

T = TypeVar("T")


def field(body: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """body[name]. Raises ProtocolError."""
    value = optional(body, name, kind)
    if value is None:
        raise ProtocolError(MgmtError.INVALID, f"the request has no {name!r}")
    return value


def optional(body: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """body[name], or None when it is not there. Numbers are counts here: none is negative. Raises ProtocolError."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not kind or (isinstance(value, int) and value < 0):
        raise ProtocolError(MgmtError.INVALID, f"the request's {name!r} is no {kind.__name__} that can be used")
    return value
