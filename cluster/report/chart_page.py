"""Where the points of latency and throughput go: path data on a plane of 1000 by 100 that stretches to any width.

Points are zero-length strokes with round caps, a few bytes each, and two that would cover each other are one: a run of
a million records draws no more of them than there are places. Not here: the numbers (`client_points`) or the markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log10

from cluster.report.client_points import ClientPoints

WIDTH = 1000
HEIGHT = 100
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 3600)
_TICKS_MAX = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, percent along it."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class ClientPanel:
    """One client's drawings. `latency`, `failed` and `unknown` are paths of points, `rate` and the like of areas."""

    name: str
    summary: str
    latency: str
    latency_ticks: tuple[Tick, ...]
    failed: str
    unknown: str
    rate: str
    rate_max: int
    rate_of: str


def time_ticks(end_s: float) -> tuple[Tick, ...]:
    """Return round seconds along an axis from 0 to the end."""
    step = next((step for step in _STEPS_S if end_s / step <= _TICKS_MAX), _STEPS_S[-1])
    return tuple(Tick(round(100 * at / end_s, 3), f"{at} s") for at in range(0, ceil(end_s), step))


def client_panel(client: ClientPoints, end_s: float) -> ClientPanel:
    """Return the drawings of one client."""
    scale = _LatencyScale.of([latency for _, latency in client.latencies])
    per_second = client.acked_per_second if client.is_producer else client.consumed_per_second
    rate_max = max(per_second.values(), default=0)
    return ClientPanel(
        name=client.name,
        summary=_summary(client),
        latency=_points((_x(at_s, end_s), scale.y(latency)) for at_s, latency in client.latencies),
        latency_ticks=scale.ticks() if client.latencies else (),
        failed=_crosses(client.failed_s, end_s),
        unknown=_crosses(client.unknown_s, end_s),
        rate=_area(per_second, rate_max, end_s),
        rate_max=rate_max,
        rate_of="acknowledged" if client.is_producer else "consumed",
    )


def _summary(client: ClientPoints) -> str:
    if not client.is_producer:
        return f"consumed {client.consumed}"
    parts = [f"sent {client.sent}", f"acknowledged {sum(client.acked_per_second.values())}"]
    parts += [f"failed {len(client.failed_s)}"] if client.failed_s else []
    parts += [f"unknown {len(client.unknown_s)}"] if client.unknown_s else []
    if client.latencies:
        ordered = sorted(latency for _, latency in client.latencies)
        middle, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        parts.append(
            f"latency p50 {_milliseconds(middle)}, p99 {_milliseconds(late)}, max {_milliseconds(ordered[-1])}"
        )
    return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class _LatencyScale:
    """A logarithmic axis over whole decades of milliseconds."""

    low: int
    high: int

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> _LatencyScale:
        floor = max(min(latencies_ms, default=1.0), 0.01)
        ceiling = max(max(latencies_ms, default=1.0), floor)
        low = int(log10(floor) // 1)
        return cls(low, max(ceil(log10(ceiling)), low + 1))

    def y(self, latency_ms: float) -> float:
        share = (log10(max(latency_ms, 0.01)) - self.low) / (self.high - self.low)
        return HEIGHT * (1 - min(max(share, 0.0), 1.0))

    def ticks(self) -> tuple[Tick, ...]:
        powers = range(self.low, self.high + 1)
        return tuple(Tick(round(self.y(10.0**power), 2), _milliseconds(10.0**power)) for power in powers)


def _milliseconds(value_ms: float) -> str:
    if value_ms >= 1000:
        return f"{value_ms / 1000:.3g} s"
    return f"{value_ms:.3g} ms" if value_ms >= 0.1 else f"{value_ms * 1000:.3g} µs"


def _x(at_s: float, end_s: float) -> float:
    return WIDTH * min(max(at_s / end_s, 0.0), 1.0)


def _points(places: Iterable[tuple[float, float]]) -> str:
    grid = dict.fromkeys((round(x), round(y)) for x, y in places)
    return "".join(f"M{x} {y}h0" for x, y in grid)


def _crosses(times_s: Iterable[float], end_s: float) -> str:
    """A stroke through the whole height: what failed has no latency to be placed at."""
    grid = dict.fromkeys(round(_x(at_s, end_s)) for at_s in times_s)
    return "".join(f"M{x} 0V{HEIGHT}" for x in grid)


def _area(per_second: dict[int, int], top: int, end_s: float) -> str:
    if not top:
        return ""
    steps = [f"M0 {HEIGHT}"]
    for second in range(ceil(end_s)):
        y = HEIGHT * (1 - per_second.get(second, 0) / top)
        steps.append(f"V{y:.1f}H{_x(second + 1, end_s):.1f}")
    return "".join((*steps, f"V{HEIGHT}Z"))
