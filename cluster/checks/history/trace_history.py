"""From the trace of a scenario to a history, so that every run is judged by the code that judges any other client.

Here: the fold. A record that a workload sends is a send; what a consumer is given at one moment is one poll, which
began when its last one ended. Not here: the format (`operations`).
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    ConsumerPlaced,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    Traced,
)
from cluster.checks.history.operations import FAIL, OK, UNKNOWN, Operation, Value

_OUTCOMES = {RecordAcknowledged.kind: OK, RecordFailed.kind: FAIL, RecordUnknown.kind: UNKNOWN}


def history_of(trace: Iterable[Traced]) -> list[Operation]:
    """Return the operations of a trace's clients, in the order in which they ended; open ones last."""
    fold = _Fold()
    for traced in trace:
        fold.on_event(traced)
    return fold.finish()


class _Fold:
    def __init__(self) -> None:
        self._done: list[Operation] = []
        self._open: dict[tuple[str, str, str], Operation] = {}
        self._polls: dict[str, _Poll] = {}
        self._free_us: dict[str, int] = {}
        self._keys: dict[tuple[str, int], str] = {}
        self._number = 0

    def on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, RecordConsumed):
            self._consumed(traced, event)
        elif isinstance(event, RecordSent):
            key = self._key(event.topic, event.partition)
            sent = self._begin(traced.node, "send", traced.time_us)
            sent.sends = ((key, event.value, -1),)
            if event.key:
                sent.record_keys = (event.key,)
                sent.tombstones = (event.value,) if event.tombstone else ()
            self._open[(traced.node, key, event.value)] = sent
        elif isinstance(event, RecordAcknowledged | RecordFailed | RecordUnknown):
            self._told(traced, event)
        elif isinstance(event, ConsumerPlaced):
            self._flush(traced.node)
            placed = self._begin(traced.node, "subscribe" if event.by_group else "assign", traced.time_us)
            placed.outcome = OK
            self._done.append(placed)
            self._free_us[traced.node] = traced.time_us

    def finish(self) -> list[Operation]:
        """Return everything; a send that was never answered stays open."""
        for node in list(self._polls):
            self._flush(node)
        for sent in self._open.values():
            sent.is_open = True
        return [*self._done, *self._open.values()]

    def _told(self, traced: Traced, event: RecordAcknowledged | RecordFailed | RecordUnknown) -> None:
        key = self._key(event.topic, event.partition)
        sent = self._open.pop((traced.node, key, event.value), None)
        if sent is None:
            return  # a record that no workload sent
        sent.outcome, sent.ended_us = _OUTCOMES[event.kind], traced.time_us
        if isinstance(event, RecordAcknowledged):
            sent.sends = ((key, event.value, event.offset),)
        self._done.append(sent)

    def _consumed(self, traced: Traced, event: RecordConsumed) -> None:
        poll = self._polls.get(traced.node)
        if poll is None or poll.time_us != traced.time_us or poll.final != event.final:
            self._flush(traced.node)
            poll = self._polls[traced.node] = _Poll(traced.time_us, event.final)
        poll.records.setdefault(self._key(event.topic, event.partition), []).append((event.offset, event.value))

    def _flush(self, node: str) -> None:
        poll = self._polls.pop(node, None)
        if poll is None:
            return
        operation = self._begin(node, "poll", self._free_us.get(node, poll.time_us))
        operation.outcome, operation.ended_us, operation.final = OK, poll.time_us, poll.final
        operation.polls = tuple([(key, tuple(records)) for key, records in poll.records.items()])
        self._done.append(operation)
        self._free_us[node] = poll.time_us

    def _begin(self, node: str, name: str, time_us: int) -> Operation:
        self._number += 1
        return Operation(self._number, node, name, UNKNOWN, time_us, time_us)

    def _key(self, topic: str, partition: int) -> str:
        key = self._keys.get((topic, partition))
        if key is None:
            key = self._keys[(topic, partition)] = str(TopicPartition(topic, partition))
        return key


class _Poll:
    """What one consumer was given at one moment."""

    __slots__ = ("final", "records", "time_us")

    def __init__(self, time_us: int, final: bool) -> None:
        self.time_us = time_us
        self.final = final
        self.records: dict[str, list[tuple[int, Value]]] = {}
