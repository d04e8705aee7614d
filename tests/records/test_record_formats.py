"""Records inside batches, against the readers and writers of other implementations."""

from __future__ import annotations

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import (
    Compression,
    Record,
    build_batch,
    check_batches,
    compress,
    decompress,
    read_records,
)

CODECS = list(Compression)
OPTIONAL_BYTES = st.none() | st.binary(max_size=300)
HEADERS = st.lists(st.tuples(st.text(max_size=10), OPTIONAL_BYTES), max_size=3)
RECORDS = st.lists(st.tuples(OPTIONAL_BYTES, OPTIONAL_BYTES, HEADERS), min_size=1, max_size=20)


@given(records=RECORDS, codec=st.sampled_from(CODECS), timestamp=st.integers(0, 2**42), base=st.integers(0, 2**40))
@settings(deadline=None, max_examples=60)
def test_what_is_built_is_read_back(
    records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]],
    codec: Compression,
    timestamp: int,
    base: int,
) -> None:
    batch = build_batch(records, base_offset=base, timestamp_ms=timestamp, compression=codec)
    check_batches(memoryview(batch), len(batch))
    assert list(read_records(batch)) == [
        Record(base + delta, timestamp, key, value, tuple(headers))
        for delta, (key, value, headers) in enumerate(records)
    ]


@pytest.mark.parametrize("codec", [Compression.NONE, Compression.GZIP, Compression.SNAPPY, Compression.LZ4])
def test_aiokafka_reads_what_is_built(codec: Compression) -> None:
    records = [(b"k%d" % number, b"v" * number * 100, [("h", b"x")]) for number in range(50)]
    batch = build_batch(records, base_offset=7, timestamp_ms=1000, compression=codec)
    found = MemoryRecords(bytes(batch)).next_batch()
    assert found.validate_crc()
    assert [(record.offset, record.key, record.value, record.headers) for record in found] == [
        (7 + index, key, value, headers) for index, (key, value, headers) in enumerate(records)
    ]


@pytest.mark.parametrize("codec", [Compression.NONE, Compression.GZIP, Compression.SNAPPY, Compression.LZ4])
def test_what_aiokafka_builds_is_read(codec: Compression) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for number in range(50):
        builder.append(number, 1000 + number * 70_000, b"k%d" % number, b"v" * number * 100, [("h", None)])
    batch = builder.build()
    check_batches(memoryview(batch), len(batch))
    assert list(read_records(batch)) == [
        Record(number, 1000 + number * 70_000, b"k%d" % number, b"v" * number * 100, (("h", None),))
        for number in range(50)
    ]


def test_lz4_frames_have_independent_blocks_as_javas_reader_demands() -> None:
    noise = b"".join(number.to_bytes(8, "little") for number in range(0, 2**63, 2**63 // 20_011))
    for plain in (b"", b"short", b"a" * 200_000, noise):
        frame = compress(Compression.LZ4, plain)
        assert frame[:7] == bytes.fromhex("04224d18604082")
        assert decompress(Compression.LZ4, frame) == plain
        assert len(frame) <= len(plain) + 11 + 4 * (len(plain) // 65536 + 1)


def test_snappy_is_read_raw_as_librdkafka_writes_it_and_framed_as_java_does() -> None:
    plain = bytes(range(256)) * 500
    raw = bytes(cramjam.snappy.compress_raw(plain))
    framed = compress(Compression.SNAPPY, plain)
    assert framed.startswith(b"\x82SNAPPY\0") and not raw.startswith(b"\x82SNAPPY\0")
    assert decompress(Compression.SNAPPY, raw) == decompress(Compression.SNAPPY, framed) == plain


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec is not Compression.NONE])
def test_bytes_that_are_not_compressed_are_corrupt(codec: Compression) -> None:
    for packed in (b"certainly not compressed", b"\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\xff\xff12"):
        with pytest.raises(KafkaError) as raised:
            decompress(codec, packed)
        assert raised.value.code is ErrorCode.CORRUPT_MESSAGE


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(KafkaError, match="no compression codec 6") as raised:
        compress(6, b"")
    assert raised.value.code is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


@given(junk=st.binary(max_size=120))
@settings(deadline=None)
def test_a_batch_full_of_junk_is_corrupt_or_read_but_never_a_crash(junk: bytes) -> None:
    batch = build_batch([(None, junk, ())], timestamp_ms=1)
    batch[61 : 61 + len(junk)] = junk
    try:
        list(read_records(batch))
    except KafkaError as error:
        assert error.code is ErrorCode.CORRUPT_MESSAGE


def test_control_records_are_nobodys_data() -> None:
    control = build_batch([(b"\0\0\0\1", b"\0\0\0\0\0\0", ())], timestamp_ms=1, producer_id=1, control=True)
    data = build_batch([(None, b"data", ())], timestamp_ms=1, base_offset=1)
    assert [record.value for record in read_records(control + data)] == [b"data"]
