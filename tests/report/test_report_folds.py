"""What the report says happened, on small histories whose truth is plain."""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    FollowerProgressed,
    HighWatermarkAdvanced,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    PhaseBegan,
    RecordAcknowledged,
    RecordSent,
    StepEnded,
    StepFired,
    Traced,
    TraceEvent,
)
from cluster.report.chart_page import client_panel
from cluster.report.client_points import client_points
from cluster.report.fault_bands import fault_bands
from cluster.report.lamport import Subject, draw_second
from cluster.report.lamport_page import place_diagram
from cluster.report.leader_gaps import leader_gaps
from cluster.report.offset_axis import OffsetAxis
from cluster.report.replica_lanes import Segment, lane_moments
from cluster.report.run_clock import RunClock

ORDERS = TopicPartition("orders", 0)


def at(seconds: float, node: str, event: TraceEvent) -> Traced:
    return Traced(round(seconds * 1e6), node, event)


def metadata(leader: int, epoch: int, isr: tuple[int, ...]) -> PartitionMetadataApplied:
    return PartitionMetadataApplied("orders", 0, leader, epoch, epoch, (1, 2), isr, (), epoch)


HISTORY = [
    at(0, "b1", NodeStarted(1, ("broker",))),
    at(0, "b2", NodeStarted(2, ("broker",))),
    at(0.5, "b1", metadata(1, 0, (1, 2))),
    at(0.5, "b1", PartitionRoleChanged("orders", 0, "leader", 0, 0, 0)),
    at(0.5, "b2", PartitionRoleChanged("orders", 0, "follower", 0, 0, 0)),
    at(1, "lab", PhaseBegan("faults")),
    at(1.100, "p1", RecordSent("orders", 0, "p1-0")),
    at(1.101, "b1", BatchAppended("orders", 0, "leader", 0, 0, 0)),
    at(1.102, "b2", BatchAppended("orders", 0, "follower", 0, 0, 0)),
    at(1.103, "b1", FollowerProgressed("orders", 0, 2, 1, 0)),
    at(1.104, "b1", HighWatermarkAdvanced("orders", 0, "leader", 1, 0)),
    at(1.105, "p1", RecordAcknowledged("orders", 0, "p1-0", 0)),
    at(1.200, "p1", RecordSent("orders", 0, "p1-1")),
    at(1.201, "b1", BatchAppended("orders", 0, "leader", 1, 1, 0)),
    at(1.203, "p1", RecordAcknowledged("orders", 0, "p1-1", 1)),
    at(2, "lab", StepFired("crash", "kill", ("b1",))),
    at(2, "lab", NodeFaulted("b1", "killed")),
    at(5, "b2", metadata(2, 1, (2,))),
    at(5, "b2", PartitionRoleChanged("orders", 0, "leader", 1, 1, 0)),
    at(5.5, "b2", BatchAppended("orders", 0, "leader", 1, 1, 1)),
    at(8, "lab", NodeFaulted("b1", "started")),
    at(8, "lab", StepEnded("crash", "healed")),
    at(9, "b1", LogTruncated("orders", 0, 2, 1, 1)),
    at(9.1, "b1", BatchAppended("orders", 0, "follower", 1, 1, 1)),
    at(11, "lab", PhaseBegan("heal")),
    at(12, "lab", PhaseBegan("end")),
]
CLOCK = RunClock.of(HISTORY)
NAMES = {1: "b1", 2: "b2"}


def test_a_fault_lasts_until_it_is_healed() -> None:
    (band,) = fault_bands(HISTORY, CLOCK, {"crash": "why"})
    assert (band.begin_s, band.end_s, band.targets, band.note) == (1.0, 7.0, ("b1",), "why")
    unhealed = [traced for traced in HISTORY if not isinstance(traced.event, StepEnded)]
    assert fault_bands(unhealed, CLOCK, {})[0].end_s == 10.0, "the heal of the run ends it"


def test_there_is_no_leader_from_the_crash_to_the_next_election() -> None:
    (gap,) = leader_gaps(HISTORY, CLOCK, ["orders"])
    assert (gap.partition, gap.begin_s, gap.end_s) == ("orders-0", 1.0, 4.0)
    assert leader_gaps(HISTORY, CLOCK, ["payments"]) == ()


