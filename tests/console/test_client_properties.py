"""Properties of Kafka's Java clients reach librdkafka under its names, and what cannot is told with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.cli.kafka_options import bootstrap, client_properties, only_action, spelled_out
from cluster.console.client_properties import Role, translate
from cluster.console.clients import make_consumer, make_producer
from cluster.console.property_files import load_properties, parse_pairs, parse_properties
from cluster.lab import LabError

SERVER = {"bootstrap.servers": "127.0.0.1:1"}


@pytest.mark.parametrize(
    ("role", "given", "expected"),
    [
        (Role.ADMIN, {"client.id": "x"}, {"client.id": "x"}),
        (Role.ADMIN, {"request.timeout.ms": "5"}, {"socket.timeout.ms": "5"}),
        (Role.CONSUMER, {"fetch.max.wait.ms": "5"}, {"fetch.wait.max.ms": "5"}),
        (Role.CONSUMER, {"auto.offset.reset": "none"}, {"auto.offset.reset": "error"}),
        (Role.CONSUMER, {"receive.buffer.bytes": "9"}, {"socket.receive.buffer.bytes": "9"}),
        (
            Role.CONSUMER,
            {"partition.assignment.strategy": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor, range"},
            {"partition.assignment.strategy": "cooperative-sticky,range"},
        ),
        (Role.CONSUMER, {"group.protocol": "CONSUMER"}, {"group.protocol": "consumer"}),
        (Role.ADMIN, {"buffer.memory": "33554432"}, {"queue.buffering.max.kbytes": "32768"}),
        (Role.ADMIN, {"batch.size": "0"}, {"batch.num.messages": "1"}),
        (Role.ADMIN, {"batch.size": "16384"}, {"batch.size": "16384"}),
    ],
)  # fmt: skip
def test_names_and_units_are_translated(role: Role, given: dict[str, str], expected: dict[str, str]) -> None:
    as_java_does = {"allow.auto.create.topics": "true"} if role is Role.CONSUMER else {}
    assert translate(given, role).properties == {**as_java_does, **expected}


@pytest.mark.parametrize(
    ("given", "is_idempotent"),
    [
        ({}, True),
        ({"acks": "all"}, True),
        ({"acks": "-1", "linger.ms": "5"}, True),
        ({"acks": "1"}, False),
        ({"retries": "0"}, False),
        ({"max.in.flight.requests.per.connection": "6"}, False),
    ],
)
def test_a_producer_is_idempotent_when_javas_would_be(given: dict[str, str], is_idempotent: bool) -> None:
    translated = translate(given, Role.PRODUCER).properties
    assert translated.get("enable.idempotence") == ("true" if is_idempotent else None)
    assert translated["partitioner"] == "murmur2_random"


def test_what_means_nothing_here_is_left_out_with_a_reason() -> None:
    translated = translate({"max.block.ms": "1", "key.serializer": "x.StringSerializer"}, Role.ADMIN)
    assert translated.properties == {}
    assert [note.partition(" ")[0] for note in translated.notes] == ["max.block.ms", "key.serializer"]


@pytest.mark.parametrize(
    ("given", "cause", "remedy"),
    [
        ({"linger.mss": "5"}, 'No such configuration property: "linger.mss"', "Did you mean linger.ms?"),
        ({"linger.ms": "soon"}, "Invalid value for configuration property", "milliseconds"),
        ({"sasl.jaas.config": "x"}, "sasl.jaas.config belongs to the Java client", "sasl.username"),
        ({"ssl.truststore.location": "x"}, "ssl.truststore.location belongs to the Java client", "ssl.ca.location"),
        ({"buffer.memory": "lots"}, "buffer.memory must be a whole number", "bytes"),
        ({"partitioner.class": "com.acme.Mine"}, "no partitioner com.acme.Mine", "murmur2_random"),
    ],
)
def test_what_the_client_refuses_has_a_cause_and_a_remedy(given: dict[str, str], cause: str, remedy: str) -> None:
    with pytest.raises(LabError) as error:
        make_producer({**SERVER, **given}, lambda _: None)
    assert cause in error.value.cause
    assert remedy in error.value.remedy
    assert error.value.exit_code == 2


def test_every_translated_name_is_one_that_librdkafka_knows() -> None:
    producer = {
        "buffer.memory": "1048576",
        "max.request.size": "1000000",
        "send.buffer.bytes": "1000",
        "batch.size": "0",
    }
    make_producer({**SERVER, **producer, "partitioner.class": "x.RoundRobinPartitioner"}, lambda _: None)
    consumer = {
        "fetch.max.wait.ms": "100",
        "receive.buffer.bytes": "1000",
        "request.timeout.ms": "1000",
        "group.id": "g",
        "auto.offset.reset": "none",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "x.RangeAssignor",
    }
    make_consumer({**SERVER, **consumer}, lambda _: None).close()


def test_a_properties_file_is_read_as_java_reads_it(tmp_path: Path) -> None:
    text = "# comment\n! too\n\na=1\n b : 2\nc 3\nd=x\\\n    y\ne=\\u0041\\t\\\\\nf\n g\\=h = i=j \n"
    assert parse_properties(text) == {
        "a": "1", "b": "2", "c": "3", "d": "xy", "e": "A\t\\", "f": "", "g=h": "i=j ",
    }  # fmt: skip
    path = tmp_path / "client.properties"
    path.write_text("acks=1\nlinger.ms=7\n")
    assert client_properties([path, None], {"--producer-property": ["acks=all"]}) == {"acks": "all", "linger.ms": "7"}
    with pytest.raises(LabError, match="cannot be read"):
        load_properties(tmp_path / "none")


def test_a_property_may_be_empty_and_may_hold_an_equals_sign() -> None:
    assert parse_pairs(["key.separator==", "null.literal=", "parse.key"], "--property") == {
        "key.separator": "=",
        "null.literal": "",
        "parse.key": "",
    }
    with pytest.raises(LabError, match="has no name"):
        parse_pairs(["=x"], "--property")


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        (["--codec", "--sync"], ["--codec=gzip", "--sync"]),
        ([], []),
        (["--codec"], ["--codec=gzip"]),
        (["--codec", "zstd", "--sync"], ["--codec", "zstd", "--sync"]),
        (["--props", "a=1", "b=2", "--topic", "t"], ["--props", "a=1", "--props", "b=2", "--topic", "t"]),
        (["--topic", "t", "extra"], ["--topic", "t", "extra"]),
        (["--shift-by", "-3"], ["--shift-by", "-3"]),
    ],
)
def test_kafkas_two_habits_of_parsing_are_spelled_out(typed: list[str], spelled: list[str]) -> None:
    assert spelled_out(typed, {"--codec": "gzip"}, ["--props"]) == spelled


def test_servers_and_actions_are_asked_for_in_kafkas_words() -> None:
    assert bootstrap("a:1,b:2") == "a:1,b:2"
    assert bootstrap("environment:1", "typed:2") == "typed:2"
    with pytest.raises(LabError, match=r'Missing required argument "\[bootstrap-server\]"'):
        bootstrap(None)
    for wrong in ("localhost", "localhost:", ":9092", "localhost:65536", "localhost:²"):
        with pytest.raises(LabError, match=f"'{wrong}' is not a server"):
            bootstrap(wrong)
    assert only_action({"--list": False, "--create": True}) == "--create"
    for chosen in (False, True):
        with pytest.raises(LabError, match="must include exactly one action: --list or --create"):
            only_action({"--list": chosen, "--create": chosen})
