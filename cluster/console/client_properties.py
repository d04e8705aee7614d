"""The Java clients' properties in librdkafka's words.

Most names are the same in both. Here: those that are named or measured differently, those whose Java default differs
where it can be seen (partitioner, idempotence), those that mean nothing here, and what to do about those that
librdkafka cannot do. Whatever is in no table is passed on, and librdkafka says whether it knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from cluster.console.errors import usage
from cluster.lab.errors import LabError


class Role(Enum):
    """Whose properties they are."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    SHARE_CONSUMER = "share consumer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Translated:
    """What librdkafka is given, and what the person should know about the rest."""

    properties: dict[str, str]
    notes: tuple[str, ...]


_RENAMED: Mapping[str, str] = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "max.request.size": "message.max.bytes",
    "compression.gzip.level": "compression.level",
    "compression.lz4.level": "compression.level",
    "compression.zstd.level": "compression.level",
    "sasl.login.connect.timeout.ms": "socket.connection.setup.timeout.ms",
}

_SERIALIZER_NOTE = "lines are text; --key-format and --value-format choose json, avro or protobuf"
_METRICS_NOTE = "it configures the Java client's metrics"

_WITHOUT_EFFECT: Mapping[str, str] = {
    "key.serializer": _SERIALIZER_NOTE,
    "value.serializer": _SERIALIZER_NOTE,
    "key.deserializer": "give it with --property key.deserializer=",
    "value.deserializer": "give it with --property value.deserializer=",
    "max.block.ms": "a full buffer makes the tool wait until there is room",
    "max.poll.records": "records are taken one by one",
    "default.api.timeout.ms": "give --timeout or socket.timeout.ms",
    "exclude.internal.topics": "a pattern matches internal topics only when it begins with ^__",
    "metadata.max.idle.ms": "topics that are not used any more are forgotten anyway",
    "metadata.recovery.strategy": "the client bootstraps anew by itself",
    "interceptor.classes": "Java classes cannot be loaded",
    "metric.reporters": _METRICS_NOTE,
    "metrics.num.samples": _METRICS_NOTE,
    "metrics.recording.level": _METRICS_NOTE,
    "metrics.sample.window.ms": _METRICS_NOTE,
    "auto.include.jmx.reporter": _METRICS_NOTE,
    "partitioner.ignore.keys": "use partitioner=random",
    "partitioner.adaptive.partitioning.enable": "the sticky partitioner does not measure the brokers",
    "partitioner.availability.timeout.ms": "the sticky partitioner does not measure the brokers",
    "internal.auto.downgrade.txn.commit": "it is internal to Kafka Streams",
}

_IMPOSSIBLE: Mapping[str, str] = {
    "sasl.jaas.config": "Set sasl.username and sasl.password instead.",
    "sasl.client.callback.handler.class": "Java classes cannot be loaded; set sasl.username and sasl.password.",
    "ssl.truststore.location": "Export the certificates as PEM and set ssl.ca.location.",
    "ssl.truststore.password": "Export the certificates as PEM and set ssl.ca.location.",
    "ssl.truststore.type": "Export the certificates as PEM and set ssl.ca.location.",
    "ssl.truststore.certificates": "Set ssl.ca.pem instead.",
    "ssl.keystore.certificate.chain": "Set ssl.certificate.pem instead.",
    "ssl.keystore.key": "Set ssl.key.pem instead.",
}

_ASSIGNORS: Mapping[str, str] = {
    "RangeAssignor": "range",
    "RoundRobinAssignor": "roundrobin",
    "CooperativeStickyAssignor": "cooperative-sticky",
}

_PARTITIONERS: Mapping[str, str] = {
    "DefaultPartitioner": "murmur2_random",
    "RoundRobinPartitioner": "random",
    "UniformStickyPartitioner": "random",
}

