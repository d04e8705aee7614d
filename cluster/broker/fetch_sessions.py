"""Fetch sessions (KIP-227): a consumer names only what has changed, and is told only of what has changed.

Here: the sessions of one broker, what a request means for its session, and which partitions a response may leave out
(Kafka: `FetchManager`, `FetchSessionCache`). Not here: reading (`fetch`).

A session's epoch counts its requests. One that comes out of order, or for a session that was evicted, is refused, and
the client begins anew with a full fetch. A broker without room answers a full fetch with session id 0: no session.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ports import Rng
from cluster.wire import FetchPartition, FetchRequest, FetchResult, TopicKey

INITIAL_EPOCH = 0
FINAL_EPOCH = -1
NO_SESSION = 0

_NUMBER_MAX = 2**31 - 1

PartitionKey = tuple[TopicKey, int]
Results = Sequence[tuple[TopicKey, Sequence[FetchResult]]]
Asked = list[tuple[TopicKey, list[FetchPartition]]]


class _Place:
    """One partition of a session: what is asked for, and what the client was last told."""

    __slots__ = ("asked", "high_watermark", "log_start_offset")

    def __init__(self, asked: FetchPartition) -> None:
        self.asked = asked
        self.high_watermark = -1
        self.log_start_offset = -1

    def is_news(self, result: FetchResult) -> bool:
        """Whether the client must be told; it is noted as told."""
        has_failed = result.error is not ErrorCode.NONE or result.diverging is not None
        has_moved = (result.high_watermark, result.log_start_offset) != (self.high_watermark, self.log_start_offset)
        # After an error all is told again: the client may have forgotten it.
        self.high_watermark = -1 if has_failed else result.high_watermark
        self.log_start_offset = result.log_start_offset
        return has_failed or has_moved or len(result.records) > 0 or result.preferred_read_replica >= 0


class FetchSession:
    """One client's session. `epoch` is that of the request that is served, or was served last."""

    def __init__(self, session_id: int, uses_topic_ids: bool, topics: Asked, now_ms: int) -> None:
        self.session_id = session_id
        self.epoch = INITIAL_EPOCH
        self.uses_topic_ids = uses_topic_ids
        self.created_ms = now_ms
        self.used_ms = now_ms
        self._places: dict[PartitionKey, _Place] = {}
        self._topics: Asked | None = None
        self._take(topics)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def topics(self) -> Asked:
        """All that the client wants, in the order in which it is served."""
        if self._topics is None:
            self._topics = []
            for (key, _), place in self._places.items():
                if not self._topics or self._topics[-1][0] != key:
                    self._topics.append((key, []))
                self._topics[-1][1].append(place.asked)
        return self._topics

    def update(self, message: FetchRequest, now_ms: int) -> None:
        """Take what a request changes; it is the next one of this session."""
        self.epoch = next_epoch(self.epoch)
        self.used_ms = now_ms
        self._take(message.topics)
        for key, numbers in message.forgotten:
            for number in numbers:
                if self._places.pop((key, number), None) is not None:
                    self._topics = None

    def _take(self, topics: Asked) -> None:
        for key, parts in topics:
            for asked in parts:
                place = self._places.get((key, asked.partition))
                if place is None:
                    self._places[key, asked.partition] = _Place(asked)
                else:
                    place.asked = asked
                self._topics = None

    def news(self, results: Results) -> list[tuple[TopicKey, list[FetchResult]]]:
        """Return what the client does not know, and note it as told."""
        found: list[tuple[TopicKey, list[FetchResult]]] = []
        for key, rows in results:
            news = [row for row in rows if self._places[key, row.partition].is_news(row)]
            if news:
                found.append((key, news))
        return found

    def served(self, results: Results) -> None:
        """Put partitions that had records behind those that had none: a response that is full must not starve them."""
        for key, rows in results:
            for row in rows:
                place = self._places.get((key, row.partition)) if len(row.records) else None
                if place is not None:
                    del self._places[key, row.partition]
                    self._places[key, row.partition] = place
                    self._topics = None


class FetchSessions:
    """All sessions of one broker, the one that was used last at the end."""

    def __init__(self, configs: Configs, rng: Rng) -> None:
        self._slots = configs.integer("max.incremental.fetch.session.cache.slots")
        self._eviction_ms = configs.integer("min.incremental.fetch.session.eviction.ms")
        self._rng = rng
        self._sessions: dict[int, FetchSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, message: FetchRequest, uses_topic_ids: bool, now_ms: int) -> FetchSession | ErrorCode | None:
        """Return the session that a request goes on with, updated by it; None for a full fetch; or why it is refused.

        FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR when the client
        changes between topic names and topic ids.
        """
        if message.session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._sessions.pop(message.session_id, None)
            return None
        session = self._sessions.get(message.session_id)
        if session is None:
            return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        if message.session_epoch != next_epoch(session.epoch):
            return ErrorCode.INVALID_FETCH_SESSION_EPOCH
        if session.uses_topic_ids != uses_topic_ids:
            return ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
        session.update(message, now_ms)
        del self._sessions[session.session_id]
        if len(session) > 0:
            self._sessions[session.session_id] = session
        return session

    def begin(self, message: FetchRequest, uses_topic_ids: bool, now_ms: int) -> FetchSession | None:
        """Begin the session that a full fetch asks for; None when it asks for none or there is no room."""
        if message.session_epoch != INITIAL_EPOCH or not message.topics:
            return None
        size = sum(len(parts) for _, parts in message.topics)
        if len(self._sessions) >= self._slots and not self._evict(size, now_ms):
            return None
        session_id = self._rng.randrange(1, _NUMBER_MAX)
        while session_id in self._sessions:
            session_id = self._rng.randrange(1, _NUMBER_MAX)
        session = self._sessions[session_id] = FetchSession(session_id, uses_topic_ids, message.topics, now_ms)
        return session

    def _evict(self, size: int, now_ms: int) -> bool:
        """Make room: for anybody in place of an idle session, for a larger one in place of a smaller old one."""
        oldest = next(iter(self._sessions.values()), None)
        if oldest is None:
            return False
        if now_ms - oldest.used_ms > self._eviction_ms:
            del self._sessions[oldest.session_id]
            return True
        old = [each for each in self._sessions.values() if now_ms - each.created_ms > self._eviction_ms]
        smallest = min(old, key=len, default=None)
        if smallest is None or len(smallest) >= size:
            return False
        del self._sessions[smallest.session_id]
        return True


def next_epoch(epoch: int) -> int:
    """Return the epoch of the next request; after the largest comes 1, because 0 begins a session."""
    return 1 if epoch >= _NUMBER_MAX else epoch + 1
