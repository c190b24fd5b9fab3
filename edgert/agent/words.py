"""Texts on their way to a client."""

from __future__ import annotations

MOST_CHARACTERS = 400  # so that an answer fits a small frame, and a terminal


def one_line(text: object) -> str:
    """One line that has an encoding, and an end: texts quote what came over the line, and names of files."""
    line = " ".join(str(text).split())
    line = line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."
    return line.encode("utf-8", "backslashreplace").decode()
