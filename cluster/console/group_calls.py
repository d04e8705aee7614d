"""What the `consumer-groups` command asks the brokers, through the admin client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from cluster.console.errors import failure, kafka_errors
from cluster.console.group_text import Group, Listing, Member, Place

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

DOING = "Executing consumer group command failed"


class End(Enum):
    """One of the ends of a partition."""

    EARLIEST = "earliest"
    LATEST = "latest"


class GroupCalls:
    """Calls that wait for the answer, at most `timeout_ms`. All of them raise LabError."""

    def __init__(self, admin: AdminClient, timeout_ms: int) -> None:
        self._admin = admin
        self._timeout = {"request_timeout": timeout_ms / 1000}

    def listings(self) -> list[Listing]:
        """Return all groups, by name."""
        with kafka_errors(DOING):
            result = self._admin.list_consumer_groups(**self._timeout).result()
        if result.errors:
            raise failure(f"{DOING}: {result.errors[0]}", "Try again when all brokers are up: `fencepost ps`.")
        found = [Listing(each.group_id, _word(each.type), _word(each.state)) for each in result.valid]
        return sorted(found, key=lambda listing: listing.name)

    def describe(self, names: Sequence[str]) -> list[Group]:
        """Return what the coordinators say about groups, in the order of the names."""
        if not names:
            return []
        with kafka_errors(DOING):
            futures = self._admin.describe_consumer_groups(list(names), **self._timeout)
            return [_group(futures[name].result()) for name in names]

    def committed(self, name: str) -> dict[Place, int]:
        """Return the offsets that a group has committed."""
        from confluent_kafka import ConsumerGroupTopicPartitions

        with kafka_errors(DOING):
            request = [ConsumerGroupTopicPartitions(name)]
            answer = self._admin.list_consumer_group_offsets(request, **self._timeout)[name].result()
        return {
            (each.topic, each.partition): each.offset
            for each in answer.topic_partitions
            if each.error is None and each.offset >= 0
        }

    def partitions(self, topics: Sequence[str]) -> list[Place]:
        """Return all partitions of topics."""
        with kafka_errors(DOING):
            known = self._admin.list_topics(timeout=self._timeout["request_timeout"]).topics
        missing = [topic for topic in topics if topic not in known]
        if missing:
            raise failure(f"{DOING}: there is no topic {missing[0]}", "`fencepost topics --list` shows them.")
        return [(topic, partition) for topic in topics for partition in sorted(known[topic].partitions)]

    def ends(self, places: Sequence[Place], end: End) -> dict[Place, int]:
        """Return the first or the next offset of partitions."""
        from confluent_kafka.admin import OffsetSpec

        spec: Any = OffsetSpec  # its constructors carry no types
        return self._offsets(places, spec.earliest() if end is End.EARLIEST else spec.latest())

    def at_time(self, places: Sequence[Place], time_ms: int, warn: Callable[[str], None]) -> dict[Place, int]:
        """Return the first offset at or after a time; the end, with a warning, where nothing is that young."""
        from confluent_kafka.admin import OffsetSpec

        found = self._offsets(places, OffsetSpec.for_timestamp(time_ms))
        none = [place for place, offset in found.items() if offset < 0]
        for topic, partition in none:
            warn(f"Warn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset.")
        return {**found, **self.ends(none, End.LATEST)}

    def commit(self, name: str, offsets: Mapping[Place, int]) -> None:
        """Set the offsets of a group that has no members."""
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        with kafka_errors(DOING):
            request = [ConsumerGroupTopicPartitions(name, wanted)]
            answer = self._admin.alter_consumer_group_offsets(request, **self._timeout)[name].result()
        refused = [each for each in answer.topic_partitions if each.error is not None]
        if refused:
            one = refused[0]
            raise failure(
                f"{DOING}: {one.topic}-{one.partition}: {one.error.str()}", "Stop the group's consumers, and try again."
            )

    def delete(self, names: Sequence[str]) -> dict[str, str]:
        """Delete groups; return why each was not deleted, empty when it was."""
        from confluent_kafka import KafkaException

        with kafka_errors(DOING):
            futures = self._admin.delete_consumer_groups(list(names), **self._timeout)
        outcomes = {}
        for name in names:
            try:
                futures[name].result()
                outcomes[name] = ""
            except KafkaException as error:
                outcomes[name] = f"{error.args[0].name()}: {error.args[0].str()}"
        return outcomes

    def _offsets(self, places: Sequence[Place], spec: Any) -> dict[Place, int]:
        from confluent_kafka import TopicPartition

        if not places:
            return {}
        with kafka_errors(DOING):
            request = {TopicPartition(*place): spec for place in places}
            futures = self._admin.list_offsets(request, **self._timeout)
            answers = {(key.topic, key.partition): future.result().offset for key, future in futures.items()}
        return {place: answers[place] for place in places}


def _group(described: Any) -> Group:
    node = described.coordinator
    members = tuple(
        Member(
            each.member_id,
            each.host,
            each.client_id,
            tuple((place.topic, place.partition) for place in each.assignment.topic_partitions),
            each.group_instance_id or "",
        )
        for each in described.members
    )
    coordinator = f"{node.host}:{node.port}  ({node.id})" if node is not None else ""
    return Group(described.group_id, _word(described.state), members, described.partition_assignor or "", coordinator)


def _word(value: Any) -> str:
    """Show COMPLETING_REBALANCE as Kafka does: CompletingRebalance."""
    return str(value.name).title().replace("_", "")
