"""What the console consumers share: the options that say what is printed, the group, and printing to the end.

Here: the command line's side. Not here: columns (`cluster.console.message_formatter`) and where records come from.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import say
from cluster.console.errors import usage
from cluster.lab.errors import LabError

if TYPE_CHECKING:
    from cluster.console.message_formatter import ConsumedRecord, Printer
    from cluster.console.serialisation import Serialisation

MaxOption = Annotated[int, typer.Option("--max-messages", help="Stop after so many records.", show_default=False)]
SilenceOption = Annotated[
    int, typer.Option("--timeout-ms", help="Stop when none came for so long.", show_default=False)
]
FormatterOption = Annotated[str | None, typer.Option(help="Kafka's DefaultMessageFormatter or NoOpMessageFormatter.")]
PropertyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--property",
        "--formatter-property",
        help="What is printed, name=value: print.key, print.value, print.timestamp, print.partition, print.offset, "
        "print.epoch, print.headers, key.separator, line.separator, headers.separator, null.literal, "
        "key.deserializer, value.deserializer, headers.deserializer.",
        metavar="PROP",
    ),
]
FormatterConfigOption = Annotated[Path | None, typer.Option(help="A file of such properties.")]
ConsumerPropertyOption = Annotated[
    list[str] | None,
    typer.Option(help="A consumer property, such as fetch.min.bytes=1000; repeatable.", metavar="PROP"),
]
ConsumerConfigOption = Annotated[
    Path | None, typer.Option("--consumer.config", "--consumer-config", help="A file of them.", metavar="FILE")
]
DeserializerOption = Annotated[str | None, typer.Option(help="As the property of that name.", metavar="CLASS")]


def named_group(group: str | None, properties: Mapping[str, str]) -> str | None:
    """Return the group that an option or a property names. Raises LabError (usage) when they name two."""
    if group is not None and properties.get("group.id", group) != group:
        raise usage(
            f"The group ids provided in different places do not match: {group}, {properties['group.id']}.",
            "Give it once: --group.",
        )
    return group or properties.get("group.id")


def make_printer(
    class_name: str | None,
    config: Path | None,
    given: Sequence[str] | None,
    deserializers: Mapping[str, str | None],
    serialisations: tuple[Serialisation, Serialisation],
) -> Printer:
    """Return what prints a record, as a file of properties and options say; options win. Raises LabError (usage).

    `serialisations` are those of keys and of values.
    """
    from cluster.console.message_formatter import FORMATTERS, KNOWN
    from cluster.console.property_files import load_properties, parse_pairs
    from cluster.console.serialisation import make_decoder

    kind = FORMATTERS.get((class_name or "DefaultMessageFormatter").rpartition(".")[2])
    if kind is None:
        raise usage(f"There is no formatter {class_name}.", f"There are {', '.join(FORMATTERS)}.")
    chosen = {name: value for name, value in deserializers.items() if value}
    properties = {**load_properties(config), **chosen, **parse_pairs(given or [], "--property")}
    prefixes = tuple(f"{side}.deserializer." for side in ("key", "value", "headers"))
    named = {name: value for name, value in properties.items() if not name.startswith(prefixes)}
    kafka_options.warn_of_unknown(named, KNOWN, "--property")
    keys, values = serialisations
    return kind(properties, make_decoder(keys), make_decoder(values))


def print_records(records: Iterator[ConsumedRecord], prints: Printer, *, skips_errors: bool) -> None:
    """Print records until there are no more, or Ctrl-C; say how many there were. Raises LabError."""
    count = 0
    signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C
    try:
        for record in records:
            count += 1
            try:
                text = prints(record)
            except (LabError, ValueError) as error:
                if not skips_errors:
                    raise
                say(f"Error processing message, skipping this message: {error}")
                continue
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        say("Unable to write to standard out, closing consumer.")
        sys.stdout = None  # or the interpreter fails once more when it flushes
    finally:
        say(f"Processed a total of {count} messages")


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
