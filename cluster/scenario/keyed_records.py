"""Records with keys: which key is written next, what a record without a value is called, and who asks for keys.

Here: what producers write and consumers are shown, between the trace and aiokafka. Not here: sending and polling
(`workloads`, `read_back`), or what compaction owes to a key (`cluster.checks`).

The trace calls a record by its value, which is unique in a run. A tombstone has none: its name goes in a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from cluster.base.configs import Configs
from cluster.base.trace import RecordConsumed, RecordSent
from cluster.lab import ClusterSpec
from cluster.scenario.schema import Client

NAME_HEADER = "name"


@dataclass(frozen=True, slots=True)
class Key:
    """A key and whether its record is a tombstone. A key always goes to the same partition: `number` chooses it."""

    number: int
    is_tombstone: bool

    @property
    def text(self) -> str:
        """The key as it is written, the same for every producer."""
        return f"k{self.number:03d}"


class Keys:
    """The keys of one producer, drawn one after the other: low numbers often, high ones rarely."""

    def __init__(self, client: Client, rng: Random) -> None:
        assert client.keys is not None
        self._count = client.keys
        self._tombstones = client.tombstones
        self._rng = rng

    def draw(self) -> Key:
        """Return the next."""
        # Squared, so that some keys rest long enough to be compacted while they hold their last value.
        number = int(self._count * self._rng.random() ** 2)
        return Key(number, self._rng.random() < self._tombstones)


def record_of(sent: RecordSent) -> dict[str, Any]:
    """Return aiokafka's arguments for the record that an event tells of."""
    name = sent.value.encode()
    if not sent.key:
        return {"value": name}
    if sent.tombstone:
        return {"value": None, "key": sent.key.encode(), "headers": [(NAME_HEADER, name)]}
    return {"value": name, "key": sent.key.encode()}


def consumed(record: Any, *, final: bool = False, committed_only: bool = False) -> RecordConsumed:
    """Return the event of a consumer that was given one of aiokafka's records."""
    place = (record.topic, record.partition, record.offset)
    if record.key is None:
        return RecordConsumed(*place, _text(record.value), final, committed_only)
    is_tombstone = record.value is None
    name = dict(record.headers).get(NAME_HEADER) if is_tombstone else record.value
    return RecordConsumed(*place, _text(name), final, committed_only, _text(record.key), is_tombstone)


def _text(value: bytes | None) -> str:
    """Return bytes as text; what is no UTF-8 is escaped."""
    return "" if value is None else value.decode("utf-8", "backslashreplace")


def compacted_topics(spec: ClusterSpec) -> tuple[str, ...]:
    """Return the topics that refuse records without keys."""
    broker = Configs.of(spec.properties, spec.profile)
    policies = {topic.name: broker.for_topic(topic.configs).text("log.cleanup.policy") for topic in spec.topics}
    return tuple(name for name, policy in policies.items() if "compact" in policy.split(","))
