"""A trace event in a few words, as a row of a Lamport diagram has room for.

Here: one sentence for each kind of event that a reader meets; an event without a sentence is told by its name and its
fields, so that a new one is never invisible. Not here: which events are shown (`lamport`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from cluster.base.ids import NO_NODE
from cluster.base.trace import (
    BatchAppended,
    BrokerStateChanged,
    ControllerActivated,
    ControllerResigned,
    FollowerProgressed,
    HighWatermarkAdvanced,
    IsrChangeAnswered,
    IsrChangeRequested,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    NodeStopped,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RaftRoleChanged,
    RaftVoted,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    ReplicaFenced,
    StepEnded,
    StepFired,
    Traced,
)
from cluster.base.transaction_trace import (
    TransactionDecided,
    TransactionEnded,
    TransactionResolved,
    TransactionStateChanged,
)

Names = Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What a row says. `tone` is one of: empty, lab, bad, good, control."""

    title: str
    detail: str = ""
    tone: str = ""


def words_of(traced: Traced, names: Names) -> Words:
    """Return the words of one event."""
    tell = _TELLERS.get(traced.event.kind)
    if tell is not None:
        return tell(traced.event, names)
    event: Any = traced.event
    told = ", ".join(f"{field.name.replace('_', ' ')} {getattr(event, field.name)}" for field in fields(event))
    return Words(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", traced.event.kind).lower(), told)


def told_targets(targets: Sequence[str]) -> str:
    """Return the targets of a step as people read them; the sides of a partition (`cut:b1`) one after the other."""
    if not targets or not all(":" in target for target in targets):
        return ", ".join(targets)
    sides: dict[str, list[str]] = {}
    for target in targets:
        side, _, name = target.partition(":")
        sides.setdefault(side, []).append(name)
    return " | ".join(f"{side}: {', '.join(members)}" for side, members in sides.items())


def _who(names: Names, number: int) -> str:
    return "nobody" if number == NO_NODE else names.get(number, str(number))


def _appended(event: Any, _: Names) -> Words:
    span = f"{event.base_offset}" + ("" if event.last_offset == event.base_offset else f"–{event.last_offset}")
    how = "as leader" if event.role == "leader" else "a copy"
    return Words(f"appends {span}", f"{how}, epoch {event.leader_epoch}")


def _metadata(event: Any, names: Names) -> Words:
    isr = ", ".join(_who(names, number) for number in event.isr) or "nobody"
    return Words(f"learns leader {_who(names, event.leader)}", f"epoch {event.leader_epoch}, ISR {isr}", "control")


def _role(event: Any, _: Names) -> Words:
    return Words(f"becomes {event.role}", f"epoch {event.leader_epoch}, log end {event.log_end_offset}", "control")


def _cut(event: Any, _: Names) -> Words:
    cut = event.from_offset - event.to_offset
    return Words(f"cuts {cut} record{'' if cut == 1 else 's'}", f"{event.from_offset} back to {event.to_offset}", "bad")


def _fault(event: Any, _: Names) -> Words:
    return Words(event.state, "", "good" if event.state in ("started", "resumed") else "bad")


def _step(event: Any, _: Names) -> Words:
    return Words(f"{event.step}: {event.action}", told_targets(event.targets), "lab")


def _isr_asked(event: Any, names: Names) -> Words:
    isr = ", ".join(_who(names, number) for number in event.isr)
    return Words("asks for another ISR", f"{isr}, epoch {event.leader_epoch}", "control")


def _isr_answered(event: Any, _: Names) -> Words:
    if event.error == "NONE":
        return Words("ISR change accepted", f"partition epoch {event.partition_epoch}", "good")
    return Words("ISR change refused", event.error, "bad")


def _fenced(event: Any, _: Names) -> Words:
    return Words("refuses an old epoch", f"{event.error}: {event.given_epoch}, is {event.current_epoch}", "bad")


def _resolved(event: Any, _: Names) -> Words:
    tone = {"committed": "good", "aborted": "bad"}.get(event.outcome, "")
    count = len(event.values)
    return Words(f"transaction {event.outcome}", f"number {event.attempt}, {count} record{'s'[: count != 1]}", tone)


_TELLERS: Mapping[str, Callable[[Any, Names], Words]] = {
    RecordSent.kind: lambda event, _: Words("sends", event.value),
    RecordAcknowledged.kind: lambda event, _: Words("is told: stored", f"{event.value} at {event.offset}", "good"),
    RecordFailed.kind: lambda event, _: Words("is told: not stored", event.error, "bad"),
    RecordUnknown.kind: lambda event, _: Words("never learns", event.error, "bad"),
    RecordConsumed.kind: lambda event, _: Words(f"reads {event.offset}", event.value),
    BatchAppended.kind: _appended,
    FollowerProgressed.kind: lambda event, names: Words(
        f"knows {_who(names, event.follower)} has it", f"its log ends at {event.log_end_offset}"
    ),
    HighWatermarkAdvanced.kind: lambda event, _: Words(
        f"high watermark {event.high_watermark}", "committed" if event.role == "leader" else "learned"
    ),
    PartitionMetadataApplied.kind: _metadata,
    PartitionRoleChanged.kind: _role,
    LogTruncated.kind: _cut,
    NodeFaulted.kind: _fault,
    NodeStarted.kind: lambda event, _: Words("boots", ", ".join(event.roles), "good"),
    NodeStopped.kind: lambda event, _: Words("ends in good order"),
    StepFired.kind: _step,
    StepEnded.kind: lambda event, _: Words(f"{event.step}: {event.outcome}", "", "lab"),
    IsrChangeRequested.kind: _isr_asked,
    IsrChangeAnswered.kind: _isr_answered,
    ReplicaFenced.kind: _fenced,
    TransactionStateChanged.kind: lambda event, _: Words(
        f"{event.transactional_id}: {event.state}", f"producer epoch {event.producer_epoch}", "control"
    ),
    TransactionEnded.kind: lambda event, _: Words(
        "commit marker" if event.is_commit else "abort marker",
        f"at {event.offset}, producer epoch {event.producer_epoch}",
        "good" if event.is_commit else "bad",
    ),
    TransactionDecided.kind: lambda event, _: Words(
        "asks to commit" if event.is_commit else "asks to abort", f"transaction {event.attempt}"
    ),
    TransactionResolved.kind: _resolved,
    RaftVoted.kind: lambda event, names: Words(f"votes for {_who(names, event.candidate)}", f"term {event.term}"),
    RaftRoleChanged.kind: lambda event, _: Words(f"Raft {event.role}", f"term {event.term}", "control"),
    ControllerActivated.kind: lambda event, _: Words("active controller", f"epoch {event.epoch}", "good"),
    ControllerResigned.kind: lambda event, _: Words("resigns", f"epoch {event.epoch}", "bad"),
    BrokerStateChanged.kind: lambda event, names: Words(
        f"{_who(names, event.broker)} is {event.state}",
        f"broker epoch {event.broker_epoch}",
        "bad" if event.state == "fenced" else "control",
    ),
}