_KNOWN = (
    "acks",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "batch.num.messages",
    "batch.size",
    "bootstrap.servers",
    "buffer.memory",
    "client.id",
    "client.rack",
    "compression.type",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.idempotence",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.request.size",
    "message.max.bytes",
    "metadata.max.age.ms",
    "partitioner",
    "partition.assignment.strategy",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "send.buffer.bytes",
    "session.timeout.ms",
    "socket.timeout.ms",
    "ssl.ca.location",
    "transactional.id",
    "transaction.timeout.ms",
)
"""What a misspelled name is compared with."""


def translate(properties: Mapping[str, str], role: Role) -> Translated:
    """Return the properties as librdkafka takes them. Raises LabError (usage) for what it cannot do, or cannot read."""
    result: dict[str, str] = {}
    notes: list[str] = []
    for name, value in properties.items():
        if name in _IMPOSSIBLE:
            raise usage(f"The property {name} belongs to the Java client.", _IMPOSSIBLE[name])
        if name in _WITHOUT_EFFECT:
            notes.append(f"{name} has no effect: {_WITHOUT_EFFECT[name]}.")
            continue
        result.update(_translated(name, value, role))
    if role is Role.CONSUMER:
        result.setdefault("allow.auto.create.topics", "true")  # as Java's
    if role is Role.PRODUCER:
        result.setdefault("partitioner", "murmur2_random")  # Java's: a key goes to the same partition
        if "enable.idempotence" not in result and _may_be_idempotent(result):
            result["enable.idempotence"] = "true"
    return Translated(result, tuple(notes))


def not_accepted(reason: str, properties: Mapping[str, str]) -> LabError:
    """Return the error for properties that librdkafka refuses, with the name that was probably meant."""
    refused = [name for name in properties if f'"{name}"' in reason]
    close = get_close_matches(refused[0], [*_KNOWN, *_WITHOUT_EFFECT], 1) if refused else []
    if "Invalid value" in reason:
        remedy = "Correct the value; times are in milliseconds, sizes in bytes."
    elif close:
        remedy = f"Did you mean {close[0]}?"
    else:
        remedy = "Properties are librdkafka's, which has most of the Java client's."
    return usage(f"The client refuses its properties: {reason}.", remedy)


def _translated(name: str, value: str, role: Role) -> dict[str, str]:
    if name == "buffer.memory":
        return {"queue.buffering.max.kbytes": str(max(1, _whole_number(name, value) // 1024))}
    if name == "batch.size" and _whole_number(name, value) == 0:  # Java's way to send every record by itself
        return {"batch.num.messages": "1"}
    if name == "request.timeout.ms" and role is not Role.PRODUCER:
        return {"socket.timeout.ms": value}
    if name == "auto.offset.reset" and value == "none":
        return {name: "error"}
    if name == "partition.assignment.strategy":
        return {name: ",".join(_ASSIGNORS.get(_class_name(part), part.strip()) for part in value.split(","))}
    if name == "partitioner.class":
        return {"partitioner": _partitioner(value)}
    if name == "group.protocol":
        return {name: value.lower()}
    return {_RENAMED.get(name, name): value}


def _may_be_idempotent(properties: Mapping[str, str]) -> bool:
    """Java's producer is idempotent unless another property rules it out (`ProducerConfig.postProcessParsedConfig`)."""
    if properties.get("acks", "all") not in ("all", "-1") or properties.get("retries") == "0":
        return False
    in_flight = properties.get("max.in.flight.requests.per.connection", "5")
    return in_flight.isdigit() and int(in_flight) <= 5


def _partitioner(value: str) -> str:
    known = _PARTITIONERS.get(_class_name(value))
    if known is None:
        raise usage(
            f"There is no partitioner {value}.",
            "Set partitioner to murmur2_random (Java's), consistent_random or random.",
        )
    return known


def _class_name(value: str) -> str:
    return value.strip().rpartition(".")[2]


def _whole_number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise usage(f"{name} must be a whole number, not {value!r}.", "It counts bytes.") from error
