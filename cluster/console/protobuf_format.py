"""Protobuf: binary in the record, its JSON mapping on the line; the schema is a .proto file.

A schema holds several messages. Confluent's wire format says which one by its indexes, from the outermost in: their
count and each of them as a zigzag varint; a single zero byte stands for the first message, which is nearly every case.
"""

from __future__ import annotations

import base64
import importlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.console.errors import usage

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_FILE = "schema.proto"


class ProtobufSchema:
    """The messages of one file, and the one among them that records hold."""

    def __init__(self, text: str, message: str | None) -> None:
        """`text` is a .proto file, or its descriptor in base64; no message, the first. Raises LabError (usage)."""
        from google.protobuf.descriptor_pool import DescriptorPool

        self.text = text
        pool = DescriptorPool()
        files = _descriptors(text)
        self._file = files.file[-1]
        for file in files.file:
            pool.Add(file)
        self._messages = list(_messages(pool.FindFileByName(self._file.name)))
        if not self._messages:
            raise usage("The .proto file has no message.", "Write one: message Order { string id = 1; }")
        self._chosen = self._messages[0][1] if message is None else self._named(message)

    def encode(self, text: str, *, framed: bool) -> bytes:
        """Turn JSON into Protobuf. Raises ValueError."""
        from google.protobuf.json_format import Parse, ParseError

        try:
            content: bytes = Parse(text, _new(self._chosen)).SerializeToString()
        except ParseError as error:
            raise ValueError(str(error)) from error
        if not framed:
            return content
        indexes = next(indexes for indexes, descriptor in self._messages if descriptor is self._chosen)
        return write_indexes(indexes) + content

    def decode(self, payload: bytes, *, framed: bool) -> str:
        """Turn Protobuf into JSON; when framed, the indexes say which message it is. Raises ValueError."""
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message import DecodeError

        descriptor, start = self._chosen, 0
        if framed:
            indexes, start = read_indexes(payload)
            descriptor = self._indexed(indexes)
        message = _new(descriptor)
        try:
            message.ParseFromString(payload[start:])
        except DecodeError as error:
            raise ValueError(str(error)) from error
        value = MessageToDict(message, always_print_fields_with_no_presence=True)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def descriptor(self) -> str:
        """Return the file's descriptor in base64, which is what Confluent's Python client asks a registry for."""
        return base64.b64encode(self._file.SerializeToString()).decode()

    def messages(self) -> dict[str, Descriptor]:
        """Return all messages by their full names."""
        return {descriptor.full_name: descriptor for _, descriptor in self._messages}

    def _named(self, name: str) -> Descriptor:
        for _, descriptor in self._messages:
            if name in (descriptor.full_name, descriptor.name):
                return descriptor
        names = ", ".join(descriptor.full_name for _, descriptor in self._messages)
        raise usage(f"The .proto file has no message {name}.", f"It has {names}.")

    def _indexed(self, indexes: list[int]) -> Descriptor:
        for known, descriptor in self._messages:
            if known == indexes:
                return descriptor
        raise ValueError(f"the schema has no message with the indexes {indexes}")


def write_indexes(indexes: list[int]) -> bytes:
    """Return the indexes as the wire format has them."""
    if indexes == [0]:
        return b"\0"
    return b"".join(_varint(number << 1) for number in (len(indexes), *indexes))


def read_indexes(payload: bytes) -> tuple[list[int], int]:
    """Return the indexes, and where the message begins. Raises ValueError when the bytes end too early."""
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            if position >= len(payload):
                raise ValueError("the message indexes are cut short")
            byte = payload[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    count = number()
    return ([number() for _ in range(count)] if count else [0]), position


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _messages(container: Any, outer: tuple[int, ...] = ()) -> Iterator[tuple[list[int], Descriptor]]:
    """Yield every message of a file and those inside it, each with its indexes, in the file's order."""
    inner = container.nested_types if outer else container.message_types_by_name.values()
    declared = [message for message in inner if not message.GetOptions().map_entry]
    for index, message in enumerate(declared):
        yield [*outer, index], message
        yield from _messages(message, (*outer, index))


def _new(descriptor: Descriptor) -> Any:
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(descriptor)()


def _descriptors(text: str) -> FileDescriptorSet:
    """Return the file and all that it imports, the file itself last."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    serialised = _serialised(text)
    if serialised is None:
        return _compiled(text)
    return FileDescriptorSet(file=[*(_well_known(name) for name in serialised.dependency), serialised])


def _serialised(text: str) -> FileDescriptorProto | None:
    """Read a descriptor in base64, which is what some clients register."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.message import DecodeError

    try:
        return FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (ValueError, DecodeError):
        return None


def _well_known(name: str) -> FileDescriptorProto:
    """Return the descriptor of a file such as google/protobuf/timestamp.proto."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    descriptor = FileDescriptorProto()
    try:
        module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    except ImportError as error:
        raise usage(f"The schema imports {name}, which is not known here.", "Give it as one .proto file.") from error
    module.DESCRIPTOR.CopyToProto(descriptor)
    return descriptor


def _compiled(text: str) -> FileDescriptorSet:
    import grpc_tools
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from grpc_tools import protoc

    well_known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / _FILE, Path(directory) / "descriptors"
        source.write_text(text)
        code = protoc.main(
            [
                "protoc",
                f"-I{directory}",
                f"-I{well_known}",
                "--include_imports",
                f"--descriptor_set_out={target}",
                _FILE,
            ]
        )
        if code != 0:
            raise usage("The .proto file does not compile.", "The compiler's reasons are above.")
        return FileDescriptorSet.FromString(target.read_bytes())
