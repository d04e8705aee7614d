"""`fencepost console-share-consumer`: records as a member of a share group, with the flags of Kafka's (KIP-932)."""

from __future__ import annotations

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

DEFAULT_GROUP = "console-share-consumer"

GroupOption = Annotated[str | None, typer.Option(help="The share group.", show_default=DEFAULT_GROUP)]
ReleaseOption = Annotated[bool, typer.Option("--release", help="Release the records: they are delivered again.")]
RejectOption = Annotated[bool, typer.Option("--reject", help="Reject the records: nobody gets them any more.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("console-share-consumer")(console_share_consumer)


def console_share_consumer(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    topic: kafka_options.TopicOption = None,
    group: GroupOption = None,
    max_messages: MaxOption = -1,
    timeout_ms: SilenceOption = -1,
    release: ReleaseOption = False,
    reject: RejectOption = False,
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
    """Print records that no other member of the group gets, and accept them; Ctrl-C ends it."""
    from cluster.console.serialisation import Serialisation

    servers = kafka_options.bootstrap(bootstrap_server)
    name = kafka_options.required_topic(topic)
    if release and reject:
        raise usage("At most one of --reject and --release may be specified.", "Leave one of them out.")
    texts = {"--consumer-property": consumer_property, "--command-property": command_property}
    given = kafka_options.client_properties([consumer_config, command_config], texts)
    named = named_group(group, given) or DEFAULT_GROUP
    properties = {"client.id": DEFAULT_GROUP, **given, "group.id": named, "bootstrap.servers": servers}
    deserializers = {"key.deserializer": key_deserializer, "value.deserializer": value_deserializer}
    keys = Serialisation(key_format, key_schema, key_message, schema_registry)
    values = Serialisation(value_format, value_schema, value_message, schema_registry)
    prints = make_printer(formatter, formatter_config, formatter_property, deserializers, (keys, values))
    answer = "RELEASE" if release else "REJECT" if reject else "ACCEPT"
    _print_shared(properties, name, answer, (max_messages, timeout_ms), prints)


def _print_shared(
    properties: Mapping[str, str], topic: str, answer: str, until: tuple[int, int], prints: Printer
) -> None:
    """Print until so many records or so long a silence (ms), or Ctrl-C. Leaves the group."""
    from confluent_kafka import AcknowledgeType

    from cluster.console.clients import make_share_consumer
    from cluster.console.share_source import consume_shared

    with closing(make_share_consumer(properties, say)) as consumer:
        consumer.subscribe([topic])
        print_records(consume_shared(consumer, AcknowledgeType[answer], *until, say), prints, skips_errors=False)
