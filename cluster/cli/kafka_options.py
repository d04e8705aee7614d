"""What the tools with Kafka's flags share: the options that each of them has, and two habits of Kafka's parsers.

Typer knows neither an option whose value may be left out (`--compression-codec`, joptsimple) nor one that takes all
values up to the next option (`--producer-props a=b c=d`, argparse4j): `kafka_command` rewrites both into what it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from cluster.cli.show import say
from cluster.console.errors import usage
from cluster.console.property_files import load_properties, parse_pairs

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

BootstrapOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-server",
        help="The brokers to connect to, host:port,host:port.",
        envvar="BOOTSTRAP_SERVERS",
        metavar="SERVER",
    ),
]
BrokerListOption = Annotated[
    str | None, typer.Option("--broker-list", help="As --bootstrap-server, by its older name.", metavar="SERVER")
]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Which topic.")]
CommandConfigOption = Annotated[
    Path | None, typer.Option("--command-config", help="A file of client properties.", metavar="FILE")
]
CommandPropertyOption = Annotated[
    list[str] | None,
    typer.Option("--command-property", help="A client property, name=value; repeatable (KIP-1147).", metavar="PROP"),
]
TimeoutOption = Annotated[int, typer.Option("--timeout", help="How long to wait for the brokers, in ms.", min=1)]

DEFAULT_TIMEOUT_MS = 15_000

_PORT_MAX = 65_535


def kafka_command(
    *, optional_values: Mapping[str, str] | None = None, several_values: Sequence[str] = ()
) -> type[TyperCommand]:
    """Return the class of a command whose options are parsed as Kafka's are.

    `optional_values` gives the value that an option has when none follows it; `several_values` names the options
    that take every word up to the next option.
    """

    class KafkaCommand(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, spelled_out(args, optional_values or {}, several_values))

    return KafkaCommand


def spelled_out(
    arguments: Sequence[str], optional_values: Mapping[str, str], several_values: Sequence[str]
) -> list[str]:
    """Return the arguments with every option next to exactly one value."""
    result: list[str] = []
    option = ""  # the one whose values are being read
    for word, following in zip(arguments, [*arguments, "--"][1:], strict=True):
        if word.startswith("--"):
            option = word
            is_alone = following.startswith("--")
            result.append(f"{word}={optional_values[word]}" if word in optional_values and is_alone else word)
        elif option in several_values and result[-1] != option:
            result += [option, word]
        else:
            result.append(word)
    return result


def bootstrap(server: str | None, broker_list: str | None = None) -> str:
    """Return the servers of whichever option names them. Raises LabError (usage) when none does, or one oddly."""
    servers = broker_list or server  # the other may come from the environment
    if not servers:
        raise usage(
            'Missing required argument "[bootstrap-server]"',
            "`fencepost ps` shows the addresses; --bootstrap-server takes them, and so does BOOTSTRAP_SERVERS.",
        )
    for address in servers.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > _PORT_MAX:
            raise usage(f"{address!r} is not a server.", "Write host:port, such as localhost:9092.")
    return servers


def required_topic(topic: str | None) -> str:
    """Return the topic. Raises LabError (usage) when there is none."""
    if not topic:
        raise usage('Missing required argument "[topic]"', "Name it: --topic orders.")
    return topic


def client_properties(files: Sequence[Path | None], texts: Mapping[str, Sequence[str] | None]) -> dict[str, str]:
    """Return what files and options say; options win, and the last of them wins."""
    merged: dict[str, str] = {}
    for path in files:
        merged.update(load_properties(path))
    for option, values in texts.items():
        merged.update(parse_pairs(values or [], option))
    return merged


def warn_of_unknown(properties: Mapping[str, str], known: Sequence[str], option: str) -> None:
    """Tell of properties that nothing reads: Kafka's tools pass over them silently, and a misspelling stays unseen."""
    from difflib import get_close_matches

    for name in properties:
        if name not in known:
            close = get_close_matches(name, known, 1)
            say(f"{option} {name} has no effect{f'; did you mean {close[0]}?' if close else '.'}")


def only_action(actions: Mapping[str, bool]) -> str:
    """Return the one action that was chosen. Raises LabError (usage) when none was, or several were."""
    chosen = [name for name, is_chosen in actions.items() if is_chosen]
    if len(chosen) != 1:
        *others, last = actions
        raise usage(
            f"Command must include exactly one action: {', '.join(others)} or {last}",
            f"There were {', '.join(chosen)}." if chosen else "Add one of them.",
        )
    return chosen[0]


def admin_client(server: str | None, config: Path | None, properties: Sequence[str] | None) -> AdminClient:
    """Return the client of a command that administers. Raises LabError (usage)."""
    from cluster.console.clients import make_admin

    given = client_properties([config], {"--command-property": properties})
    return make_admin({"client.id": "admin", **given, "bootstrap.servers": bootstrap(server)}, say)
