"""Refusing a request whole, whatever its API: an answer that has one error wherever it has room for one.

Here: the answer to a request that was never carried out, made of the request's own names: each topic and each
partition that it asked about is refused. For faults that a client must cope with; handlers refuse for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from kio.index import load_response_schema

from cluster.base.errors import ErrorCode
from cluster.base.ports import Buffer
from cluster.wire.fetch import FetchResult, decode_fetch_request, encode_fetch_response
from cluster.wire.messages import Fields, decode_request, encode_response, part_class_of
from cluster.wire.produce import ProduceResult, decode_produce_request, encode_produce_response

PRODUCE_KEY = 0
FETCH_KEY = 1

_ASKED_AS: Mapping[str, tuple[str, ...]] = {
    "coordinators": ("coordinator_keys",),
    "responses": ("topics", "topic_names", "resources"),
    "results": ("topics", "groups_names"),
}
"""What the parts of an answer are called in the request, when it is not the same."""

_NOWHERE = {"node_id": -1, "host": "", "port": -1, "coordinator": -1}
"""What an answer says of where to turn to, when it is an error."""


def encode_refusal(api_key: int, version: int, body: memoryview, error: ErrorCode) -> Sequence[Buffer] | None:
    """Return the body of an answer that refuses a request; None when it wants no answer. Raises MalformedMessage."""
    if api_key == PRODUCE_KEY:
        produced = decode_produce_request(version, body)
        if produced.acks == 0:
            return None
        refused = [
            (key, [ProduceResult(number, error) for number, _ in partitions]) for key, partitions in produced.topics
        ]
        return [encode_produce_response(version, refused)]
    if api_key == FETCH_KEY:
        fetched = decode_fetch_request(version, body)
        results = [
            (key, [FetchResult(part.partition, error) for part in partitions]) for key, partitions in fetched.topics
        ]
        return encode_fetch_response(version, ErrorCode.NONE, 0, results)
    request = decode_request(api_key, version, body)
    return [encode_response(api_key, version, _mirrored(request, load_response_schema(api_key, version), error))]


def _mirrored(asked: Any, answer_class: Any, error: ErrorCode) -> Fields:
    """Return the fields of a part of the answer: errors where they can be, names as they were asked with."""
    given: dict[str, Any] = {}
    for field in fields(answer_class):
        name, part_class = field.name, part_class_of(field.type)
        if field.metadata.get("kafka_type") == "error_code":
            given[name] = error
        elif part_class is not None:
            given[name] = [_mirrored(part, part_class, error) for part in _parts_asked(asked, name)]
        elif isinstance(asked, str) and name == "key":
            given[name] = asked
        elif name in _NOWHERE:
            given[name] = _NOWHERE[name]
        elif hasattr(asked, name):
            given[name] = getattr(asked, name)
    return given


def _parts_asked(asked: Any, name: str) -> Sequence[Any]:
    for alias in (name, *_ASKED_AS.get(name, ())):
        parts = getattr(asked, alias, None)
        if isinstance(parts, tuple | list):
            return parts
    return ()
