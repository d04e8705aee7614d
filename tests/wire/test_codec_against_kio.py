"""The hand-written codecs and the schema reader, held against kio message by message, for every version.

kio's own decoder is the referee for what we write, its encoder for what we read.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.schema.metadata.v12.request import MetadataRequest, MetadataRequestTopic
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import Records

from cluster.base.errors import ErrorCode
from cluster.base.limits import STRING_BYTES_MAX
from cluster.broker.registry import APIS
from cluster.wire import (
    FetchResult,
    MalformedMessage,
    NodeEndpoint,
    ProduceResult,
    decode_fetch_request,
    decode_produce_request,
    decode_request,
    encode_fetch_response,
    encode_produce_response,
)

PRODUCE, FETCH = 0, 1
st.register_type_strategy(Records, st.binary(max_size=300))
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def encoded(message: Any) -> bytes:
    buffer = io.BytesIO()
    entity_writer(type(message))(buffer, message)
    return buffer.getvalue()


def decoded(message_class: Any, data: bytes) -> Any:
    message, size = entity_reader(message_class)(data, 0)
    assert size == len(data), "kio left bytes over"
    return message


def key_of(topic: Any) -> Any:
    for name in ("topic_id", "topic", "name"):
        if hasattr(topic, name):
            value = getattr(topic, name)
            return UUID(int=0) if value is None else value
    raise AssertionError(topic)


@pytest.mark.parametrize("version", range(3, 14))
def test_a_produce_request_is_read_as_kio_wrote_it(version: int) -> None:
    message_class = load_request_schema(PRODUCE, version)

    @FEW
    @given(st.from_type(message_class))
    def check(message: Any) -> None:
        data = bytearray(encoded(message))
        request = decode_produce_request(version, memoryview(data))
        assert request.transactional_id == message.transactional_id
        assert request.acks == message.acks
        assert request.timeout_ms == round(message.timeout.total_seconds() * 1000)
        ours = [
            (key, [(index, None if view is None else bytes(view)) for index, view in parts])
            for key, parts in request.topics
        ]
        theirs = [(key_of(topic), [(p.index, p.records) for p in topic.partition_data]) for topic in message.topic_data]
        assert ours == theirs
        for _, parts in request.topics:
            assert all(view is None or (not view.readonly and view.obj is data) for _, view in parts), "copied"

    check()


@pytest.mark.parametrize("version", range(4, 19))
def test_a_fetch_request_is_read_as_kio_wrote_it(version: int) -> None:
    message_class = load_request_schema(FETCH, version)

    @FEW
    @given(st.from_type(message_class))
    def check(message: Any) -> None:
        request = decode_fetch_request(version, memoryview(encoded(message)))
        if version >= 15:
            assert request.replica_id == message.replica_state.replica_id
        else:
            assert request.replica_id == message.replica_id
        assert request.max_wait_ms == round(message.max_wait.total_seconds() * 1000)
        for name in ("min_bytes", "max_bytes", "isolation_level", "session_id", "session_epoch", "rack_id"):
            if hasattr(message, name):
                assert getattr(request, name) == getattr(message, name)
        assert len(request.topics) == len(message.topics)
        for (key, partitions), topic in zip(request.topics, message.topics, strict=True):
            assert key == key_of(topic)
            for ours, theirs in zip(partitions, topic.partitions, strict=True):
                assert ours.max_bytes == theirs.partition_max_bytes
                for name in type(ours)._fields:
                    if hasattr(theirs, name):
                        assert getattr(ours, name) == getattr(theirs, name), name
        theirs_forgotten = getattr(message, "forgotten_topics_data", ())
        assert request.forgotten == [(key_of(topic), list(topic.partitions)) for topic in theirs_forgotten]

    check()


int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
errors = st.sampled_from([code for code in ErrorCode if code.value in {item.value for item in KioErrorCode}])
keys = {False: st.text(max_size=40), True: st.uuids()}
leaders = st.none() | st.tuples(int32, int32)
endpoints = st.lists(st.builds(NodeEndpoint, int32, st.text(max_size=20), int32, st.none() | st.text(max_size=9)))


@pytest.mark.parametrize("version", range(3, 14))
def test_kio_reads_the_produce_response_that_we_write(version: int) -> None:
    message_class = load_response_schema(PRODUCE, version)
    times = st.just(-1) | st.integers(0, 2**31).map(lambda seconds: seconds * 1000)
    results = st.builds(ProduceResult, int32, errors, int64, times, int64, st.none() | st.text(max_size=20), leaders)

    @FEW
    @given(st.lists(st.tuples(keys[version >= 13], st.lists(results))), endpoints)
    def check(topics: Any, nodes: Any) -> None:
        message = decoded(message_class, encode_produce_response(version, topics, nodes))
        assert [key_of(topic) for topic in message.responses] == [key for key, _ in topics]
        for topic, (_, ours) in zip(message.responses, topics, strict=True):
            for theirs, result in zip(topic.partition_responses, ours, strict=True):
                assert theirs.index == result.partition
                assert theirs.error_code.value == result.error
                assert theirs.base_offset == result.base_offset
                time_ms = -1 if theirs.log_append_time is None else round(theirs.log_append_time.timestamp() * 1000)
                assert time_ms == result.log_append_time_ms
                assert version < 5 or theirs.log_start_offset == result.log_start_offset
                assert version < 8 or theirs.error_message == result.error_message
                if version >= 10:
                    leader = (theirs.current_leader.leader_id, theirs.current_leader.leader_epoch)
                    assert leader == (result.current_leader or (-1, -1))
        if version >= 10:
            assert [NodeEndpoint(n.node_id, n.host, n.port, n.rack) for n in message.node_endpoints] == nodes

    check()


@pytest.mark.parametrize("version", range(4, 19))
def test_kio_reads_the_fetch_response_that_we_write(version: int) -> None:
    message_class = load_response_schema(FETCH, version)
    aborted = st.none() | st.lists(st.tuples(int64, int64), max_size=3)
    epoch_end = st.none() | st.tuples(int32, int64)
    records = st.binary(max_size=300)
    results = st.builds(FetchResult, int32, errors, int64, int64, int64, records, epoch_end, leaders, aborted)

    @FEW
    @given(errors, int32, st.lists(st.tuples(keys[version >= 13], st.lists(results))), endpoints)
    def check(error: Any, session_id: int, topics: Any, nodes: Any) -> None:
        chunks = encode_fetch_response(version, error, session_id, topics, nodes)
        for _, ours in topics:
            assert all(not r.records or any(chunk is r.records for chunk in chunks) for r in ours), "copied"
        message = decoded(message_class, b"".join(chunks))
        if version >= 7:
            assert (message.error_code.value, message.session_id) == (error, session_id)
        for topic, (key, ours) in zip(message.responses, topics, strict=True):
            assert key_of(topic) == key
            for theirs, result in zip(topic.partitions, ours, strict=True):
                assert_same_fetch_result(version, theirs, result)
        if version >= 16:
            assert [NodeEndpoint(n.node_id, n.host, n.port, n.rack) for n in message.node_endpoints] == nodes

    check()


def assert_same_fetch_result(version: int, theirs: Any, ours: FetchResult) -> None:
    assert theirs.partition_index == ours.partition
    assert theirs.error_code.value == ours.error
    assert (theirs.high_watermark, theirs.last_stable_offset) == (ours.high_watermark, ours.last_stable_offset)
    assert version < 5 or theirs.log_start_offset == ours.log_start_offset
    assert theirs.records == ours.records
    aborted = theirs.aborted_transactions
    assert (None if aborted is None else [(a.producer_id, a.first_offset) for a in aborted]) == ours.aborted
    if version >= 12:
        diverging = (theirs.diverging_epoch.epoch, theirs.diverging_epoch.end_offset)
        assert diverging == (ours.diverging or (-1, -1))
        leader = (theirs.current_leader.leader_id, theirs.current_leader.leader_epoch)
        assert leader == (ours.current_leader or (-1, -1))


EVERY_VERSION = [
    pytest.param(api.key, version, id=f"{api.name}-{version}")
    for api in APIS
    for version in range(api.oldest, api.newest + 1)
]


@pytest.mark.parametrize(("api_key", "version"), EVERY_VERSION)
def test_every_request_is_read_as_kio_wrote_it(api_key: int, version: int) -> None:
    message_class = load_request_schema(api_key, version)

    @settings(FEW, max_examples=5)
    @given(st.from_type(message_class))
    def check(message: Any) -> None:
        assert decode_request(api_key, version, encoded(message)) == message

    check()


def test_an_unknown_tagged_field_is_skipped_at_every_depth() -> None:
    topic = MetadataRequestTopic(topic_id=None, name="orders")
    message = MetadataRequest(topics=(topic,), include_topic_authorized_operations=False)
    data = encoded(message)
    unknown = b"\x02\x63\x02hi\x64\x00"
    inner = data.index(b"orders\x00") + len("orders")
    data = data[:inner] + unknown + data[inner + 1 : -1] + unknown
    with pytest.raises(KeyError):
        entity_reader(MetadataRequest)(data, 0)  # why kio's decoder is not used
    assert decode_request(3, 12, data) == message


def test_a_short_message_cannot_ask_for_gigabytes() -> None:
    for body in (b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07" + bytes(100)):
        with pytest.raises(MalformedMessage):
            decode_request(3, 12, body)
    with pytest.raises(MalformedMessage):
        decode_request(3, 1, b"\x7f\xff\xff\xff")


def test_no_string_is_longer_than_older_versions_and_the_logs_of_coordinators_can_say() -> None:
    def asking_for(name: str) -> bytes:
        topic = MetadataRequestTopic(topic_id=None, name=name)
        return encoded(MetadataRequest(topics=(topic,), include_topic_authorized_operations=False))

    assert decode_request(3, 12, asking_for("a" * STRING_BYTES_MAX)).topics[0].name == "a" * STRING_BYTES_MAX
    with pytest.raises(MalformedMessage):
        decode_request(3, 12, asking_for("a" * (STRING_BYTES_MAX + 1)))


@FEW
@given(st.sampled_from([item.values for item in EVERY_VERSION]), st.binary(max_size=80))
def test_rubbish_is_malformed_and_nothing_worse(api: Any, body: bytes) -> None:
    api_key, version = api
    decode = {
        PRODUCE: lambda: decode_produce_request(version, memoryview(body)),
        FETCH: lambda: decode_fetch_request(version, memoryview(body)),
    }.get(api_key, lambda: decode_request(api_key, version, body))
    with contextlib.suppress(MalformedMessage):
        decode()
