"""What a device says is for people to read, and for nothing else."""

from __future__ import annotations

import pytest

from edgert.device.refusal import refused
from edgert.device.results import AnswerError, field
from edgert.device.words import last_line, plain
from edgert.smp.groups import Group
from edgert.smp.message import Refusal

ESCAPES = "\x1b]0;title\x07\x1b[2Jall is well\r\nedgert: pushed"


def test_nothing_reaches_the_terminal_but_words() -> None:
    assert plain(ESCAPES) == " ]0;title  [2Jall is well  edgert: pushed"
    assert len(plain("x" * 10_000)) == 400
    assert plain("Grüße, 世界") == "Grüße, 世界"
    assert last_line("first\n\n second \x1b[1m\n\n") == "second  [1m"
    assert last_line("\n") == ""


def test_answers_and_refusals_are_made_plain() -> None:
    assert field({"state": ESCAPES}, "state", str).isprintable()
    with pytest.raises(AnswerError, match="'state' is 3, needed str"):
        field({"state": 3}, "state", str)
    error = refused(Refusal(Group.EDGERT, 2, ESCAPES), Group.EDGERT, "serial:/dev/x")
    assert str(error).isprintable()
    assert "all is well" in error.reason
