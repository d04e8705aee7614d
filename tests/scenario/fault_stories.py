"""A small cluster to break, in the simulation or as processes, and what its trace says of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cluster.base.trace import NodeFaulted, RecordAcknowledged, RecordConsumed, RecordSent, Traced, TraceEvent
from cluster.scenario import Lab, Run, read_document, run_story

Story = Callable[[Lab], Awaitable[None]]

DOCUMENT = """
lab: v1
name: story
duration: 60s
cluster:
  brokers: 3
  controllers: 1
  profile: fast
  topics: {orders: {partitions: 1, replication-factor: 3, config: {min.insync.replicas: 2}}}
clients: {p1: {produce: orders, rate: 50/s}}
"""

SEGMENT = "orders-0/00000000000000000000.log"
SYNCED = "{orders: {partitions: 1, replication-factor: 1, config: {flush.messages: 1}}}"


def tell(story: Story, *, on: Any = "sim", seed: int = 1, **changes: str) -> Run:
    """Run a story; `changes` replace parts of the document by other text."""
    logging.disable(logging.CRITICAL)  # lost connections are the point of the exercise
    try:
        text = DOCUMENT
        for written, instead in _pairs(changes):
            assert written in text
            text = text.replace(written, instead)
        return run_story(read_document(text), story, on=on, seed=seed)
    finally:
        logging.disable(logging.NOTSET)


_PARTS = {
    "clients": "clients: {p1: {produce: orders, rate: 50/s}}",
    "topics": "topics: {orders: {partitions: 1, replication-factor: 3, config: {min.insync.replicas: 2}}}",
    "brokers": "brokers: 3",
    "controllers": "controllers: 1",
}


def _pairs(changes: dict[str, str]) -> Sequence[tuple[str, str]]:
    return [(_PARTS[name], f"{name}: {value}") for name, value in changes.items()]


def events(run: Run, kind: type[TraceEvent], node: str | None = None) -> list[Traced]:
    return [traced for traced in run.trace if isinstance(traced.event, kind) and node in (None, traced.node)]


def states(run: Run, name: str) -> list[str]:
    """What the lab did to a node."""
    told = [traced.event for traced in events(run, NodeFaulted)]
    return [event.state for event in told if isinstance(event, NodeFaulted) and event.target == name]


def between(traced: Sequence[Traced], start_us: int, end_us: int) -> list[Traced]:
    return [one for one in traced if start_us <= one.time_us < end_us]


def ack_delays_ms(run: Run, start_us: int, end_us: int) -> list[float]:
    """How long records that were sent in a stretch of time waited for their acknowledgement."""
    sent = {
        traced.event.value: traced.time_us
        for traced in between(events(run, RecordSent, "p1"), start_us, end_us)
        if isinstance(traced.event, RecordSent)
    }
    return [
        (traced.time_us - sent[traced.event.value]) / 1000
        for traced in events(run, RecordAcknowledged)
        if isinstance(traced.event, RecordAcknowledged) and traced.event.value in sent
    ]


def consumed(run: Run, start_us: int, end_us: int) -> int:
    """Records that the consumer r1 was given in a stretch of time."""
    return len(between(events(run, RecordConsumed, "r1"), start_us, end_us))


def assert_recovered(run: Run) -> None:
    assert run.result.verdict == "as-expected", run.result
    assert run.result.lost == 0
