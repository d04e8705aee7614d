"""Control batches: the markers that end a transaction in a partition (KIP-98; schema `EndTxnMarker`).

Here: a marker as bytes, both ways. A control batch holds one record: its key says what it is, its value which
coordinator decided. Not here: what a marker means to a log (`cluster.storage`) or to a group (`cluster.groups`).
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from cluster.base.ports import Buffer
from cluster.records.header import BatchHeader
from cluster.records.record import build_batch, read_batch_records

_KEY = Struct(">hh")
"""Version, type."""

_VALUE = Struct(">hi")
"""Version, coordinator epoch."""

_VERSION = 0
_ABORT = 0
_COMMIT = 1


class EndMarker(NamedTuple):
    """How a producer's transaction ended. `coordinator_epoch` is the leader epoch under which that was decided."""

    producer_id: int
    producer_epoch: int
    is_commit: bool
    coordinator_epoch: int


def build_marker(marker: EndMarker, timestamp_ms: int) -> bytearray:
    """Build the batch of a marker, ready to be appended by a leader."""
    key = _KEY.pack(_VERSION, _COMMIT if marker.is_commit else _ABORT)
    return build_batch(
        [(key, _VALUE.pack(_VERSION, marker.coordinator_epoch), ())],
        timestamp_ms=timestamp_ms,
        producer_id=marker.producer_id,
        producer_epoch=marker.producer_epoch,
        transactional=True,
        control=True,
    )


def read_marker(view: Buffer, position: int, header: BatchHeader) -> EndMarker | None:
    """Read a control batch; None when it is not about a transaction. Raises KafkaError(CORRUPT_MESSAGE)."""
    for record in read_batch_records(view, position, header):
        try:
            _, kind = _KEY.unpack_from(record.key or b"")
            _, coordinator_epoch = _VALUE.unpack_from(record.value or b"")
        except struct_error:
            return None
        if kind in (_ABORT, _COMMIT):
            return EndMarker(header.producer_id, header.producer_epoch, kind == _COMMIT, coordinator_epoch)
    return None
