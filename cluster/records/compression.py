"""The four codecs of Kafka's record batches, in the framings that Kafka's clients produce.

Here: bytes to bytes. gzip, lz4 and zstd are their standard formats; snappy comes in two shapes, see below.
Brokers use this only to search inside a batch by timestamp: what they store and serve stays compressed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import cramjam

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ports import Buffer


class Compression(IntEnum):
    """The codec's number in the attributes of a batch."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


# Java's snappy stream (xerial): this header, two int32 versions, then blocks, each after its int32 length.
# librdkafka writes one raw snappy block without any of that; readers must take both.
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + b"\x00\x00\x00\x01" * 2
_XERIAL_BLOCK_BYTES = 32 * 1024

# Java's lz4 reader refuses blocks that refer to earlier ones, which is all that the library's frames have. So a
# frame is put together here: magic, flags (version 1, independent blocks), 64 KiB blocks, checksum of those two.
_LZ4_HEADER = b"\x04\x22\x4d\x18\x60\x40\x82"
_LZ4_BLOCK_BYTES = 64 * 1024
_LZ4_IS_PLAIN = 1 << 31
_LZ4_END = bytes(4)


def compress(codec: int, plain: Buffer) -> bytes:
    """Return `plain` in the codec's format. Raises KafkaError(UNSUPPORTED_COMPRESSION_TYPE) for an unknown codec."""
    if codec == Compression.NONE:
        return bytes(plain)
    return _find(_COMPRESSORS, codec)(plain)


def decompress(codec: int, packed: Buffer) -> bytes:
    """Return what was compressed. Raises KafkaError: CORRUPT_MESSAGE, or UNSUPPORTED_COMPRESSION_TYPE."""
    if codec == Compression.NONE:
        return bytes(packed)
    try:
        return _find(_DECOMPRESSORS, codec)(packed)
    except cramjam.DecompressionError as error:
        name = Compression(codec).name.lower()
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the records are not valid {name}: {error}") from error


def _find(table: dict[int, Callable[[Buffer], bytes]], codec: int) -> Callable[[Buffer], bytes]:
    if codec not in table:
        raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"there is no compression codec {codec}")
    return table[codec]


def _compress_snappy(plain: Buffer) -> bytes:
    packed = bytearray(_XERIAL_HEADER)
    for start in range(0, len(plain), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(plain[start : start + _XERIAL_BLOCK_BYTES]))
        packed += len(block).to_bytes(4, "big")
        packed += block
    return bytes(packed)


def _compress_lz4(plain: Buffer) -> bytes:
    packed = bytearray(_LZ4_HEADER)
    for start in range(0, len(plain), _LZ4_BLOCK_BYTES):
        block = bytes(plain[start : start + _LZ4_BLOCK_BYTES])
        smaller = bytes(cramjam.lz4.compress_block(block, store_size=False))
        is_plain = len(smaller) >= len(block)
        content = block if is_plain else smaller
        packed += (len(content) | (_LZ4_IS_PLAIN if is_plain else 0)).to_bytes(4, "little")
        packed += content
    return bytes(packed + _LZ4_END)


def _decompress_snappy(packed: Buffer) -> bytes:
    if bytes(packed[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        return bytes(cramjam.snappy.decompress_raw(packed))
    plain = bytearray()
    position = len(_XERIAL_HEADER)
    while position < len(packed):
        size_bytes = int.from_bytes(packed[position : position + 4], "big")
        position += 4
        if position + size_bytes > len(packed):
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"a snappy block of {size_bytes} bytes is cut short")
        plain += bytes(cramjam.snappy.decompress_raw(packed[position : position + size_bytes]))
        position += size_bytes
    return bytes(plain)


_COMPRESSORS: dict[int, Callable[[Buffer], bytes]] = {
    Compression.GZIP: lambda plain: bytes(cramjam.gzip.compress(plain)),
    Compression.SNAPPY: _compress_snappy,
    Compression.LZ4: _compress_lz4,
    Compression.ZSTD: lambda plain: bytes(cramjam.zstd.compress(plain)),
}

_DECOMPRESSORS: dict[int, Callable[[Buffer], bytes]] = {
    Compression.GZIP: lambda packed: bytes(cramjam.gzip.decompress(packed)),
    Compression.SNAPPY: _decompress_snappy,
    Compression.LZ4: lambda packed: bytes(cramjam.lz4.decompress(packed)),
    Compression.ZSTD: lambda packed: bytes(cramjam.zstd.decompress(packed)),
}
