"""Which brokers were heard of lately: soft state of the active controller, lost when another takes over.

Here: contact times and what heartbeats said, with time as an argument (Kafka's `BrokerHeartbeatManager`). A
broker is fenced by a record, never by this file: sessions only say when that is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cluster.base.ids import NodeId
from cluster.metadata import MetadataImage


@dataclass(frozen=True, slots=True)
class Session:
    """One registration's last sign of life. `leaving_offset` is where its controlled shutdown began, if it did."""

    broker_epoch: int
    heard_ms: int
    metadata_offset: int = 0
    leaving_offset: int | None = None


class BrokerSessions:
    """The sessions of all brokers, by id."""

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self._sessions: dict[NodeId, Session] = {}
        self._fenced_offsets: dict[NodeId, int] = {}

    def restart(self, image: MetadataImage, now_ms: int) -> None:
        """Give every unfenced broker a whole session: a controller that just became active has heard from nobody yet.

        A fenced broker has none until it is heard of: it serves nothing, and its next process need not wait for it.
        """
        self._sessions = {
            broker.broker_id: Session(
                broker.broker_epoch,
                now_ms,
                leaving_offset=image.offset if broker.in_controlled_shutdown else None,
            )
            for broker in image.brokers.values()
            if not broker.fenced
        }
        # Nobody remembers when they were fenced: not after this, at any rate.
        self._fenced_offsets = {broker.broker_id: image.offset for broker in image.brokers.values() if broker.fenced}

    def touch(self, broker_id: NodeId, broker_epoch: int, now_ms: int, metadata_offset: int = 0) -> None:
        """A broker was heard of: it registered, or sent a heartbeat with its metadata offset."""
        known = self._sessions.get(broker_id)
        if known is None or known.broker_epoch != broker_epoch:
            self._sessions[broker_id] = Session(broker_epoch, now_ms, metadata_offset)
        else:
            self._sessions[broker_id] = replace(known, heard_ms=now_ms, metadata_offset=metadata_offset)

    def fence(self, broker_id: NodeId, offset: int) -> None:
        """A broker was fenced by the metadata at `offset`."""
        self._fenced_offsets[broker_id] = offset

    def fenced_offset(self, broker_id: NodeId) -> int:
        """Return what a broker must know of the metadata to know that it was fenced; 0 when it never was."""
        return self._fenced_offsets.get(broker_id, 0)

    def leave(self, broker_id: NodeId, offset: int) -> None:
        """A broker begins its controlled shutdown with the metadata at `offset`."""
        self._sessions[broker_id] = replace(self._sessions[broker_id], leaving_offset=offset)

    def end(self, broker_id: NodeId) -> None:
        """A broker said goodbye: its next incarnation need not wait for this session to expire."""
        self._sessions.pop(broker_id, None)

    def is_valid(self, broker_id: NodeId, broker_epoch: int, now_ms: int) -> bool:
        """Whether this registration of the broker was heard of within the session timeout."""
        session = self._sessions.get(broker_id)
        return (
            session is not None
            and session.broker_epoch == broker_epoch
            and now_ms - session.heard_ms < self._timeout_ms
        )

    def all(self) -> tuple[tuple[NodeId, Session], ...]:
        """Return every session, by broker id."""
        return tuple(sorted(self._sessions.items()))

    def leaving_offset(self, broker_id: NodeId) -> int | None:
        """Where the broker's controlled shutdown began; None when it has not asked for one."""
        session = self._sessions.get(broker_id)
        return None if session is None else session.leaving_offset

    def lowest_offset(self, broker_ids: Iterable[NodeId]) -> int | None:
        """Return how far the slowest of these brokers is with the metadata; None when there is none."""
        offsets = [self._sessions[node].metadata_offset if node in self._sessions else 0 for node in broker_ids]
        return min(offsets, default=None)

    def is_asleep(self, wake_ms: int, now_ms: int) -> bool:
        """Whether a timer for `wake_ms` came so late that this controller was itself stopped (a pause of its process).

        Who sleeps cannot tell who was silent: fencing everybody for one's own absence would take the cluster down.
        """
        return now_ms - wake_ms > self._timeout_ms // 2

    def expired(self, image: MetadataImage, now_ms: int) -> tuple[NodeId, ...]:
        """Return the unfenced brokers that are overdue, by id."""
        return tuple(
            broker.broker_id
            for broker in image.brokers.values()
            if not broker.fenced and not self.is_valid(broker.broker_id, broker.broker_epoch, now_ms)
        )

    def next_deadline_ms(self, image: MetadataImage, now_ms: int) -> int | None:
        """Return when the next unfenced broker is overdue unless it is heard of; None when all are fenced."""
        deadlines = []
        for broker in image.brokers.values():
            if not broker.fenced:
                session = self._sessions.get(broker.broker_id)
                is_current = session is not None and session.broker_epoch == broker.broker_epoch
                deadlines.append(session.heard_ms + self._timeout_ms if session and is_current else now_ms)
        return min(deadlines, default=None)
