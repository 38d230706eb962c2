"""How labels are cleaned and how much room they take, without a font engine.

What may enter: rules about text that every picture shares (DOT, SVG, timeline).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from html import escape

FONT_FAMILY = "Helvetica,Arial,'Liberation Sans',sans-serif"
FONT_SIZE = 12.0
LINE_HEIGHT = 15.0
LONGEST_LINE = 72
MOST_LINES = 12

# Advance widths of Helvetica in 1/1000 em for the characters 32..126 (Adobe Core 14 AFM; Arial has the same
# ones).
_WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 "
    "556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 "
    "722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 "
    "500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584 "
)
_ADVANCE = {chr(32 + position): int(width) for position, width in enumerate(_WIDTHS.split())}


@lru_cache(maxsize=4096)
def _advance(character: str) -> int:
    if character in _ADVANCE:
        return _ADVANCE[character]
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn"):
        return 0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1000
    # Accented Latin is as wide as its base letter; other scripts and symbols seldom exceed 0.8 em.
    base = unicodedata.normalize("NFD", character)[0]
    return _ADVANCE.get(base, 800)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Estimate the width of one line of Helvetica or Arial in pixels at `size` pixels."""
    return sum(map(_advance, text)) * size / 1000.0


def printable(text: str) -> str:
    """Replace what XML 1.0 cannot hold (control characters, lone surrogates, ...) by U+FFFD; keep newlines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_xml_character(c) else "\ufffd" for c in text)


def _is_xml_character(character: str) -> bool:
    code = ord(character)
    if code < 0x20:
        return character == "\n"
    return not (0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF))


def xml_text(text: str) -> str:
    """Escape `text` for XML character data and for attribute values in double quotes."""
    return escape(printable(text), quote=True)


def clipped(line: str) -> str:
    """Shorten a line past `LONGEST_LINE` characters and say so with an ellipsis."""
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def label_lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    """List the lines that are drawn: cleaned, split at newlines, shortened with an ellipsis where too long."""
    shown = tuple(clipped(part) for line in lines for part in printable(line).split("\n"))
    return shown if len(shown) <= MOST_LINES else (*shown[: MOST_LINES - 1], "…")


def label_size(lines: tuple[str, ...]) -> tuple[float, float]:
    """Measure (width, height) in pixels of the lines as `label_lines` gives them."""
    return max(map(text_width, lines), default=0.0), LINE_HEIGHT * max(1, len(lines))
