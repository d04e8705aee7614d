"""Wire: the Kafka protocol's bytes. Frames, headers, messages through kio, and a copy-free Produce and Fetch."""

from cluster.wire.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResult,
    decode_fetch_request,
    encode_fetch_response,
)
from cluster.wire.framing import FrameBuffer
from cluster.wire.headers import API_VERSIONS_KEY, RequestHeader, body_of, frame_response, read_request_header
from cluster.wire.messages import (
    Fields,
    Message,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    is_flexible,
    load_schemas,
    version_range,
)
from cluster.wire.primitives import (
    INT16,
    INT32,
    INT64,
    Cursor,
    MalformedMessage,
    length,
    string,
    tagged,
    topic_id_of,
    unsigned_varint,
)
from cluster.wire.produce import (
    NodeEndpoint,
    ProduceRequest,
    ProduceResult,
    TopicKey,
    decode_produce_request,
    encode_produce_response,
)
from cluster.wire.refusals import encode_refusal

__all__ = [
    "API_VERSIONS_KEY",
    "INT16",
    "INT32",
    "INT64",
    "Cursor",
    "FetchPartition",
    "FetchRequest",
    "FetchResult",
    "Fields",
    "FrameBuffer",
    "MalformedMessage",
    "Message",
    "NodeEndpoint",
    "ProduceRequest",
    "ProduceResult",
    "RequestHeader",
    "TopicKey",
    "body_of",
    "decode_fetch_request",
    "decode_produce_request",
    "decode_request",
    "decode_response",
    "encode_fetch_response",
    "encode_produce_response",
    "encode_refusal",
    "encode_request",
    "encode_response",
    "frame_response",
    "is_flexible",
    "length",
    "load_schemas",
    "read_request_header",
    "string",
    "tagged",
    "topic_id_of",
    "unsigned_varint",
    "version_range",
]
