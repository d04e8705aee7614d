"""What `kafka-consumer-groups` prints (`org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`), and reset plans.

Here: facts, columns, and the reading of what the command line says of topics, times and files. Not here: asking the
brokers (`group_calls`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.console.errors import usage

MISSING = "-"

Place = tuple[str, int]
"""A topic and a partition."""

_DURATION = re.compile(r"(-)?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group."""

    consumer_id: str
    host: str
    client_id: str
    assignment: tuple[Place, ...]
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """What its coordinator says about a group. `state` is one word, such as Stable; Dead when there is no group."""

    name: str
    state: str
    members: tuple[Member, ...] = ()
    strategy: str = ""
    coordinator: str = ""
    """host:port  (id)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A group in the list of all."""

    name: str
    type: str
    state: str


def list_groups(listings: Sequence[Listing], *, with_type: bool, with_state: bool) -> list[str]:
    """Return the lines of `--list`; names alone, unless types or states are shown."""
    if not with_type and not with_state:
        return [listing.name for listing in listings]
    width = max([15, *(len(listing.name) for listing in listings)]) + 10
    rows = [Listing("GROUP", "TYPE", "STATE"), *listings]
    shown = []
    for row in rows:
        columns = [row.name.ljust(width)]
        columns += [f"{row.type:<20}"] if with_type else []
        columns += [f"{row.state:<20}"] if with_state else []
        shown.append(" ".join(columns))
    return shown


def describe_offsets(group: Group, committed: Mapping[Place, int], ends: Mapping[Place, int]) -> list[str]:
    """Return the table of `--describe`: each partition with its offsets, lag and consumer. It begins with a blank line.

    Consumers with the most partitions come first, then partitions that have an offset and no consumer.
    """
    rows: list[tuple[str, ...]] = []
    assigned: list[Place] = []
    for member in sorted(group.members, key=lambda member: -len(member.assignment)):
        who = (member.consumer_id, member.host, member.client_id)
        rows += [_offset_row(group.name, place, committed, ends, who) for place in sorted(member.assignment)]
        assigned += member.assignment
    alone = (MISSING, MISSING, MISSING)
    rest = sorted(place for place in committed if place not in assigned)
    rows += [_offset_row(group.name, place, committed, ends, alone) for place in rest]
    if not rows:
        return []
    header = (
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    )
    widths = [_width(rows, 0, 15), _width(rows, 1, 15), 10, 15, 15, 15, _width(rows, 6, 15), _width(rows, 7, 15), 0]
    return ["", *_table([header, *rows], widths)]


def describe_members(group: Group, *, verbose: bool) -> list[str]:
    """Return the table of `--describe --members`."""
    with_instances = any(member.instance_id for member in group.members)
    rows = []
    for member in group.members:
        instance = [member.instance_id] if with_instances else []
        assignment = [_assignment(member.assignment)] if verbose else []
        rows.append(
            (
                group.name,
                member.consumer_id,
                *instance,
                member.host,
                member.client_id,
                str(len(member.assignment)),
                *assignment,
            )
        )
    instance_header = ("GROUP-INSTANCE-ID",) if with_instances else ()
    header = ("GROUP", "CONSUMER-ID", *instance_header, "HOST", "CLIENT-ID", "#PARTITIONS")
    minima = [15, 15, *([17] if with_instances else []), 15, 15]
    widths = [*(_width(rows, column, minimum) for column, minimum in enumerate(minima)), 15]
    if verbose:
        header, widths = (*header, "ASSIGNMENT"), [*widths, 0]
        return ["", *_table([header, *rows], widths)]
    return ["", *(f"{line} " for line in _table([header, *rows], widths))]


