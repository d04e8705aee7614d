"""What the `transactions` command asks the brokers, and the tables that it prints, as kafka-transactions does.

Here: the five questions and the two ways to end a transaction. Not here: the command line, connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.console.errors import failure
from cluster.console.protocol_client import METADATA, ProtocolClient, check
from cluster.wire import Fields

INIT_PRODUCER_ID, WRITE_TXN_MARKERS = 22, 27
DESCRIBE_PRODUCERS, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 61, 65, 66
FIND_COORDINATOR, TRANSACTION = 10, 1
DOING = "The command failed"

LIST_COLUMNS = ("TransactionalId", "Coordinator", "ProducerId", "TransactionState")
DESCRIBE_COLUMNS = (
    "CoordinatorId",
    "TransactionalId",
    "ProducerId",
    "ProducerEpoch",
    "TransactionState",
    "TransactionTimeoutMs",
    "CurrentTransactionStartTimeMs",
    "TransactionDurationMs",
    "TopicPartitions",
)
PRODUCER_COLUMNS = (
    "ProducerId",
    "ProducerEpoch",
    "LatestCoordinatorEpoch",
    "LastSequence",
    "LastTimestamp",
    "CurrentTransactionStartOffset",
)
HANGING_COLUMNS = (
    "Topic",
    "Partition",
    "ProducerId",
    "ProducerEpoch",
    "CoordinatorEpoch",
    "StartOffset",
    "LastTimestamp",
    "Duration(s)",
)


@dataclass(frozen=True, slots=True)
class Marker:
    """The transaction that is to be aborted, as its partition's leader knows it."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int


