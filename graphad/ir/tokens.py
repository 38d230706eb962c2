"""Tokens of the printed form: one at a time, with errors that name line and column and show the line."""

from __future__ import annotations

import re
from typing import NoReturn

from graphad.ir.errors import ParseError
from graphad.ir.literals import NAME, NAN_BITS, NUMBER, STRING, TYPE, unquote
from graphad.ir.location import Location

_TOKEN = re.compile(
    rf"""(?:\s|\#[^\n]*)*+ (?:
      (?P<value>%(?:\w+(?:\.\w+)*|{STRING}))
    | (?P<nan>{NAN_BITS})
    | (?P<type>{TYPE})
    | (?P<number>{NUMBER})
    | (?P<name>{NAME})
    | (?P<string>{STRING})
    | (?P<resource>@\w+)
    | (?P<opaque><[^<>\n]*>)
    | (?P<mark>->|[()\[\]{{}}=,:+*/-])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"[ \t]*#[ \t]*([^\n]*)")
_LOCATION = re.compile(rf"({STRING}|[^\s\"](?:.*\S)?):(\d{{1,9}})\s*")
_LONGEST_LINE = 160


class Scanner:
    """Walks over text: `kind` and `token` are what comes next, `start` and `end` where it stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind = ""
        self.token = ""
        self.start = 0
        self.end = 0
        self.previous_end = 0
        self._locations: dict[str, Location | None] = {}
        self.advance()

    def advance(self) -> None:
        """Go to the next token."""
        match = _TOKEN.match(self.text, self.end)
        self.previous_end = self.end
        if match is None:
            blank = re.compile(r"(?:\s|#[^\n]*)*+").match(self.text, self.end)
            self.start = blank.end() if blank else self.end
            self.wrong(f"{self.text[self.start]!r} means nothing here")
        kind = match.lastgroup or ""
        self.kind = kind
        self.token = match[kind]
        self.end = match.end()
        self.start = self.end - len(self.token)

    def jump(self, position: int) -> None:
        """Go to the first token at or after a position."""
        self.end = position
        self.advance()

    def at(self, token: str) -> bool:
        """Tell whether a mark or a word comes next."""
        return self.token == token and self.kind in ("mark", "name")

    def take(self, token: str) -> bool:
        """Step over a mark or a word if it comes next."""
        if self.token == token and self.kind in ("mark", "name"):
            self.advance()
            return True
        return False

    def expect(self, token: str) -> None:
        """Step over a mark or a word; an error if another comes next."""
        if not self.take(token):
            self.unexpected(f"{token!r}")

    def take_kind(self, kind: str, wanted: str) -> str:
        """Return the next token, which must be of a kind; an error that asks for `wanted` if it is not."""
        if self.kind != kind:
            self.unexpected(wanted)
        token = self.token
        self.advance()
        return token

    def rest_of_line(self) -> str:
        """Return the text from the next token on to the end of its line, and step over it."""
        stop = self.text.find("\n", self.start)
        stop = len(self.text) if stop < 0 else stop
        found = self.text[self.start : stop]
        self.jump(stop)
        return found

    def comment(self, position: int) -> Location | None:
        """Return the location that the comment at a position names; None where there is none."""
        match = _COMMENT.match(self.text, position)
        if match is None:
            return None
        text = match[1]
        if text not in self._locations:
            self._locations[text] = read_location(text)
        return self._locations[text]

    def unexpected(self, wanted: str) -> NoReturn:
        """Reject the next token."""
        got = "the end of the text" if self.kind == "end" else repr(self.token[:80])
        self.wrong(f"expected {wanted}, got {got}")

    def wrong(self, message: str, position: int | None = None) -> NoReturn:
        """Raise ParseError at a position, that of the next token if not given."""
        at = self.start if position is None else position
        before = self.text.rfind("\n", 0, at) + 1
        after = self.text.find("\n", before)
        line = self.text[before : len(self.text) if after < 0 else after]
        column = at - before
        cut = max(0, column - _LONGEST_LINE // 2)
        shown = line[cut : cut + _LONGEST_LINE]
        number = self.text.count("\n", 0, before) + 1
        raise ParseError(
            f"line {number}, column {column + 1}: {message}\n    {shown}\n    {' ' * (column - cut)}^"
        ) from None


def read_location(text: str) -> Location | None:
    """Read ``model.py:12``; None where the text is something else."""
    match = _LOCATION.fullmatch(text)
    if match is None:
        return None
    file = match[1]
    if file.startswith('"'):
        try:
            file = unquote(file)
        except ValueError:
            return None
    # The source text is not printed, and what a file of this name holds here may be something else.
    return Location(file, int(match[2]), "")
