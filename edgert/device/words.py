"""What a device says, fit for a terminal and a line of an error: it may be anybody's, or speak through a noisy line."""

from __future__ import annotations

MOST = 400  # characters


def plain(text: str, most: int = MOST) -> str:
    """One line without control characters, cut to `most`."""
    cut = text if len(text) <= most else f"{text[: most - 3]}..."
    return "".join(c if c.isprintable() else " " for c in cut)


def last_line(text: str) -> str:
    """The last line of a program's complaints, which mostly says why it gave up."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return plain(lines[-1]) if lines else ""
