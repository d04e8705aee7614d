"""`fencepost console-producer`: a record for each line that is typed or piped in, with kafka-console-producer's flags.

A flag that is not given leaves the client's default, which departs from Kafka's tool in one place: that one waits a
second for a batch to fill (`--timeout`), and gives a record up after three retries.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options, serialisation_options
from cluster.cli.show import say
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.line_reader import LineReader
    from cluster.console.record_sender import RecordSender
    from cluster.console.serialisation import Encoder

SyncOption = Annotated[bool, typer.Option("--sync", help="Wait until each record is acknowledged.")]
CodecOption = Annotated[
    str | None, typer.Option(help="none, gzip, snappy, lz4 or zstd; gzip when no value is given.", metavar="[CODEC]")
]
AcksOption = Annotated[str | None, typer.Option(help="acks: all (or -1), 1 or 0.")]
BatchOption = Annotated[int | None, typer.Option(help="batch.size, in bytes.")]
BufferOption = Annotated[int | None, typer.Option(help="buffer.memory, in bytes.")]
RetriesOption = Annotated[int | None, typer.Option(help="retries.")]
BackoffOption = Annotated[int | None, typer.Option(help="retry.backoff.ms.")]
RequestTimeoutOption = Annotated[int | None, typer.Option(help="request.timeout.ms.")]
ExpiryOption = Annotated[int | None, typer.Option(help="metadata.max.age.ms.")]
BlockOption = Annotated[int | None, typer.Option(help="max.block.ms; has no effect.")]
SocketOption = Annotated[int | None, typer.Option(help="send.buffer.bytes.")]
LingerOption = Annotated[int | None, typer.Option(help="linger.ms: how long a batch may wait to fill.")]
ReaderOption = Annotated[str | None, typer.Option(help="Only Kafka's LineMessageReader.")]
PropertyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--property",
        "--reader-property",
        help="How lines are read, name=value: parse.key, key.separator, parse.headers, headers.delimiter, "
        "headers.separator, headers.key.separator, ignore.error, null.marker.",
        metavar="PROP",
    ),
]
ReaderConfigOption = Annotated[Path | None, typer.Option(help="A file of such properties.")]
ProducerPropertyOption = Annotated[
    list[str] | None, typer.Option(help="A producer property, such as linger.ms=5; repeatable.", metavar="PROP")
]
ProducerConfigOption = Annotated[
    Path | None, typer.Option("--producer.config", "--producer-config", help="A file of them.", metavar="FILE")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    parsed = kafka_options.kafka_command(optional_values={"--compression-codec": "gzip"})
    app.command("console-producer", cls=parsed)(console_producer)


def console_producer(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    broker_list: kafka_options.BrokerListOption = None,
    topic: kafka_options.TopicOption = None,
    sync: SyncOption = False,
    compression_codec: CodecOption = None,
    request_required_acks: AcksOption = None,
    batch_size: BatchOption = None,
    max_partition_memory_bytes: BatchOption = None,
    max_memory_bytes: BufferOption = None,
    message_send_max_retries: RetriesOption = None,
    retry_backoff_ms: BackoffOption = None,
    request_timeout_ms: RequestTimeoutOption = None,
    metadata_expiry_ms: ExpiryOption = None,
    max_block_ms: BlockOption = None,
    socket_buffer_size: SocketOption = None,
    timeout: LingerOption = None,
    line_reader: ReaderOption = None,
    reader_property: PropertyOption = None,
    reader_config: ReaderConfigOption = None,
    producer_property: ProducerPropertyOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    producer_config: ProducerConfigOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    key_format: serialisation_options.KeyFormatOption = "string",
    value_format: serialisation_options.ValueFormatOption = "string",
    key_schema: serialisation_options.KeySchemaOption = None,
    value_schema: serialisation_options.ValueSchemaOption = None,
    key_message: serialisation_options.KeyMessageOption = None,
    value_message: serialisation_options.ValueMessageOption = None,
    schema_registry: serialisation_options.RegistryOption = None,
) -> None:
    """Send a record for each line of standard input, as kafka-console-producer does."""
    from cluster.console.serialisation import Serialisation, make_encoder

    name = kafka_options.required_topic(topic)
    servers = kafka_options.bootstrap(bootstrap_server, broker_list)
    flags = {
        "compression.type": compression_codec,
        "acks": request_required_acks,
        "batch.size": max_partition_memory_bytes if max_partition_memory_bytes is not None else batch_size,
        "buffer.memory": max_memory_bytes,
        "retries": message_send_max_retries,
        "retry.backoff.ms": retry_backoff_ms,
        "request.timeout.ms": request_timeout_ms,
        "metadata.max.age.ms": metadata_expiry_ms,
        "max.block.ms": max_block_ms,
        "send.buffer.bytes": socket_buffer_size,
        "linger.ms": timeout,
    }
    texts = {"--producer-property": producer_property, "--command-property": command_property}
    chosen = kafka_options.client_properties([producer_config, command_config], texts)
    chosen.update({flag: str(value) for flag, value in flags.items() if value is not None})
    reader = _reader(line_reader, reader_config, reader_property)
    keys = Serialisation(key_format, key_schema, key_message, schema_registry)
    values = Serialisation(value_format, value_schema, value_message, schema_registry)
    encoders = make_encoder(keys, f"{name}-key"), make_encoder(values, f"{name}-value")
    _send_lines(_sender(name, servers, chosen, sync), reader, *encoders)


def _reader(class_name: str | None, file: Path | None, texts: list[str] | None) -> LineReader:
    from cluster.console.line_reader import KNOWN, LineReader
    from cluster.console.property_files import load_properties, parse_pairs

    if class_name is not None and class_name.rpartition(".")[2] != "LineMessageReader":
        raise usage(f"There is no line reader {class_name}.", "Java classes cannot be loaded; leave --line-reader out.")
    properties = {**load_properties(file), **parse_pairs(texts or [], "--property")}
    kafka_options.warn_of_unknown(properties, [*KNOWN, "topic"], "--property")
    return LineReader(properties)


def _sender(topic: str, servers: str, properties: Mapping[str, str], sync: bool) -> RecordSender:
    from cluster.console.clients import make_producer
    from cluster.console.record_sender import RecordSender

    complete = {"client.id": "console-producer", **properties, "bootstrap.servers": servers}
    return RecordSender(make_producer(complete, say), topic, sync=sync, say=say)


def _send_lines(sender: RecordSender, reader: LineReader, encode_key: Encoder, encode_value: Encoder) -> None:
    """Send until the input ends. What was read is sent, also when a line cannot be read or Ctrl-C is pressed."""
    try:
        for number, text in enumerate(_lines(), 1):
            line = reader.parse(text, number)
            key = None if line.key is None else encode_key(line.key)
            value = None if line.value is None else encode_value(line.value)
            sender.send(key, value, line.headers)
    finally:
        sender.close()
    if sender.failed:
        raise failure(f"{sender.failed} records were not delivered.", "The reasons are above.")


def _lines() -> Iterator[str]:
    """Yield lines without their ends, after a prompt when a person types them."""
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    stream = io.TextIOWrapper(sys.stdin.buffer, "utf-8", errors="replace", newline=None)
    while True:
        if asks:
            sys.stderr.write(">")
            sys.stderr.flush()
        line = stream.readline()
        if not line:
            return
        yield line.removesuffix("\n")
