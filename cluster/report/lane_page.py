"""Where the logs of replicas go: each lane a bar of segments along an axis of offsets, in percent.

Not here: what the lanes hold (`replica_lanes`), how offsets are folded (`offset_axis`), or the markup (`templates`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.ids import TopicPartition
from cluster.report.chart_page import Tick
from cluster.report.offset_axis import OffsetAxis, Stretch
from cluster.report.replica_lanes import Lane, LaneMoment, Segment

EPOCH_COLOURS = 6
"""Colours that epochs take in turn; the label in a segment tells two of one colour apart."""

_TICK_DISTANCE = 9.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a lane, in percent."""

    left: float
    width: float
    epoch: int
    colour: int
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class PlacedLane:
    """One replica at one moment."""

    node: str
    role: str
    facts: str
    bars: tuple[Bar, ...]
    cuts: tuple[Bar, ...]
    high_watermark: float
    is_down: bool


@dataclass(frozen=True, slots=True)
class PlacedMoment:
    """All replicas at one moment."""

    at_s: float
    captions: tuple[str, ...]
    lanes: tuple[PlacedLane, ...]


@dataclass(frozen=True, slots=True)
class PlacedPartition:
    """One partition's lanes over its moments, on one axis."""

    name: str
    moments: tuple[PlacedMoment, ...]
    ticks: tuple[Tick, ...]
    folds: tuple[Stretch, ...]
    epochs: tuple[tuple[int, int], ...]

    @property
    def has_cuts(self) -> bool:
        """Whether any replica lost anything."""
        return any(lane.cuts for moment in self.moments for lane in moment.lanes)


def place_partition(partition: TopicPartition, moments: tuple[LaneMoment, ...]) -> PlacedPartition:
    """Return a partition's lanes with everything in its place."""
    end = max((lane.log_end_offset for moment in moments for lane in moment.lanes), default=0)
    cut_ends = [cut.end for moment in moments for lane in moment.lanes for cut in lane.cut]
    boundaries = _boundaries(moments)
    axis = OffsetAxis.around(boundaries, max(end, *cut_ends, 0) if cut_ends else end)
    epochs = sorted({segment.epoch for moment in moments for lane in moment.lanes for segment in lane.segments})
    return PlacedPartition(
        name=str(partition),
        moments=tuple(
            PlacedMoment(moment.at_s, moment.captions, tuple(_lane(lane, axis) for lane in moment.lanes))
            for moment in moments
        ),
        ticks=_ticks(boundaries, end, axis),
        folds=tuple(stretch for stretch in axis.stretches if stretch.is_folded),
        epochs=tuple((epoch, epoch % EPOCH_COLOURS) for epoch in epochs),
    )


def _boundaries(moments: tuple[LaneMoment, ...]) -> list[int]:
    """Offsets worth seeing to scale: where an epoch begins, where a tail was cut, where replicas differ in length."""
    found = [0]
    for moment in moments:
        ends = [lane.log_end_offset for lane in moment.lanes]
        if len(dict.fromkeys(ends)) > 1:
            found += ends
        for lane in moment.lanes:
            found += [segment.start for segment in lane.segments]
            found += [offset for cut in lane.cut for offset in (cut.start, cut.end)]
    return list(dict.fromkeys(found))


def _ticks(boundaries: list[int], end: int, axis: OffsetAxis) -> tuple[Tick, ...]:
    """Label boundaries from left to right, leaving out what would stand on the label before."""
    ticks: list[Tick] = []
    for offset in sorted(dict.fromkeys((*boundaries, end))):
        place = axis.place(offset)
        if not ticks or place - ticks[-1].place >= _TICK_DISTANCE:
            ticks.append(Tick(place, str(offset)))
    return tuple(ticks)


def _lane(lane: Lane, axis: OffsetAxis) -> PlacedLane:
    is_down = lane.role in ("killed", "stopped", "powered-off", "paused")
    facts = f"{lane.log_end_offset} records · high watermark {lane.high_watermark}"
    return PlacedLane(
        node=lane.node,
        role=f"{lane.role}{', in the ISR' if lane.is_in_isr else ', not in the ISR'}",
        facts=facts,
        bars=tuple(_bar(segment, axis, lane.node) for segment in lane.segments),
        cuts=tuple(_bar(segment, axis, f"{lane.node} cut", is_cut=True) for segment in lane.cut),
        high_watermark=axis.place(lane.high_watermark),
        is_down=is_down,
    )


def _bar(segment: Segment, axis: OffsetAxis, whose: str, *, is_cut: bool = False) -> Bar:
    left, right = axis.place(segment.start), axis.place(segment.end)
    span = f"{segment.start} to {segment.end - 1}"
    label = f"cut: {span}" if is_cut else f"epoch {segment.epoch}"
    title = f"{whose}: offsets {span}, epoch {segment.epoch}"
    return Bar(left, round(right - left, 3), segment.epoch, segment.epoch % EPOCH_COLOURS, label, title)
