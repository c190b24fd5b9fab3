"""Protobuf's text format, of which Caffe's .prototxt files are: fields of known messages, others passed over.

protobuf's own parser takes seconds for a megabyte of nothing; this one has bounds, and needs no package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from edgert.importers.caffe.message import Message

MOST_TOKENS = 150_000  # the largest networks in use have some 50,000
DEEPEST = 32
_TOKEN = re.compile(
    r"""(?:\s++|\#[^\n]*+)*+         # space and comments, never tried in another way
    (?:(?P<mark>[{}<>\[\]:,;])
     |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
     |(?P<word>[^\s{}<>\[\]:,;"'\#]+)
     |(?P<end>\Z))""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "<": ">"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class TextError(ValueError):
    """What is wrong, and in which line."""


class _Token(NamedTuple):
    kind: str  # "mark", "text", "word" or "end"
    text: str
    at: int


def parse(text: str, message: Message) -> None:
    """Fills a message. Raises TextError."""
    _Parser(text).fill(message)


class _Parser:
    def __init__(self, text: str) -> None:
        self.source = text
        self.tokens = self._read()
        self.next = next(self.tokens)

    def _read(self) -> Iterator[_Token]:
        at = 0
        for _ in range(MOST_TOKENS):
            match = _TOKEN.match(self.source, at)
            if match is None:
                raise self.error("a text that does not end", at)
            kind = match.lastgroup or "end"
            yield _Token(kind, match[kind], match.start(kind))
            at = match.end()
            if kind == "end":
                return
        raise self.error("too many words", at)

    def error(self, why: str, at: int | None = None) -> TextError:
        line = self.source.count("\n", 0, self.next.at if at is None else at) + 1
        return TextError(f"line {line}: {why}")

    def take(self) -> _Token:
        token = self.next
        if token.kind != "end":
            self.next = next(self.tokens)
        return token

    def skip(self, *marks: str) -> bool:
        """Takes the next token if it is one of these marks."""
        found = self.next.kind == "mark" and self.next.text in marks
        if found:
            self.take()
        return found

    def fill(self, message: Message) -> None:
        open_messages: list[tuple[Message | None, str]] = [(message, "")]  # None: one that is not known
        while True:
            inside, closing = open_messages[-1]
            if self.next.kind == "end":
                if closing:
                    raise self.error(f"it ends where {closing} should be")
                return
            if closing and self.skip(closing):
                open_messages.pop()
                self.skip(",", ";")
                continue
            name = self._name()
            self.skip(":")
            if self.next.text in _CLOSING and self.next.kind == "mark":
                if len(open_messages) > DEEPEST:
                    raise self.error(f"more than {DEEPEST} messages inside one another")
                open_messages.append((self._enter(inside, name), _CLOSING[self.take().text]))
            elif self.skip("["):
                self._list(inside, name)
            else:
                self._value(inside, name)
                self.skip(",", ";")

    def _name(self) -> str:
        token = self.take()
        if token.kind == "mark" and token.text == "[":  # an extension: [package.name]
            while not self.skip("]"):
                if self.take().kind == "end":
                    raise self.error("it ends where ] should be")
            return ""
        if token.kind != "word":
            raise self.error(f"{token.text[:40]!r} where a field should be", token.at)
        return token.text

    def _enter(self, inside: Message | None, name: str) -> Message | None:
        known = None if inside is None else inside.field(name)
        if inside is None or known is None:
            return None
        try:
            return inside.inner(name)
        except ValueError as error:
            raise self.error(f"{name}: {error}") from error

    def _list(self, inside: Message | None, name: str) -> None:
        """Scalars between brackets; a list of messages only where it is not known."""
        depth = 0
        while depth or not self.skip("]"):
            if self.next.kind == "end":
                raise self.error("it ends where ] should be")
            if self.next.kind == "mark":
                if inside is not None and inside.field(name) is not None and self.next.text not in ",":
                    raise self.error(f"{name}: a list of messages")
                depth += {"{": 1, "<": 1, "[": 1, "}": -1, ">": -1, "]": -1}.get(self.take().text, 0)
            else:
                self._value(None if depth else inside, name)

    def _value(self, inside: Message | None, name: str) -> None:
        token = self.take()
        if token.kind not in ("word", "text"):
            raise self.error(f"{name} has no value", token.at)
        word = token.text
        if token.kind == "text":
            word = _unquoted(word)
            while self.next.kind == "text":  # texts in a row are one
                word += _unquoted(self.take().text)
        known = None if inside is None else inside.field(name)
        if inside is None or known is None:
            return
        try:
            inside.put(name, known.scalar(word, token.kind == "text"))
        except ValueError as error:
            raise self.error(f"{name}: {error}", token.at) from error


def _unquoted(text: str) -> str:
    def meaning(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x" and len(code) > 1:
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if code[0] in "01234567" else _ESCAPES.get(code, code)

    return _ESCAPE.sub(meaning, text[1:-1]) if "\\" in text else text[1:-1]
