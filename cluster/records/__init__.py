"""Records: Kafka's v2 record batches as bytes. Headers, checks, stamps; the records inside when someone must look."""

from cluster.records.checking import check_batches, check_copied_batches
from cluster.records.compression import Compression, compress, decompress
from cluster.records.control import EndMarker, build_marker, read_marker
from cluster.records.header import (
    BatchHeader,
    advance_sequence,
    iterate_headers,
    read_header,
    stamp_append_time,
    stamp_batch,
)
from cluster.records.record import Record, build_batch, check_keys, read_batch_records, read_records, rebuild_batch

__all__ = [
    "BatchHeader",
    "Compression",
    "EndMarker",
    "Record",
    "advance_sequence",
    "build_batch",
    "build_marker",
    "check_batches",
    "check_copied_batches",
    "check_keys",
    "compress",
    "decompress",
    "iterate_headers",
    "read_batch_records",
    "read_header",
    "read_marker",
    "read_records",
    "rebuild_batch",
    "stamp_append_time",
    "stamp_batch",
]
