"""Lines become the records that Kafka's LineMessageReader makes of them."""

from __future__ import annotations

import pytest

from cluster.console.line_reader import LineReader, ParsedLine
from cluster.lab import LabError

HEADERS_AND_KEY = {"parse.key": "true", "parse.headers": "true"}


@pytest.mark.parametrize(
    ("properties", "line", "record"),
    [
        ({}, "value0", ParsedLine(None, "value0")),
        ({}, "", ParsedLine(None, "")),
        ({"parse.key": "true"}, "key0\tvalue0", ParsedLine("key0", "value0")),
        ({"parse.key": "TRUE "}, "key0\t", ParsedLine("key0", "")),
        ({"parse.key": "true"}, "key0\tvalue\t0", ParsedLine("key0", "value\t0")),
        ({"parse.key": "true", "key.separator": "#"}, "key0#value0", ParsedLine("key0", "value0")),
        ({"parse.key": "true", "key.separator": "::"}, "a::b::c", ParsedLine("a", "b::c")),
        ({"parse.key": "true", "ignore.error": "true"}, "no key", ParsedLine(None, "no key")),
        ({"parse.headers": "true"}, "h0:v0\tvalue", ParsedLine(None, "value", (("h0", b"v0"),))),
        (
            HEADERS_AND_KEY,
            "h0:v0,h1:v1\tkey\tvalue",
            ParsedLine("key", "value", (("h0", b"v0"), ("h1", b"v1"))),
        ),
        (
            {**HEADERS_AND_KEY, "headers.delimiter": "!", "headers.separator": "&", "headers.key.separator": "="},
            "a=1&b=2=3!k\tv",
            ParsedLine("k", "v", (("a", b"1"), ("b", b"2=3"))),
        ),
        (
            {**HEADERS_AND_KEY, "headers.separator": "[,;]"},
            "a:1;b:2\tk\tv",
            ParsedLine("k", "v", (("a", b"1"), ("b", b"2"))),
        ),
        ({**HEADERS_AND_KEY, "ignore.error": "true"}, "lonely\tk\tv", ParsedLine("k", "v", (("lonely", None),))),
        (HEADERS_AND_KEY, "a:1,,\tk\tv", ParsedLine("k", "v", (("a", b"1"),))),
        ({**HEADERS_AND_KEY, "null.marker": "NULL"}, "NULL\tNULL\tNULL", ParsedLine(None, None)),
        ({**HEADERS_AND_KEY, "null.marker": "-"}, "a:-,b:x\t-\tv", ParsedLine(None, "v", (("a", None), ("b", b"x")))),
        ({"null.marker": "-"}, "-", ParsedLine(None, None)),
    ],
)  # fmt: skip
def test_a_line_is_split_by_its_separators(properties: dict[str, str], line: str, record: ParsedLine) -> None:
    assert LineReader(properties).parse(line, 1) == record


@pytest.mark.parametrize(
    ("properties", "line", "said"),
    [
        ({"parse.key": "true"}, "lonely", "No key separator found on line number 7: 'lonely'"),
        ({"parse.headers": "true"}, "lonely", "No headers delimiter found on line number 7: 'lonely'"),
        (HEADERS_AND_KEY, "h\tk\tv", "No header key separator found in pair 'h' on line number 7"),
        (HEADERS_AND_KEY, "\tk\tv", "No header key separator found in pair '' on line number 7"),
        (
            {**HEADERS_AND_KEY, "null.marker": "h"},
            "h:1\tk\tv",
            "Header keys should not be equal to the null marker 'h'",
        ),
    ],
)
def test_a_missing_separator_is_told_with_its_line_in_kafkas_words(
    properties: dict[str, str], line: str, said: str
) -> None:
    with pytest.raises(LabError) as error:
        LineReader(properties).parse(line, 7)
    assert error.value.cause.startswith(said)
    assert error.value.exit_code == 1


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"headers.separator": "\t"}, "headers.delimiter and headers.separator may not be equal"),
        ({"headers.key.separator": "\t"}, "headers.delimiter and headers.key.separator may not be equal"),
        ({"headers.key.separator": ","}, "headers.separator and headers.key.separator may not be equal"),
        ({"null.marker": "\t"}, "null.marker and key.separator may not be equal"),
        ({"null.marker": ","}, "null.marker and headers.separator may not be equal"),
        ({"headers.separator": "("}, "headers.separator '(' is not a regular expression"),
    ],
)
def test_separators_that_cannot_be_told_apart_are_refused(properties: dict[str, str], said: str) -> None:
    with pytest.raises(LabError) as error:
        LineReader(properties)
    assert error.value.cause.startswith(said)
    assert error.value.exit_code == 2
