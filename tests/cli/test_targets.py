"""edgert targets."""

from __future__ import annotations

from cli.helpers import Command, assert_one_line


def test_the_list(edgert: Command) -> None:
    outcome = edgert("targets")
    assert outcome.code == 0
    assert "raspberry-pi-zero-2w-32" in outcome.out
    rows = edgert("targets", "--json").json["targets"]
    assert rows[0]["name"] == "host"
    assert {"android-armv7", "raspberry-pi-5"} <= {row["name"] for row in rows}


def test_one_target(edgert: Command) -> None:
    lines = edgert("targets", "show", "raspberry-pi-5").out.splitlines()
    facts = [line.split(maxsplit=1)[1] for line in lines]
    assert "Raspberry Pi 5 and 500, 64-bit system" in lines[1]
    assert "BCM2712: Cortex-A76" in facts
    assert any("16.0 KiB or 4.0 KiB" in line for line in lines)
    found = edgert("targets", "show", "raspberry-pi-5", "--json").json
    assert found["cores"] == 4
    assert found["page_bytes"] == [16384, 4096]
    assert found["memory_bytes"][0] == 1 << 30
    assert found["transports"] == ["serial", "ssh", "file"]


def test_what_differs_is_left_out(edgert: Command) -> None:
    assert "processor" not in edgert("targets", "show", "aarch64").out
    found = edgert("targets", "show", "aarch64", "--json").json
    assert (found["processor"], found["cores"], found["memory_bytes"]) == (None, None, [])


def test_this_machine(edgert: Command) -> None:
    found = edgert("targets", "show", "host", "--json").json
    assert found["cores"] >= 1
    assert found["memory_bytes"][0] > 0
    assert len(found["page_bytes"]) == 1


def test_an_unknown_one(edgert: Command) -> None:
    assert_one_line(edgert("targets", "show", "toaster"), 2, "no target 'toaster'", "raspberry-pi-5")
