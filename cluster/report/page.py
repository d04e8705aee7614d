"""The report of a command's runs: one HTML file that works offline, in light and in dark, on a wall and on a phone.

Here: what of a run goes on the page. A run is boiled down as soon as it ends, so that its trace need not be kept until
the last variant has run. Not here: where things go (`chart_page`, `lane_page`, `lamport_page`), or the markup and the
style (`templates`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cluster.base.ids import TopicPartition
from cluster.base.trace import NodeStarted, RecordAcknowledged, Traced
from cluster.report.chart_page import ClientPanel, Tick, client_panel, time_ticks
from cluster.report.client_points import client_points
from cluster.report.fault_bands import FaultBand, fault_bands
from cluster.report.lamport import Subject, draw_second
from cluster.report.lamport_page import PlacedDiagram, place_diagram
from cluster.report.lamport_words import told_targets
from cluster.report.lane_page import PlacedPartition, place_partition
from cluster.report.leader_gaps import LeaderGap, leader_gaps
from cluster.report.replica_lanes import lane_moments
from cluster.report.result import Anomaly, CheckResult, RunResult, Sighting
from cluster.report.run_clock import RunClock
from cluster.report.terminal import told_anomalies

DIAGRAMS_MAX = 4
PARTITIONS_MAX = 4
"""Drawings of one run; a page that nobody can scroll through teaches nobody."""

_FELLING = ("kill", "stop", "power-off", "isolate", "partition", "pause")
"""Faults that say more about a cluster than a slow link does."""

_US_PER_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Chapter:
    """One turn of a story: what happened, and when, in seconds."""

    text: str
    at: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """All that the page shows of one run."""

    name: str
    result: RunResult
    end_s: float
    heal_s: float
    bands: tuple[FaultBand, ...]
    gaps: tuple[LeaderGap, ...]
    ticks: tuple[Tick, ...]
    clients: tuple[ClientPanel, ...]
    partitions: tuple[PlacedPartition, ...]
    partitions_hidden: int
    diagrams: tuple[PlacedDiagram, ...]
    diagrams_hidden: int
    anomalies: tuple[Anomaly, ...]
    story_of: str
    chapters: tuple[Chapter, ...]

    def percent(self, at_s: float) -> float:
        """Where a time stands on the axis of the whole run."""
        return round(100 * min(max(at_s / self.end_s, 0.0), 1.0), 3)


def boil_down(result: RunResult, scenario: Mapping[str, Any], trace: Sequence[Traced]) -> RunPage:
    """Return what the page shows of a run. `scenario` is the resolved scenario in the words of the language."""
    clock = RunClock.of(trace)
    topics: Mapping[str, Any] = scenario.get("cluster", {}).get("topics", {})
    notes = {step["id"]: _words(step) for step in scenario.get("steps", ())}
    bands = fault_bands(trace, clock, notes)
    names = {event.node_id: traced.node for traced in trace if isinstance(event := traced.event, NodeStarted)}
    partitions = _partitions(result, topics)
    moments = lane_moments(trace, clock, partitions[:PARTITIONS_MAX])
    clients = client_points(trace, clock)
    subjects = _subjects(result, bands)
    story_of, chapters = _story(result.story)
    diagrams = [
        place_diagram(
            draw_second(trace, clock, _subject(trace, clock, sighting, partitions), tuple(scenario["clients"]), names),
            heading,
            about,
        )
        for heading, about, sighting in subjects[:DIAGRAMS_MAX]
    ]
    return RunPage(
        name=result.variant or "as written",
        result=result,
        end_s=clock.end_s,
        heal_s=clock.seconds(clock.heal_us),
        bands=bands,
        gaps=leader_gaps(trace, clock, tuple(topics)),
        ticks=time_ticks(clock.end_s),
        clients=tuple(client_panel(client, clock.end_s) for client in clients),
        partitions=tuple(place_partition(partition, found) for partition, found in moments.items() if found),
        partitions_hidden=max(0, len(partitions) - PARTITIONS_MAX),
        diagrams=tuple(diagram for diagram in diagrams if diagram.rows),
        diagrams_hidden=max(0, len(subjects) - DIAGRAMS_MAX),
        anomalies=tuple(told_anomalies(result.anomalies)),
        story_of=story_of,
        chapters=chapters,
    )


def _words(step: Mapping[str, Any]) -> str:
    """What a scenario says of a step: which link it is about, whose ends the trace names in one row, and its note."""
    links = [value for value in step.values() if isinstance(value, str) and " -> " in value]
    return " · ".join(text for text in (*links, step.get("note", "")) if text)


def render_page(scenario: Mapping[str, Any], runs: Sequence[RunPage]) -> str:
    """Return the HTML of the runs of one scenario. All text of users is escaped."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = _seconds
    environment.filters["names"] = told_targets
    rows = [(check, [_same(run.result, check) for run in runs]) for check in _all_checks(runs)]
    return environment.get_template("report.html").render(
        scenario=scenario,
        lesson=_lesson(scenario),
        runs=runs,
        rows=rows,
        first=runs[0].result,
        is_all_expected=all(run.result.verdict == "as-expected" for run in runs),
        style=Markup(_template("report.css")),
        script=Markup(_template("report.js")),
    )