def describe_state(group: Group) -> list[str]:
    """Return the table of `--describe --state`; Kafka's first column is as wide as the coordinator's name."""
    header = ("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
    row = (group.name, group.coordinator, group.strategy, group.state, str(len(group.members)))
    return ["", *_table([header, row], [max(25, len(group.coordinator)), 25, 20, 15, 0])]


def describe_reset(offsets: Iterable[tuple[str, Place, int]]) -> list[str]:
    """Return the table of `--reset-offsets`: the new offset of each partition."""
    rows = [(group, topic, str(partition), str(offset)) for group, (topic, partition), offset in offsets]
    header = ("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")
    return ["", *_table([header, *rows], [30, 30, 10, 15])] if rows else [""]


def complaint(group: Group) -> tuple[str, bool]:
    """Return what is to be said of a group's state besides the table, and whether there is a table at all."""
    if group.state == "Dead":
        return f"Consumer group '{group.name}' does not exist.", False
    if group.state == "Empty":
        return f"Consumer group '{group.name}' has no active members.", True
    if group.state in ("PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"):
        return f"Warning: Consumer group '{group.name}' is rebalancing.", True
    return "", True


def parse_topics(texts: Sequence[str]) -> tuple[list[str], list[Place]]:
    """Read `--topic name` and `--topic name:0,1`; return whole topics, and partitions. Raises LabError (usage)."""
    whole, places = [], []
    for text in texts:
        topic, colon, partitions = text.partition(":")
        if not colon:
            whole.append(topic)
            continue
        try:
            places += [(topic, int(partition)) for partition in partitions.split(",")]
        except ValueError as error:
            raise usage(f"Invalid partition in topic arg '{text}'", "Write topic:0,1,2.") from error
    return whole, places


def parse_datetime(text: str) -> int:
    """Return the milliseconds since 1970 of YYYY-MM-DDTHH:mm:SS.sss; without a zone it is UTC. Raises LabError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise usage(f"{text!r} is not a time.", "Write YYYY-MM-DDTHH:mm:SS.sss, with a zone such as +02:00.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_duration(text: str) -> int:
    """Return the milliseconds of PnDTnHnMnS. Raises LabError (usage)."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()[1:]):
        raise usage(f"{text!r} is not a duration.", "Write PnDTnHnMnS, such as P1DT12H or PT30M.")
    sign, days, hours, minutes, seconds = match.groups()
    total_s = int(days or 0) * 86_400 + int(hours or 0) * 3_600 + int(minutes or 0) * 60 + float(seconds or 0)
    return int(total_s * 1000) * (-1 if sign else 1)


def parse_plan(text: str, groups: Sequence[str]) -> dict[str, dict[Place, int]]:
    """Read a reset plan: lines of topic,partition,offset for the one group, or group,topic,partition,offset."""
    plan: dict[str, dict[Place, int]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        fields = [field.strip('"') for field in line.split(",")]
        if len(fields) == 3 and len(groups) == 1:
            fields.insert(0, groups[0])
        try:
            group, topic, partition, offset = fields
            plan.setdefault(group, {})[topic, int(partition)] = int(offset)
        except ValueError as error:
            raise usage(f"{line!r} is not part of a reset plan.", "Write group,topic,partition,offset.") from error
    return plan


def write_plan(offsets: Sequence[tuple[str, Place, int]], *, one_group: bool) -> str:
    """Return the lines of `--export`."""
    start = 1 if one_group else 0
    rows = ((group, topic, str(partition), str(offset)) for group, (topic, partition), offset in offsets)
    return "".join(",".join(row[start:]) + "\n" for row in rows)


def _offset_row(
    group: str, place: Place, committed: Mapping[Place, int], ends: Mapping[Place, int], who: tuple[str, str, str]
) -> tuple[str, ...]:
    offset, end = committed.get(place), ends.get(place)
    lag = None if offset is None or end is None else end - offset
    numbers = (MISSING if number is None else str(number) for number in (offset, end, lag))
    return (group, place[0], str(place[1]), *numbers, *who)


def _assignment(places: Sequence[Place]) -> str:
    """Show partitions by topic: orders(0,1), events(2)."""
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(places):
        topics.setdefault(topic, []).append(partition)
    return ", ".join(f"{topic}({','.join(map(str, numbers))})" for topic, numbers in topics.items()) or MISSING


def _width(rows: Sequence[tuple[str, ...]], column: int, minimum: int) -> int:
    return max([minimum, *(len(row[column]) for row in rows)])


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    return [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
