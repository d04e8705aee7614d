"""What `reassign-partitions` reads, asks and prints (`org.apache.kafka.tools.reassign.ReassignPartitionsCommand`).

Here: the JSON of plans, the calls, the lines. Moves are never throttled, so nothing is said of throttles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicPartition
from cluster.console.errors import failure, usage
from cluster.console.protocol_client import METADATA, ProtocolClient, check
from cluster.controller.placement import UsableBroker, place_replicas

ALTER, LIST = 45, 46

Plan = Mapping[TopicPartition, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Move:
    """A reassignment that is under way."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]


def read_plan(path: Path) -> dict[TopicPartition, tuple[int, ...]]:
    """Read a plan. Raises LabError (usage) when it is none."""
    plan: dict[TopicPartition, tuple[int, ...]] = {}
    for row in _rows(path, "partitions"):
        try:
            key = TopicPartition(str(row["topic"]), int(row["partition"]))
            replicas = tuple(int(node) for node in row["replicas"])
        except (KeyError, TypeError, ValueError) as error:
            raise _no_plan(path, f"a partition lacks {error}") from error
        if key in plan:
            raise _no_plan(path, f"{key} is listed twice")
        if not replicas or len({*replicas}) < len(replicas):
            raise _no_plan(path, f"{key} has no replicas, or one of them twice")
        plan[key] = replicas
    if not plan:
        raise _no_plan(path, "it lists no partitions")
    return plan


def read_topics(path: Path) -> list[str]:
    """Read which topics to move. Raises LabError (usage)."""
    try:
        return [str(row["topic"]) for row in _rows(path, "topics")]
    except (KeyError, TypeError) as error:
        raise _no_plan(path, f"a topic lacks {error}") from error


def plan_json(plan: Plan) -> str:
    """Write a plan as Kafka does, on one line."""
    partitions = [
        {
            "topic": key.topic,
            "partition": key.partition,
            "replicas": list(replicas),
            "log_dirs": ["any"] * len(replicas),
        }
        for key, replicas in sorted(plan.items())
    ]
    return json.dumps({"version": 1, "partitions": partitions}, separators=(",", ":"))


def _rows(path: Path, key: str) -> Sequence[Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise usage(f"{path} cannot be read: {error.strerror}.", "Name a file that exists.") from error
    except ValueError as error:
        raise _no_plan(path, str(error)) from error
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise _no_plan(path, f'it has no list called "{key}"')
    return rows


def _no_plan(path: Path, reason: str) -> Exception:
    form = '{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[1,2]}]}'
    return usage(f"{path} is no reassignment: {reason}.", f"Its form is {form}; --generate writes one.")


class ReassignmentCalls:
    """What the tool asks the brokers. All calls raise LabError."""

    def __init__(self, client: ProtocolClient) -> None:
        self._client = client

    def current(self, topics: Sequence[str]) -> dict[TopicPartition, tuple[int, ...]]:
        """Return the replicas of topics. A topic that does not exist is an error."""
        answer = self._client.ask(
            METADATA, {"topics": [{"name": name} for name in topics], "allow_auto_topic_creation": False}
        )
        found: dict[TopicPartition, tuple[int, ...]] = {}
        for topic in answer.topics:
            check(topic.error_code, f"topic {topic.name}", "The partitions could not be described")
            for part in topic.partitions:
                found[TopicPartition(topic.name, part.partition_index)] = tuple(part.replica_nodes)
        return found

    def moves(self) -> dict[TopicPartition, Move]:
        """Return what is under way."""
        answer = self._client.ask(LIST, {"timeout": timedelta(seconds=30), "topics": None})
        check(answer.error_code, answer.error_message, "The reassignments could not be listed")
        return {
            TopicPartition(topic.name, part.partition_index): Move(
                tuple(part.replicas), tuple(part.adding_replicas), tuple(part.removing_replicas)
            )
            for topic in answer.topics
            for part in topic.partitions
        }

    def alter(self, wanted: Mapping[TopicPartition, tuple[int, ...] | None]) -> dict[TopicPartition, str]:
        """Begin moves, or with None take them back. Return what went wrong, by partition."""
        topics: dict[str, list[dict[str, object]]] = {}
        for key, replicas in sorted(wanted.items()):
            topics.setdefault(key.topic, []).append({"partition_index": key.partition, "replicas": replicas})
        rows = [{"name": topic, "partitions": parts} for topic, parts in topics.items()]
        answer = self._client.ask(ALTER, {"timeout": timedelta(seconds=30), "topics": rows})
        check(answer.error_code, answer.error_message, "The reassignment was refused")
        return {
            TopicPartition(topic.name, part.partition_index): part.error_message or ErrorCode(part.error_code).name
            for topic in answer.responses
            for part in topic.partitions
            if part.error_code != ErrorCode.NONE
        }

    def propose(
        self, topics: Sequence[str], brokers: Sequence[int], *, rack_aware: bool
    ) -> dict[TopicPartition, tuple[int, ...]]:
        """Spread topics over brokers anew, each with the replicas that it has now."""
        nodes = {node.node_id: node for node in self._client.nodes()}
        gone = [broker for broker in brokers if broker not in nodes]
        if gone:
            raise failure(f"Broker {gone[0]} is not there.", f"There are {', '.join(map(str, nodes))}.")
        usable = [
            UsableBroker(NodeId(broker), (nodes[broker].rack or "") if rack_aware else "", fenced=False)
            for broker in brokers
        ]
        plan: dict[TopicPartition, tuple[int, ...]] = {}
        current = self.current(topics)
        for topic in dict.fromkeys(topics):
            keys = [key for key in current if key.topic == topic]
            try:
                placed = place_replicas(usable, len(keys), len(current[keys[0]]), Random())
            except KafkaError as error:
                raise failure(f"{topic}: {error.message}", "Name more brokers in --broker-list.") from error
            plan.update(zip(keys, placed, strict=True))
        return plan


def verification(plan: Plan, current: Plan, moves: Mapping[TopicPartition, Move]) -> Iterator[str]:
    """Return how far each partition of a plan is, as `--verify` prints it."""
    yield "Status of partition reassignment:"
    for key, replicas in sorted(plan.items()):
        if key in moves:
            yield f"Reassignment of partition {key} is still in progress."
        elif key not in current:
            yield f"Reassignment of partition {key} is not known: there is no such partition."
        elif current[key] == replicas:
            yield f"Reassignment of partition {key} is completed."
        else:
            has, wants = (",".join(map(str, nodes)) for nodes in (current[key], replicas))
            yield (f"There is no active reassignment of partition {key}, but replica set is {has} rather than {wants}.")


def listing(moves: Mapping[TopicPartition, Move]) -> Iterator[str]:
    """Return what is under way, as `--list` prints it."""
    if not moves:
        yield "No partition reassignments found."
        return
    yield "Current partition reassignments:"
    for key, move in sorted(moves.items()):
        parts = (("replicas", move.replicas), ("adding", move.adding), ("removing", move.removing))
        texts = (f"{name}: {','.join(map(str, nodes))}." for name, nodes in parts if nodes)
        yield f"{key}: {' '.join(texts)}"
