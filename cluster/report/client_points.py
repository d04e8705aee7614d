"""What clients felt: the latency of every acknowledgement, and how many records went through in each second.

Here: a fold over the trace into points that fit a drawing. Times are seconds since the faults began, latencies
milliseconds. Not here: how they are drawn (`page`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.base.trace import RecordAcknowledged, RecordConsumed, RecordFailed, RecordSent, RecordUnknown, Traced
from cluster.report.run_clock import RunClock


@dataclass(slots=True)
class ClientPoints:
    """One client. `latencies` are (when it was acknowledged, milliseconds since it was sent)."""

    name: str
    latencies: list[tuple[float, float]] = field(default_factory=list)
    failed_s: list[float] = field(default_factory=list)
    unknown_s: list[float] = field(default_factory=list)
    acked_per_second: dict[int, int] = field(default_factory=dict)
    consumed_per_second: dict[int, int] = field(default_factory=dict)
    sent: int = 0
    consumed: int = 0

    @property
    def is_producer(self) -> bool:
        """Whether it sent anything."""
        return self.sent > 0


def client_points(trace: Iterable[Traced], clock: RunClock) -> tuple[ClientPoints, ...]:
    """Return every client that did something, by name; what reads back at the end is no client."""
    fold = _Fold(clock)
    for traced in trace:
        fold.on_event(traced)
    return tuple(fold.clients[name] for name in sorted(fold.clients))


class _Fold:
    def __init__(self, clock: RunClock) -> None:
        self.clients: dict[str, ClientPoints] = {}
        self._clock = clock
        self._sent_us: dict[tuple[str, str], int] = {}

    def on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, RecordSent):
            self._client(traced.node).sent += 1
            self._sent_us[(traced.node, event.value)] = traced.time_us
        elif isinstance(event, RecordAcknowledged):
            client = self._client(traced.node)
            at_s = self._clock.seconds(traced.time_us)
            _count(client.acked_per_second, at_s)
            sent_us = self._sent_us.pop((traced.node, event.value), None)
            if sent_us is not None:
                client.latencies.append((at_s, (traced.time_us - sent_us) / 1000))
        elif isinstance(event, RecordFailed):
            self._client(traced.node).failed_s.append(self._clock.seconds(traced.time_us))
        elif isinstance(event, RecordUnknown):
            self._client(traced.node).unknown_s.append(self._clock.seconds(traced.time_us))
        elif isinstance(event, RecordConsumed) and not event.final:
            client = self._client(traced.node)
            client.consumed += 1
            _count(client.consumed_per_second, self._clock.seconds(traced.time_us))

    def _client(self, name: str) -> ClientPoints:
        client = self.clients.get(name)
        if client is None:
            client = self.clients[name] = ClientPoints(name)
        return client


def _count(per_second: dict[int, int], at_s: float) -> None:
    second = int(at_s)
    per_second[second] = per_second.get(second, 0) + 1
