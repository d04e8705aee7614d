"""Compaction and transactions: what was aborted goes and supersedes nothing, and nothing becomes undecided again."""

from __future__ import annotations

from compacted_histories import Written, compact_fully, compacted, latest, records_of, walk, write
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import NOW_MS, headers_of, open_log, sync_all
from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.records import EndMarker, build_batch, read_marker, read_records
from cluster.storage import Log, compact, dirt_of

KEPT = compacted(delete_retention_ms="1000")
FILLER = "x" * 40


class Transactions:
    """A compacted log that several producers write to, and what is true of it."""

    def __init__(self, given: Configs = KEPT) -> None:
        self.disk = MemoryDisk()
        self.log = open_log(self.disk, given)
        self._committed: dict[bytes, tuple[int, bytes]] = {}
        self._pending: dict[int, list[tuple[bytes, tuple[int, bytes]]]] = {}
        self._sequences: dict[int, int] = {}

    def write(self, producer: int, key: str, value: str) -> None:
        sequence = self._sequences.get(producer, 0)
        self._sequences[producer] = sequence + 1
        batch = build_batch(
            [(key.encode(), value.encode(), ())],
            timestamp_ms=NOW_MS,
            producer_id=producer,
            producer_epoch=0,
            base_sequence=sequence,
            transactional=True,
        )
        states = self.log.producers
        states.admit(producer, states.expect(producer))  # the coordinator knows of the transaction
        self.log.append_as_leader(memoryview(batch), 0, NOW_MS)
        written = (key.encode(), (self.log.log_end_offset - 1, value.encode()))
        self._pending.setdefault(producer, []).append(written)

    def end(self, producer: int, is_commit: bool) -> None:
        self.log.append_marker(EndMarker(producer, 0, is_commit, 0), 0, NOW_MS, False)
        for key, placed in self._pending.pop(producer, []):
            if is_commit and placed > self._committed.get(key, (-1, b"")):
                self._committed[key] = placed

    def fill(self, count: int = 40) -> None:
        """Plain records enough to close some segments."""
        for number in range(count):
            write(self.log, Written("filler", f"{number}-{FILLER}"))
        self._committed[b"filler"] = (self.log.log_end_offset, f"{count - 1}-{FILLER}".encode())

    @property
    def committed(self) -> dict[bytes, bytes]:
        """The value with the highest offset of every key; when its transaction was committed plays no part."""
        return {key: value for key, (_, value) in self._committed.items()}

    def compact(self, now_ms: int = NOW_MS) -> None:
        sync_all(self.log, self.disk)
        compact_fully(self.log, self.disk, now_ms)

    def copy(self) -> Log:
        """What a follower has that copies the log from its beginning."""
        follower = open_log(MemoryDisk(), KEPT)
        while follower.log_end_offset < self.log.log_end_offset:
            part = self.log.read(follower.log_end_offset, 700, self.log.log_end_offset, at_least_one=True)
            follower.append_as_follower(part, NOW_MS)
        return follower


def read_committed(log: Log) -> dict[bytes | None, bytes]:
    """The last value of every key as a reader of committed records finds it, who is told what was aborted."""
    content = walk(log)
    aborted = [(first, producer) for producer, first in log.aborted_transactions(content)]
    skipped: dict[int, None] = {}
    kept = bytearray()
    position = 0
    for header in headers_of(content):
        batch = content[position : position + header.size_bytes]
        position += header.size_bytes
        while aborted and aborted[0][0] <= header.last_offset:
            skipped[aborted.pop(0)[1]] = None
        marker = read_marker(batch, 0, header) if header.is_control else None
        if marker is not None and not marker.is_commit:
            skipped.pop(header.producer_id, None)
        elif header.producer_id not in skipped or not header.is_transactional:
            kept += batch
    return latest(list(read_records(kept)))


