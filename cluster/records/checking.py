"""Whether batches that somebody sent may enter a log: lengths, magic, checksum, counts.

Here: what can be judged from the header and the checksum. Not here: sequence numbers (`cluster.storage`), and
the records themselves, which stay opaque (a departure from Kafka, whose leader also parses every record).
"""

from __future__ import annotations

from typing import NoReturn

from crc32c import crc32c

from cluster.base.errors import ErrorCode, KafkaError
from cluster.records.header import CHECKED_OFFSET, CONTROL_FLAG, HEADER, LENGTH_OFFSET, MAGIC, BatchHeader

_COMPRESSION_MAX = 4
_unpack_from = HEADER.unpack_from
_new_header = tuple.__new__


def check_batches(
    view: memoryview, max_batch_bytes: int, by_coordinator: bool = False
) -> list[tuple[int, BatchHeader]]:
    """Check what a client wants appended; return the position and the header of every batch.

    Raises KafkaError: CORRUPT_MESSAGE when lengths or checksum are wrong, MESSAGE_TOO_LARGE for a batch of more
    than `max_batch_bytes`, INVALID_RECORD when the header contradicts itself or holds what only brokers may
    write (class LogValidator). What a coordinator writes for a producer has no sequence numbers.
    """
    checked = check_copied_batches(view)
    for position, header in checked:
        if header[1] > max_batch_bytes:
            raise KafkaError(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"the batch at byte {position} has {header[1]} bytes, max.message.bytes allows {max_batch_bytes}",
            )
        attributes, count = header[5], header[12]
        if count <= 0 or header[6] != count - 1 or attributes & CONTROL_FLAG or attributes & 7 > _COMPRESSION_MAX:
            _refuse(position, header)
        if header[9] >= 0 and (header[11] < 0 or header[10] < 0) and not by_coordinator:
            _refuse(position, header)
    return checked


def check_copied_batches(view: memoryview) -> list[tuple[int, BatchHeader]]:
    """Check that bytes copied from another replica are whole, undamaged batches; return positions and headers.

    Raises KafkaError(CORRUPT_MESSAGE), or INVALID_RECORD for a format older than v2.
    """
    checked = []
    position = 0
    end = len(view)
    while position < end:
        if end - position < HEADER.size:
            _corrupt(position, f"{end - position} bytes are left, a header has {HEADER.size}")
        fields = _unpack_from(view, position)
        size_bytes = fields[1] + LENGTH_OFFSET
        if fields[3] != MAGIC:
            raise KafkaError(ErrorCode.INVALID_RECORD, f"the batch at byte {position} has magic {fields[3]}, not 2")
        if size_bytes < HEADER.size or position + size_bytes > end:
            _corrupt(position, f"it claims {size_bytes} bytes, {end - position} are left")
        crc = crc32c(view[position + CHECKED_OFFSET : position + size_bytes])
        if crc != fields[4]:
            _corrupt(position, f"its checksum is {fields[4]:#010x}, its bytes have {crc:#010x}")
        if fields[6] < 0:
            _corrupt(position, f"its last offset delta is {fields[6]}")
        # Not BatchHeader(...): the generated constructor costs more than the checksum of a small batch.
        checked.append((position, _new_header(BatchHeader, (fields[0], size_bytes, *fields[2:]))))
        position += size_bytes
    return checked


def _corrupt(position: int, reason: str) -> NoReturn:
    raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the batch at byte {position} is damaged: {reason}")


def _refuse(position: int, header: BatchHeader) -> NoReturn:
    if header.is_control:
        reason = "clients may not write control batches"
    elif header.record_count <= 0 or header.last_offset_delta != header.record_count - 1:
        reason = f"it counts {header.record_count} records over {header.last_offset_delta + 1} offsets"
    elif header.compression > _COMPRESSION_MAX:
        reason = f"its compression codec {header.compression} does not exist"
    else:
        reason = f"producer {header.producer_id} gave sequence {header.base_sequence} in epoch {header.producer_epoch}"
    raise KafkaError(ErrorCode.INVALID_RECORD, f"the batch at byte {position} is not valid: {reason}")