def _lesson(scenario: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The words of a lesson, every key there; None when the scenario teaches nothing."""
    lesson = scenario.get("lesson")
    keys = ("teaches", "predict", "choices", "answer", "observe", "explains", "in-production", "read")
    return {key: lesson.get(key) for key in keys} if lesson else None


def _template(name: str) -> str:
    return files("cluster.report").joinpath("templates", name).read_text(encoding="utf-8")


def _seconds(value: float) -> str:
    return f"{value:.3f} s"


def _all_checks(runs: Sequence[RunPage]) -> list[CheckResult]:
    """Every check that any run had, once; a variant may have added some."""
    found: dict[str, CheckResult] = {}
    for run in runs:
        for check in run.result.checks:
            found.setdefault(check.id, check)
    return list(found.values())


def _same(result: RunResult, wanted: CheckResult) -> CheckResult | None:
    return next((check for check in result.checks if check.id == wanted.id), None)


def _partitions(result: RunResult, topics: Mapping[str, Any]) -> list[TopicPartition]:
    """Every partition of the scenario's topics, those that a violation names first."""
    named = [sighting.partition for check in result.checks for sighting in check.sightings]
    every = [
        TopicPartition(name, number) for name, topic in topics.items() for number in range(topic.get("partitions", 1))
    ]
    return sorted(every, key=lambda partition: str(partition) not in named)


def _subjects(result: RunResult, bands: Sequence[FaultBand]) -> list[tuple[str, str, Sighting]]:
    """What diagrams are drawn of: each second with a violation, or the first fault when nothing was violated."""
    found: list[tuple[str, str, Sighting]] = []
    for check in result.checks:
        groups: list[list[Sighting]] = []
        for sighting in sorted(check.sightings, key=lambda sighting: sighting.at_s):
            if groups and sighting.at_s - groups[-1][0].at_s < 1.0:
                groups[-1].append(sighting)
            else:
                groups.append([sighting])
        for group in groups:
            others = f", and {len(group) - 1} more in this second" if len(group) > 1 else ""
            record = f" by {group[0].value}" if group[0].value else ""
            found.append((f"{check.id} is violated{record}{others}", check.statement, group[0]))
    if found:
        return found
    broken = [band for band in bands if not band.is_moment]
    felled = [band for band in broken if band.action in _FELLING] or broken
    return [
        (f"{band.step}: {band.action} {told_targets(band.targets)}", "no check was violated", Sighting(band.begin_s))
        for band in felled[:1]
    ]


def _subject(
    trace: Sequence[Traced], clock: RunClock, sighting: Sighting, partitions: Sequence[TopicPartition]
) -> Subject:
    """A sighting's moment and record; without one, the record that was acknowledged last before it."""
    at_us = clock.start_us + round(sighting.at_s * _US_PER_SECOND)
    if sighting.partition and sighting.offset >= 0:
        return Subject(at_us, TopicPartition.parse(sighting.partition), sighting.offset, sighting.value)
    wanted = [TopicPartition.parse(sighting.partition)] if sighting.partition else list(partitions[:1])
    last: RecordAcknowledged | None = None
    for traced in trace:
        if traced.time_us > at_us:
            break
        event = traced.event
        if isinstance(event, RecordAcknowledged) and (event.topic, event.partition) in wanted and event.offset >= 0:
            last = event
    if last is None:
        return Subject(at_us, wanted[0] if wanted else None)
    return Subject(at_us, TopicPartition(last.topic, last.partition), last.offset, last.value)


def _story(text: str) -> tuple[str, tuple[Chapter, ...]]:
    """Take a story apart again: a heading, then turns that end with a number of seconds."""
    heading, colon, told = text.partition("): ")
    if not colon:
        return "", (Chapter(text, ""),) if text else ()
    chapters: list[Chapter] = []
    for turn in told.split(" · "):
        words, _, at = turn.rpartition(" ")
        is_time = at.replace(".", "", 1).replace("-", "", 1).isdigit()
        chapters.append(Chapter(words.removesuffix(" at") if is_time else turn, f"{at} s" if is_time else ""))
    return f"{heading.removeprefix('story of ')})", tuple(chapters)
