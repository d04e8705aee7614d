"""From a typed line to a record: Kafka's line reader (`org.apache.kafka.tools.LineMessageReader`).

Here: headers, key and value by their separators, and the null marker. Not here: where lines come from, nor how a
value becomes bytes (`serialisation`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.console.errors import failure, usage

Headers = list[tuple[str, bytes | None]]

DEFAULTS: Mapping[str, str] = {
    "parse.key": "false",
    "key.separator": "\t",
    "parse.headers": "false",
    "headers.delimiter": "\t",
    "headers.separator": ",",
    "headers.key.separator": ":",
    "ignore.error": "false",
}

KNOWN = (*DEFAULTS, "null.marker")
"""Every property that has an effect."""


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """What a line holds; None is Kafka's null."""

    key: str | None
    value: str | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class LineReader:
    """Splits lines as its properties say."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        """Raises LabError (usage) when two separators are the same, or one is no regular expression."""
        chosen = {**DEFAULTS, **properties}
        self._parses_key = is_true(chosen["parse.key"])
        self._parses_headers = is_true(chosen["parse.headers"])
        self._ignores_errors = is_true(chosen["ignore.error"])
        self._key_separator = chosen["key.separator"]
        self._headers_delimiter = chosen["headers.delimiter"]
        self._headers_key_separator = chosen["headers.key.separator"]
        self._null_marker = chosen.get("null.marker")
        _refuse_equal_separators(chosen)
        try:
            self._headers_separator = re.compile(chosen["headers.separator"])
        except re.error as error:
            raise usage(
                f"headers.separator {chosen['headers.separator']!r} is not a regular expression: {error}",
                "Escape its special characters, as in headers.separator=\\|.",
            ) from error

    def parse(self, line: str, number: int) -> ParsedLine:
        """Split a line, without its end. `number` counts lines from 1. Raises LabError when a separator is missing."""
        start = 0
        headers = key = None
        if self._parses_headers:
            headers = self._cut(line, start, self._headers_delimiter, "headers delimiter", number)
        if headers is not None:
            start += len(headers) + len(self._headers_delimiter)
        if self._parses_key:
            key = self._cut(line, start, self._key_separator, "key separator", number)
        if key is not None:
            start += len(key) + len(self._key_separator)
        split = self._split_headers(headers, number) if headers is not None and headers != self._null_marker else []
        return ParsedLine(self._or_null(key), self._or_null(line[start:]), tuple(split))

    def _cut(self, line: str, start: int, separator: str, name: str, number: int) -> str | None:
        end = line.find(separator, start)
        if end >= 0:
            return line[start:end]
        if self._ignores_errors:
            return None
        raise failure(
            f"No {name} found on line number {number}: '{line}'",
            f"The separator is {separator!r}; set another with --property, or pass over such lines: ignore.error=true.",
        )

    def _split_headers(self, headers: str, number: int) -> Headers:
        split: Headers = []
        for pair in _split_as_java_does(self._headers_separator, headers):
            name, separator, value = pair.partition(self._headers_key_separator)
            if not separator and self._ignores_errors:
                split.append((pair, None))
                continue
            if not separator:
                raise failure(
                    f"No header key separator found in pair '{pair}' on line number {number}",
                    f"The separator is {self._headers_key_separator!r}; headers.key.separator sets another.",
                )
            if name == self._null_marker:
                raise failure(
                    f"Header keys should not be equal to the null marker '{name}' as they can't be null",
                    "Name the header, or choose another null.marker.",
                )
            split.append((name, None if value == self._null_marker else value.encode()))
        return split

    def _or_null(self, text: str | None) -> str | None:
        return None if text == self._null_marker else text


def is_true(text: str) -> bool:
    """Read a boolean property: `true` in any case, everything else is false."""
    return text.strip().lower() == "true"


def _refuse_equal_separators(chosen: Mapping[str, str]) -> None:
    names = ("headers.delimiter", "headers.separator", "headers.key.separator")
    pairs = [(one, other) for index, one in enumerate(names) for other in names[index + 1 :]]
    if "null.marker" in chosen:
        pairs += [("null.marker", other) for other in ("key.separator", *names)]
    for one, other in pairs:
        if chosen[one] == chosen[other]:
            raise usage(f"{one} and {other} may not be equal", f"Both are {chosen[one]!r}; change one of them.")


def _split_as_java_does(separator: re.Pattern[str], text: str) -> list[str]:
    """Split without the empty strings at the end, unless nothing was split (`Pattern.split`)."""
    parts = separator.split(text)
    if len(parts) == 1:
        return parts
    while parts and not parts[-1]:
        parts.pop()
    return parts
