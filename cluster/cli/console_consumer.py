"""`fencepost console-consumer`: records on standard output, with kafka-console-consumer's flags and formats."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options, serialisation_options
from cluster.cli.record_printing import (
    ConsumerConfigOption,
    ConsumerPropertyOption,
    DeserializerOption,
    FormatterConfigOption,
    FormatterOption,
    MaxOption,
    PropertyOption,
    SilenceOption,
    make_printer,
    named_group,
    print_records,
)
from cluster.cli.show import say
from cluster.console.errors import usage

if TYPE_CHECKING:
    from cluster.console.message_formatter import Printer
    from cluster.console.record_source import Selection

IncludeOption = Annotated[str | None, typer.Option(help="A regular expression of topics.", metavar="REGEX")]
PartitionOption = Annotated[int | None, typer.Option(help="Read one partition, from its end unless --offset is given.")]
OffsetOption = Annotated[str | None, typer.Option(help="Where to begin: a number, earliest, or latest.")]
BeginningOption = Annotated[bool, typer.Option("--from-beginning", help="Begin with the first record there is.")]
GroupOption = Annotated[str | None, typer.Option(help="The consumer group.")]
IsolationOption = Annotated[str | None, typer.Option(help="read_committed, or read_uncommitted, the default.")]
SkipOption = Annotated[bool, typer.Option("--skip-message-on-error", help="Pass over what cannot be printed.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("console-consumer")(console_consumer)


def console_consumer(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    topic: kafka_options.TopicOption = None,
    include: IncludeOption = None,
    partition: PartitionOption = None,
    offset: OffsetOption = None,
    from_beginning: BeginningOption = False,
    max_messages: MaxOption = -1,
    timeout_ms: SilenceOption = -1,
    group: GroupOption = None,
    isolation_level: IsolationOption = None,
    skip_message_on_error: SkipOption = False,
    formatter: FormatterOption = None,
    formatter_property: PropertyOption = None,
    formatter_config: FormatterConfigOption = None,
    key_deserializer: DeserializerOption = None,
    value_deserializer: DeserializerOption = None,
    consumer_property: ConsumerPropertyOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    consumer_config: ConsumerConfigOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    key_format: serialisation_options.KeyFormatOption = "string",
    value_format: serialisation_options.ValueFormatOption = "string",
    key_schema: serialisation_options.KeySchemaOption = None,
    value_schema: serialisation_options.ValueSchemaOption = None,
    key_message: serialisation_options.KeyMessageOption = None,
    value_message: serialisation_options.ValueMessageOption = None,
    schema_registry: serialisation_options.RegistryOption = None,
) -> None:
    """Print the records of a topic, as kafka-console-consumer does; Ctrl-C ends it."""
    from cluster.console.serialisation import Serialisation

    servers = kafka_options.bootstrap(bootstrap_server)
    selection = _selection(topic, include, partition, offset, from_beginning)
    texts = {"--consumer-property": consumer_property, "--command-property": command_property}
    given = kafka_options.client_properties([consumer_config, command_config], texts)
    if isolation_level is not None:
        given["isolation.level"] = isolation_level
    properties = {**_consumer_properties(given, group, from_beginning), "bootstrap.servers": servers}
    deserializers = {"key.deserializer": key_deserializer, "value.deserializer": value_deserializer}
    keys = Serialisation(key_format, key_schema, key_message, schema_registry)
    values = Serialisation(value_format, value_schema, value_message, schema_registry)
    prints = make_printer(formatter, formatter_config, formatter_property, deserializers, (keys, values))
    _print_records(properties, selection, prints, (max_messages, timeout_ms), skips_errors=skip_message_on_error)


def _selection(
    topic: str | None, include: str | None, partition: int | None, offset: str | None, from_beginning: bool
) -> Selection:
    """Check what belongs together, as ConsoleConsumerOptions does."""
    from cluster.console.record_source import EARLIEST, LATEST, Selection

    if (topic is None) == (include is None):
        raise usage("Exactly one of --include/--topic is required.", "Name a topic: --topic orders.")
    if partition is not None and topic is None:
        raise usage("The topic is required when partition is specified.", "Name it: --topic orders.")
    if offset is not None and partition is None:
        raise usage("The partition is required when offset is specified.", "Name it: --partition 0.")
    if offset is not None and from_beginning:
        raise usage("Options from-beginning and offset cannot be specified together.", "Leave one of them out.")
    ends = {"earliest": EARLIEST, "latest": LATEST}
    start = EARLIEST if from_beginning else LATEST
    if offset is not None:
        start = ends.get(offset.lower(), int(offset) if offset.isdigit() else -3)
    if start < EARLIEST:
        raise usage(
            f"The provided offset value '{offset}' is incorrect.",
            "Valid values are 'earliest', 'latest', or a non-negative long.",
        )
    return Selection(topic, include, partition, start)


def _consumer_properties(given: Mapping[str, str], group: str | None, from_beginning: bool) -> dict[str, str]:
    """Return the properties with the group, and where a group without offsets begins."""
    properties = {"client.id": "console-consumer", **given}
    named = named_group(group, properties)
    if named is None:  # a group for this run only: its offsets are nobody's
        properties.setdefault("enable.auto.commit", "false")
    properties["group.id"] = named or f"console-consumer-{random.randrange(100_000)}"
    reset = properties.setdefault("auto.offset.reset", "earliest" if from_beginning else "latest")
    if from_beginning and reset != "earliest":
        raise usage(
            f"Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}'.",
            "Please remove one option.",
        )
    return properties


def _print_records(
    properties: Mapping[str, str],
    selection: Selection,
    prints: Printer,
    until: tuple[int, int],
    *,
    skips_errors: bool,
) -> None:
    """Print until so many records or so long a silence (ms), or Ctrl-C; say how many there were. Leaves the group."""
    from cluster.console.clients import make_consumer
    from cluster.console.record_source import consume, select

    with closing(make_consumer(properties, say)) as consumer:
        select(consumer, selection)
        print_records(consume(consumer, *until, say), prints, skips_errors=skips_errors)
