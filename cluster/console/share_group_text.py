"""What `kafka-share-groups` prints (`org.apache.kafka.tools.consumer.group.ShareGroupCommand`).

Here: facts and columns. Not here: asking the brokers (`share_group_calls`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.console.group_text import MISSING, Listing, Place

STATES = ("Empty", "Stable", "Dead")


@dataclass(frozen=True, slots=True)
class ShareMember:
    """One member of a share group."""

    consumer_id: str
    host: str
    client_id: str
    epoch: int
    assignment: Mapping[str, Sequence[int]]
    """Partitions by topic."""


@dataclass(frozen=True, slots=True)
class DescribedShareGroup:
    """What its coordinator says about a share group. `coordinator` is host:port  (id)."""

    name: str
    state: str
    epoch: int
    assignment_epoch: int
    members: tuple[ShareMember, ...]
    coordinator: str


@dataclass(frozen=True, slots=True)
class ShareStart:
    """Where a share group goes on in one partition; -1 for an offset or a lag that is not known."""

    place: Place
    leader_epoch: int
    offset: int
    lag: int


def list_lines(listings: Sequence[Listing], *, with_state: bool) -> list[str]:
    """Return the lines of `--list`; names alone, unless states are shown."""
    if not with_state:
        return [listing.name for listing in listings]
    return _table([("GROUP", "STATE"), *((listing.name, listing.state) for listing in listings)])


def offset_lines(group: str, starts: Sequence[ShareStart], *, verbose: bool) -> list[str]:
    """Return the table of `--describe --offsets`; nothing when the group has read nothing."""
    epoch_header = ("LEADER-EPOCH",) if verbose else ()
    rows: list[Sequence[str]] = [("GROUP", "TOPIC", "PARTITION", *epoch_header, "START-OFFSET", "LAG")]
    for start in starts:
        topic, partition = start.place
        epoch = (_known(start.leader_epoch if start.offset >= 0 else -1),) if verbose else ()
        rows.append((group, topic, str(partition), *epoch, _known(start.offset), _known(start.lag)))
    return ["", *_table(rows)] if starts else []


def member_lines(group: DescribedShareGroup, *, verbose: bool) -> list[str]:
    """Return the table of `--describe --members`."""
    epoch_header = ("MEMBER-EPOCH",) if verbose else ()
    names = ("GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", *epoch_header, "ASSIGNMENT")
    rows: list[Sequence[str]] = [names]
    for member in sorted(group.members, key=lambda each: each.consumer_id):
        count = sum(map(len, member.assignment.values()))
        epoch = (str(member.epoch),) if verbose else ()
        who = (group.name, member.consumer_id, member.host, member.client_id)
        rows.append((*who, str(count), *epoch, _assignment(member.assignment)))
    return ["", *_table(rows)] if group.members else []


def state_lines(group: DescribedShareGroup, *, verbose: bool) -> list[str]:
    """Return the table of `--describe --state`."""
    epochs = (
        (("GROUP-EPOCH", "ASSIGNMENT-EPOCH"), (str(group.epoch), str(group.assignment_epoch))) if verbose else ((), ())
    )
    header = ("GROUP", "COORDINATOR (ID)", "STATE", *epochs[0], "#MEMBERS")
    row = (group.name, group.coordinator, group.state, *epochs[1], str(len(group.members)))
    return ["", *_table([header, row])]


def reset_lines(offsets: Iterable[tuple[str, Place, int]]) -> list[str]:
    """Return the table of `--reset-offsets`: the new start of each partition."""
    rows = [(group, topic, str(partition), str(offset)) for group, (topic, partition), offset in offsets]
    return ["", *_table([("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"), *rows])]


def deletion_lines(outcomes: Mapping[str, str]) -> list[str]:
    """Return the table of `--delete-offsets`: topics with what went wrong, empty when nothing did."""
    rows = [(topic, f"Error: {reason}" if reason else "Successful") for topic, reason in outcomes.items()]
    return ["", *_table([("TOPIC", "STATUS"), *rows])]


def complaint(group: DescribedShareGroup) -> str:
    """Return what is to be said of a group's state besides the table."""
    return f"Share group '{group.name}' has no active members." if group.state == "Empty" else ""


_WIDTHS: Mapping[str, int] = {
    "GROUP": 15,
    "TOPIC": 15,
    "PARTITION": 10,
    "LEADER-EPOCH": 13,
    "START-OFFSET": 13,
    "CONSUMER-ID": 15,
    "HOST": 15,
    "CLIENT-ID": 15,
    "#PARTITIONS": 12,
    "MEMBER-EPOCH": 13,
    "COORDINATOR (ID)": 25,
    "STATE": 15,
    "GROUP-EPOCH": 12,
    "ASSIGNMENT-EPOCH": 17,
}
"""The least that each column takes; the last one of a table ends with its text."""


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    names = rows[0]
    widths = [max(_WIDTHS.get(name, 0), *(len(row[column]) for row in rows)) for column, name in enumerate(names)]
    return [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _known(number: int) -> str:
    return str(number) if number >= 0 else MISSING


def _assignment(assignment: Mapping[str, Sequence[int]]) -> str:
    """Show partitions by topic: orders:0,1;events:2."""
    texts = [f"{topic}:{','.join(map(str, sorted(assignment[topic])))}" for topic in sorted(assignment)]
    return ";".join(texts) or MISSING
