"""`name=value` on the command line, and Java's .properties files (`java.util.Properties.load`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.console.errors import usage

_PAIR = re.compile(r"((?:\\.|[^\\\s=:])*)(?:\s*[=:]\s*|\s+|$)(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read `name=value` arguments; a name alone has the empty value, as in Kafka (`parseKeyValueArgs`).

    Raises LabError (usage).
    """
    pairs = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name.strip():
            raise usage(f"{option} {text!r} has no name.", "Write name=value.")
        pairs[name.strip()] = value
    return pairs


def load_properties(path: Path | None) -> dict[str, str]:
    """Read a .properties file; no path, no properties. Raises LabError (usage) when it cannot be read."""
    if path is None:
        return {}
    try:
        return parse_properties(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"{path} cannot be read: {error}", "Name a file of name=value lines.") from error


def parse_properties(text: str) -> dict[str, str]:
    """Read the text of a .properties file: comments, continued lines, `=`, `:` or blanks, and escapes."""
    properties = {}
    for line in _logical_lines(text):
        match = _PAIR.match(line)
        assert match is not None, "every line matches, if only with an empty value"
        properties[_unescape(match[1])] = _unescape(match[2])
    return properties


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines without comments; a backslash at the end continues a line without the next one's indentation."""
    pending = ""
    for raw in text.splitlines():
        line = raw.lstrip()
        if not pending and (not line or line[0] in "#!"):
            continue
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            pending += line[:-1]
        else:
            yield pending + line
            pending = ""
    if pending:
        yield pending


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _CONTROLS.get(found[2], found[2]), text)