def test_aborted_records_go_and_supersede_nothing() -> None:
    made = Transactions()
    made.write(1, "a", "good")
    made.end(1, True)
    made.write(1, "a", "bad")
    made.end(1, False)
    made.fill()
    made.compact()
    assert [(record.key, record.value) for record in records_of(made.log) if record.key == b"a"] == [(b"a", b"good")]


def test_a_marker_stays_as_long_as_a_batch_of_its_transaction_and_goes_after_its_time() -> None:
    made = Transactions()
    made.write(1, "a", "1")
    made.end(1, True)
    for producer, key in ((2, "a"), (2, "b")):
        made.write(producer, key, "2")
    made.end(2, True)
    made.write(1, "c", "3")
    made.end(1, True)
    made.fill()
    made.compact()

    def markers() -> list[int]:
        return [header.producer_id for header in headers_of(walk(made.log)) if header.is_control]

    assert markers() == [1, 2, 1]
    made.fill()
    made.compact(NOW_MS)
    assert markers() == [1, 2, 1], "the first one's transaction is empty now, which is written down"
    made.fill()
    made.compact(NOW_MS + 999)
    assert markers() == [1, 2, 1]
    made.fill()
    made.compact(NOW_MS + 1000)
    assert markers() == [2, 1]


def test_an_undecided_transaction_is_not_touched() -> None:
    made = Transactions()
    made.write(1, "a", "1")
    made.fill()
    sync_all(made.log, made.disk)
    before = walk(made.log)
    stable = made.log.producers.stable_offset(made.log.log_end_offset)
    assert stable == 0
    assert dirt_of(made.log, stable, NOW_MS).end_offset == 0
    assert walk(made.log) == before


def test_a_follower_of_a_compacted_log_finds_no_transaction_open() -> None:
    made = Transactions()
    for producer in range(1, 6):
        made.write(producer, "a", f"{producer}")
        made.write(producer, f"own-{producer % 2}", f"{producer}")
        made.end(producer, producer % 2 == 0)
    made.fill()
    for now_ms in (NOW_MS, NOW_MS + 1000, NOW_MS + 2000):
        made.compact(now_ms)
        copy = made.copy()
        assert copy.producers.stable_offset(copy.log_end_offset) == copy.log_end_offset
        for producer in range(1, 6):
            state = copy.producers.get(producer)
            assert state is None or state.transaction_start < 0
        made.fill()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 3), st.sampled_from("abc")),
        st.tuples(st.just("end"), st.integers(1, 3), st.booleans()),
        st.tuples(st.just("fill"), st.just(0), st.just(0)),
        st.tuples(st.just("compact"), st.integers(0, 3000), st.just(0)),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(deadline=None, max_examples=150)
def test_whatever_happens_committed_values_stay_and_aborted_ones_do_not_come_back(
    steps: list[tuple[str, int, object]],
) -> None:
    made = Transactions()
    open_ones: dict[int, None] = {}
    for number, (kind, argument, detail) in enumerate(steps):
        if kind == "write":
            made.write(argument, str(detail), f"{number}")
            open_ones[argument] = None
        elif kind == "end" and argument in open_ones:
            del open_ones[argument]
            made.end(argument, bool(detail))
        elif kind == "fill":
            made.fill(8)
        elif kind == "compact":
            sync_all(made.log, made.disk)
            stable = made.log.producers.stable_offset(made.log.log_end_offset)
            _compact_below(made, stable, NOW_MS + argument)
    for producer in tuple(open_ones):
        made.end(producer, False)
    made.fill()
    made.compact(NOW_MS + 3000)
    for log in (made.log, made.copy(), open_log(made.disk.copy(), KEPT)):
        assert read_committed(log) == made.committed
        assert log.producers.stable_offset(log.log_end_offset) == log.log_end_offset


def _compact_below(made: Transactions, stable_offset: int, now_ms: int) -> None:
    dirt = dirt_of(made.log, stable_offset, now_ms)
    if dirt.is_due(made.log.settings.cleaning):
        for path in compact(made.log, dirt, now_ms):
            if path is not None:
                made.disk.sync_now(path)