def test_latency_is_from_sending_to_acknowledgement() -> None:
    (client,) = client_points(HISTORY, CLOCK)
    assert [round(latency, 3) for _, latency in client.latencies] == [5.0, 3.0]
    assert client.acked_per_second == {0: 2}
    panel = client_panel(client, CLOCK.end_s)
    assert panel.latency.count("M") == 2
    assert "p50 5 ms" in panel.summary


def test_the_lanes_show_what_a_returning_leader_cut() -> None:
    moments = lane_moments(HISTORY, CLOCK, [ORDERS])[ORDERS]
    by_caption = {caption: moment for moment in moments for caption in moment.captions}
    killed = by_caption["b1 killed"]
    assert [(lane.node, lane.log_end_offset) for lane in killed.lanes] == [("b1", 2), ("b2", 1)]
    cut = by_caption["b1 cuts offset 1"].lanes[0]
    assert cut.cut == (Segment(1, 2, 0),)
    assert cut.segments == (Segment(0, 1, 0),)
    end = moments[-1]
    assert end.lanes[0].segments == (Segment(0, 1, 0), Segment(1, 2, 1))
    assert end.lanes[0].cut == (), "what was cut is told once"


def test_what_the_power_took_is_shown_when_the_replica_comes_back() -> None:
    history = [*HISTORY[:-2], at(9.5, "b2", PartitionRoleChanged("orders", 0, "leader", 2, 0, 0)), *HISTORY[-2:]]
    captions = [text for moment in lane_moments(history, CLOCK, [ORDERS])[ORDERS] for text in moment.captions]
    assert "b2 came back without offsets 0 to 1" in captions


def test_the_axis_shows_a_small_loss_in_a_long_log() -> None:
    axis = OffsetAxis.around([0, 491, 500], 3000)
    assert axis.place(500) - axis.place(491) > 5, "nine of three thousand would be 0.3 percent"
    places = [axis.place(offset) for offset in range(3001)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0.0, 100.0)
    assert OffsetAxis.around([], 0).place(0) == 0.0


def test_the_diagram_joins_what_cannot_have_happened_without_each_other() -> None:
    subject = Subject(1_105_000, ORDERS, 0, "p1-0")
    diagram = draw_second(HISTORY, CLOCK, subject, ["p1"], NAMES)
    told = [(row.lane, row.title) for row in diagram.rows]
    messages = [(told[arrow.source], told[arrow.target]) for arrow in diagram.arrows]
    assert messages == [
        (("p1", "sends"), ("b1", "appends 0")),
        (("b1", "appends 0"), ("b2", "appends 0")),
        (("b2", "appends 0"), ("b1", "knows b2 has it")),
        (("b1", "high watermark 1"), ("p1", "is told: stored")),
    ]
    assert diagram.lanes == ("p1", "b1", "b2")


def test_the_diagram_follows_a_lost_record_to_the_cut_and_never_joins_it_to_its_successor() -> None:
    diagram = draw_second(HISTORY, CLOCK, Subject(1_203_000, ORDERS, 1, "p1-1"), ["p1"], NAMES)
    told = [(row.lane, row.title) for row in diagram.rows]
    assert ("b1", "cuts 1 record") in told
    messages = [(told[arrow.source], told[arrow.target]) for arrow in diagram.arrows]
    assert (("p1", "sends"), ("b1", "appends 1")) in messages
    successor = next(index for index, row in enumerate(diagram.rows) if row.lane == "b2" and "appends" in row.title)
    assert all(arrow.target != successor for arrow in diagram.arrows), "another record was given that offset"


def test_the_diagram_does_not_take_another_partitions_fate_for_the_records() -> None:
    elsewhere = [
        at(5.2, "b2", PartitionRoleChanged("orders", 1, "leader", 7, 1, 0)),
        at(5.3, "b1", LogTruncated("orders", 1, 9, 0, 7)),
    ]
    history = sorted([*HISTORY, *elsewhere], key=lambda traced: traced.time_us)
    subject = Subject(1_203_000, ORDERS, 1, "p1-1")
    assert draw_second(history, CLOCK, subject, ["p1"], NAMES) == draw_second(HISTORY, CLOCK, subject, ["p1"], NAMES)


def test_a_diagram_of_no_events_has_no_size() -> None:
    diagram = draw_second([], RunClock(0, 0, 0), Subject(0), [], {})
    assert place_diagram(diagram, "nothing", "").height == 0