class TransactionCalls:
    """Calls that wait for the answer. All of them raise LabError."""

    def __init__(self, client: ProtocolClient, now_ms: int) -> None:
        self._client = client
        self._now_ms = now_ms
        self._nodes = {node.node_id: node for node in client.nodes()}

    def listings(self, duration_ms: int, pattern: str | None) -> list[tuple[str, ...]]:
        """Return the rows of `list`."""
        fields = {"state_filters": (), "producer_id_filters": (), "duration_filter": duration_ms}
        rows = []
        for broker in sorted(self._nodes):
            asked = fields if pattern is None else {**fields, "transactional_id_pattern": pattern}
            reply = self._ask(broker, LIST_TRANSACTIONS, asked)
            check(reply.error_code, None, f"{DOING}: broker {broker}")
            rows += [
                (each.transactional_id, str(broker), str(each.producer_id), each.transaction_state)
                for each in reply.transaction_states
            ]
        return sorted(rows)

    def describe(self, transactional_id: str) -> tuple[str, ...]:
        """Return the row of `describe`."""
        coordinator = self._coordinator(transactional_id)
        asked = {"transactional_ids": (transactional_id,)}
        found = self._ask(coordinator, DESCRIBE_TRANSACTIONS, asked).transaction_states[0]
        check(found.error_code, None, f"{DOING}: {transactional_id}")
        begun_ms: int = found.transaction_start_time
        has_begun = begun_ms >= 0 and found.transaction_state not in ("Empty", "CompleteCommit", "CompleteAbort")
        names = [f"{topic.topic}-{number}" for topic in found.topics for number in topic.partitions]
        return (
            str(coordinator),
            transactional_id,
            str(found.producer_id),
            str(found.producer_epoch),
            found.transaction_state,
            str(round(found.transaction_timeout.total_seconds() * 1000)),
            str(begun_ms) if begun_ms >= 0 else "None",
            str(self._now_ms - begun_ms) if has_begun else "None",
            ",".join(names),
        )

    def producers(self, topic: str, partition: int, broker: int | None = None) -> list[Any]:
        """Return the producers that a replica of a partition remembers, its leader's when no broker is named."""
        asked = {"topics": ({"name": topic, "partition_indexes": (partition,)},)}
        where = self._leader(topic, partition) if broker is None else broker
        found = self._ask(where, DESCRIBE_PRODUCERS, asked).topics[0].partitions[0]
        check(found.error_code, None, f"{DOING}: {topic}-{partition}")
        return list(found.active_producers)

    def marker_of(self, topic: str, partition: int, start_offset: int) -> Marker:
        """Return whose transaction begins at an offset."""
        for each in self.producers(topic, partition):
            if each.current_txn_start_offset == start_offset:
                return Marker(each.producer_id, each.producer_epoch, max(each.coordinator_epoch, 0))
        raise failure(
            f"Could not find any open transactions starting at offset {start_offset} on partition {topic}-{partition}",
            "`fencepost transactions describe-producers` shows where open transactions start.",
        )

    def abort(self, topic: str, partition: int, marker: Marker) -> None:
        """End one producer's transaction in one partition."""
        written = {
            "producer_id": marker.producer_id,
            "producer_epoch": marker.producer_epoch,
            "transaction_result": False,
            "coordinator_epoch": marker.coordinator_epoch,
            "topics": ({"name": topic, "partition_indexes": (partition,)},),
        }
        leader = self._leader(topic, partition)
        reply = self._ask(leader, WRITE_TXN_MARKERS, {"markers": (written,)})
        check(reply.markers[0].topics[0].partitions[0].error_code, None, f"{DOING}: {topic}-{partition}")

    def force_terminate(self, transactional_id: str) -> None:
        """Shut the producer of a transactional id out; what it has open is aborted."""
        fields = {"transactional_id": transactional_id, "transaction_timeout": timedelta(minutes=1)}
        coordinator = self._coordinator(transactional_id)
        reply = self._ask(coordinator, INIT_PRODUCER_ID, {**fields, "producer_id": -1, "producer_epoch": -1})
        if reply.error_code != ErrorCode.CONCURRENT_TRANSACTIONS:  # it is being aborted just now
            check(reply.error_code, None, f"{DOING}: {transactional_id}")

    def hanging(self, names: Sequence[tuple[str, int]], longest_ms: int) -> list[tuple[str, ...]]:
        """Return the rows of `find-hanging`: open for longer than any transaction may be, and no coordinator knows."""
        known = {(row[2], row[3]) for row in self.listings(-1, None)}
        rows = []
        for topic, partition in names:
            for each in self.producers(topic, partition):
                is_old = self._now_ms - each.last_timestamp > longest_ms
                if each.current_txn_start_offset < 0 or not is_old or (str(each.producer_id), "Ongoing") in known:
                    continue
                facts = (each.producer_id, each.producer_epoch, each.coordinator_epoch, each.current_txn_start_offset)
                seconds = (self._now_ms - each.last_timestamp) // 1000
                rows.append((topic, str(partition), *map(str, facts), str(each.last_timestamp), str(seconds)))
        return rows

    def all_partitions(self, broker: int | None, topic: str | None, partition: int | None) -> list[tuple[str, int]]:
        """Return the partitions to look at: those that a broker leads, or those of a topic."""
        return [
            name
            for name, leader in sorted(self._leaders().items())
            if leader >= 0
            and (broker is None or leader == broker)
            and (topic is None or name[0] == topic)
            and (partition is None or name[1] == partition)
        ]

    # --- inside -----------------------------------------------------------------------------------

    def _ask(self, broker: int, api_key: int, fields: Fields) -> Any:
        if broker not in self._nodes:
            raise failure(f"{DOING}: there is no broker {broker}", f"There are {sorted(self._nodes)}.")
        return self._client.ask_node(self._nodes[broker], api_key, fields)

    def _leaders(self) -> dict[tuple[str, int], int]:
        """Return the leader of every partition, -1 for none."""
        answer = self._client.ask(METADATA, {"topics": None})
        return {
            (topic.name, part.partition_index): part.leader_id for topic in answer.topics for part in topic.partitions
        }

    def _leader(self, topic: str, partition: int) -> int:
        leader = self._leaders().get((topic, partition))
        if leader is None:
            raise failure(
                f"{DOING}: there is no partition {topic}-{partition}", "`fencepost topics --list` shows the topics."
            )
        if leader < 0:
            raise failure(f"{DOING}: {topic}-{partition} has no leader", "Try again when it has one.")
        return leader

    def _coordinator(self, transactional_id: str) -> int:
        asked = {"key_type": TRANSACTION, "coordinator_keys": (transactional_id,)}
        found = self._client.ask(FIND_COORDINATOR, asked).coordinators[0]
        check(found.error_code, None, f"{DOING}: {transactional_id}")
        return int(found.node_id)


def producer_row(each: Any) -> tuple[str, ...]:
    """Return the row of `describe-producers` for one producer."""
    start = each.current_txn_start_offset
    return (
        str(each.producer_id),
        str(each.producer_epoch),
        str(each.coordinator_epoch),
        str(each.last_sequence),
        str(each.last_timestamp),
        str(start) if start >= 0 else "None",
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table as kafka-transactions prints it: columns of even width, with a tab after each."""
    widths = [max(len(cell) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    return [
        "".join(f"{cell:<{width}}\t" for cell, width in zip(cells, widths, strict=True)) for cells in (columns, *rows)
    ]
