"""`fencepost configs`: show and change the configs of topics and brokers, with kafka-configs' flags and lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import show_lines
from cluster.console.errors import usage

DescribeOption = Annotated[bool, typer.Option("--describe", help="Show configs.")]
AlterOption = Annotated[bool, typer.Option("--alter", help="Change configs.")]
TypeOption = Annotated[str | None, typer.Option(help="topics, brokers or groups.")]
NameOption = Annotated[str | None, typer.Option(help="A topic's name, a broker's id, a group's id.")]
DefaultOption = Annotated[bool, typer.Option("--entity-default", help="What holds for all brokers.")]
TopicOption = Annotated[str | None, typer.Option(help="As --entity-type topics --entity-name.")]
BrokerOption = Annotated[str | None, typer.Option(help="As --entity-type brokers --entity-name.")]
GroupOption = Annotated[str | None, typer.Option(help="As --entity-type groups --entity-name.")]
BrokerDefaultsOption = Annotated[bool, typer.Option("--broker-defaults", help="What holds for all brokers.")]
AllOption = Annotated[bool, typer.Option("--all", help="Also what was not set, with where it comes from.")]
AddOption = Annotated[str | None, typer.Option(help="Set: name=value,name=[value,value].", metavar="LIST")]
AddFileOption = Annotated[Path | None, typer.Option(help="Set what a .properties file says.", metavar="FILE")]
DeleteOption = Annotated[list[str] | None, typer.Option(help="Set no longer: name,name.", metavar="LIST")]

_TYPES = ("topics", "brokers", "groups")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("configs")(configs)


def configs(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    describe: DescribeOption = False,
    alter: AlterOption = False,
    entity_type: TypeOption = None,
    entity_name: NameOption = None,
    entity_default: DefaultOption = False,
    topic: TopicOption = None,
    broker: BrokerOption = None,
    group: GroupOption = None,
    broker_defaults: BrokerDefaultsOption = False,
    show_all: AllOption = False,
    add_config: AddOption = None,
    add_config_file: AddFileOption = None,
    delete_config: DeleteOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Show or change the configs of topics and brokers, as kafka-configs does."""
    from cluster.console.config_calls import BROKER_DEFAULTS, ConfigCalls, Entity, describe_entity, parse_added
    from cluster.console.property_files import load_properties

    action = kafka_options.only_action({"--describe": describe, "--alter": alter})
    named: dict[str, tuple[str, str]] = {
        option: (kind, value)
        for option, kind, value in (
            ("--topic", "topics", topic),
            ("--broker", "brokers", broker),
            ("--group", "groups", group),
            ("--broker-defaults", "brokers", BROKER_DEFAULTS if broker_defaults else None),
        )
        if value is not None
    }
    kind, name = _entity(named, entity_type, BROKER_DEFAULTS if entity_default else entity_name)
    added = {**load_properties(add_config_file), **(parse_added(add_config) if add_config else {})}
    deleted = [part.strip() for text in delete_config or [] for part in text.split(",")]
    if action == "--describe" and (added or deleted):
        raise usage("--describe changes nothing.", "Leave --add-config and --delete-config out, or choose --alter.")
    if action == "--alter" and not added and not deleted:
        raise usage(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter.",
            "Say what to change: --add-config min.insync.replicas=2.",
        )
    if action == "--alter" and name is None:
        raise usage("An entity name must be specified with --alter.", "Add --entity-name, or --entity-default.")
    calls = ConfigCalls(kafka_options.admin_client(bootstrap_server, command_config, command_property), timeout)
    if alter:
        assert name is not None, "it is required above"
        calls.alter(Entity(kind, name), added, deleted)
        default = f"default config for {kind} in the cluster"
        typer.echo(f"Completed updating {f'config for {kind[:-1]} {name}' if name else default}.")
        return
    for each in calls.names(kind) if name is None else [name]:
        entity = Entity(kind, each)
        show_lines(describe_entity(entity, calls.settings(entity), show_all=show_all))


def _entity(named: dict[str, tuple[str, str]], kind: str | None, name: str | None) -> tuple[str, str | None]:
    """Return type and name, however they were given; no name is every entity of the type."""
    if kind is not None and named:
        raise usage(
            f"--entity-type cannot be given together with {next(iter(named))}.", "Say which entity in one way only."
        )
    if len(named) > 1:
        raise usage(f"Only one of {', '.join(named)} can be given.", "Configure one entity at a time.")
    if named:
        return next(iter(named.values()))
    if kind is None:
        raise usage("At least one entity type must be specified.", "Add --entity-type topics or --entity-type brokers.")
    if kind not in _TYPES:
        served = ", ".join(_TYPES)
        raise usage(
            f"Invalid entity type {kind}, the entity type must be one of {served}.",
            "Quotas of clients and users are set through an admin client.",
        )
    if kind == "groups" and name is None:
        raise usage("A group's configs are described by its name.", "Add --entity-name.")
    if kind == "brokers" and name and not name.isdigit():
        raise usage(
            f"The entity name for brokers must be a valid integer broker id, found: {name}", "`fencepost ps` shows ids."
        )
    return kind, name
