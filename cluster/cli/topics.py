"""`fencepost topics`: create, list, describe, alter and delete topics, with kafka-topics' flags and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import say, show_lines
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.topic_calls import TopicCalls
    from cluster.console.topic_text import Report

CreateOption = Annotated[bool, typer.Option("--create", help="Create a topic.")]
ListOption = Annotated[bool, typer.Option("--list", help="List all topics.")]
DescribeOption = Annotated[bool, typer.Option("--describe", help="Show partitions, leaders, replicas, ISR.")]
AlterOption = Annotated[bool, typer.Option("--alter", help="Add partitions.")]
DeleteOption = Annotated[bool, typer.Option("--delete", help="Delete topics.")]
PatternOption = Annotated[
    str | None, typer.Option("--topic", help="Which topic; a regular expression, except with --create.")
]
PartitionsOption = Annotated[int | None, typer.Option(help="How many partitions; the cluster's default.")]
FactorOption = Annotated[int | None, typer.Option(help="How many replicas; the cluster's default.")]
AssignmentOption = Annotated[
    str | None, typer.Option(help="Brokers of each partition: broker:broker,broker:broker.", metavar="LIST")
]
ConfigOption = Annotated[list[str] | None, typer.Option(help="A config of the new topic, name=value; repeatable.")]
IfNotExistsOption = Annotated[bool, typer.Option("--if-not-exists", help="Create only when there is none.")]
IfExistsOption = Annotated[bool, typer.Option("--if-exists", help="Do it only when the topic exists.")]
ExcludeOption = Annotated[bool, typer.Option("--exclude-internal", help="Leave internal topics out.")]
UnderReplicatedOption = Annotated[
    bool, typer.Option("--under-replicated-partitions", help="Only partitions with replicas out of sync.")
]
UnavailableOption = Annotated[bool, typer.Option("--unavailable-partitions", help="Only partitions without a leader.")]
UnderMinOption = Annotated[
    bool, typer.Option("--under-min-isr-partitions", help="Only partitions with less in sync than configured.")
]
AtMinOption = Annotated[
    bool, typer.Option("--at-min-isr-partitions", help="Only partitions with just as many in sync as configured.")
]
OverridesOption = Annotated[bool, typer.Option("--topics-with-overrides", help="Only topics with configs.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("topics")(topics)


def topics(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    create: CreateOption = False,
    list_: ListOption = False,
    describe: DescribeOption = False,
    alter: AlterOption = False,
    delete: DeleteOption = False,
    topic: PatternOption = None,
    partitions: PartitionsOption = None,
    replication_factor: FactorOption = None,
    replica_assignment: AssignmentOption = None,
    config: ConfigOption = None,
    if_not_exists: IfNotExistsOption = False,
    if_exists: IfExistsOption = False,
    exclude_internal: ExcludeOption = False,
    under_replicated_partitions: UnderReplicatedOption = False,
    unavailable_partitions: UnavailableOption = False,
    under_min_isr_partitions: UnderMinOption = False,
    at_min_isr_partitions: AtMinOption = False,
    topics_with_overrides: OverridesOption = False,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Create, list, describe, alter or delete topics, as kafka-topics does."""
    from cluster.console.topic_calls import TopicCalls
    from cluster.console.topic_text import Report, matching, parse_assignment, parse_topic_configs

    actions = {"--create": create, "--list": list_, "--describe": describe, "--alter": alter, "--delete": delete}
    action = kafka_options.only_action(actions)
    _check(
        action,
        {
            "--partitions": (partitions is not None, ("--create", "--alter")),
            "--replication-factor": (replication_factor is not None, ("--create",)),
            "--replica-assignment": (replica_assignment is not None, ("--create", "--alter")),
            "--config": (bool(config), ("--create",)),
            "--if-not-exists": (if_not_exists, ("--create",)),
            "--if-exists": (if_exists, ("--alter", "--delete", "--describe")),
            "--exclude-internal": (exclude_internal, ("--list", "--describe")),
        },
    )
    if action not in ("--list", "--describe"):
        kafka_options.required_topic(topic)
    assignment = None if replica_assignment is None else parse_assignment(replica_assignment)
    admin = kafka_options.admin_client(bootstrap_server, command_config, command_property)
    calls = TopicCalls(admin, timeout)
    if create:
        assert topic is not None, "it is required above"
        _warn_of_colliding(topic)
        configs = parse_topic_configs(config or [])
        if calls.create(topic, partitions, replication_factor, assignment, configs, if_not_exists=if_not_exists):
            typer.echo(f"Created topic {topic}.")
        return
    names = matching(calls.names(), topic, exclude_internal=exclude_internal)
    if topic is not None and not names and not if_exists and action != "--list":
        raise failure(f"Error while executing topic command : Topic '{topic}' does not exist as expected", _LIST)
    if list_:
        typer.echo("\n".join(names))
    elif describe:
        report = Report(
            under_replicated_partitions, unavailable_partitions, under_min_isr_partitions, at_min_isr_partitions
        )
        _describe(calls, names, report, topics_with_overrides)
    elif names and alter:
        calls.add_partitions(names, _required_partitions(partitions), assignment)
    elif names:
        calls.delete(names)


_LIST = "`fencepost topics --list` shows the topics there are."


def _check(action: str, options: dict[str, tuple[bool, tuple[str, ...]]]) -> None:
    for option, (given, allowed) in options.items():
        if given and action not in allowed:
            raise usage(f'Option "[{option[2:]}]" can\'t be used with option "[{action[2:]}]"', f"Leave {option} out.")


def _required_partitions(partitions: int | None) -> int:
    if partitions is None:
        raise usage(
            'Missing required argument "[partitions]"',
            "--alter adds partitions; `fencepost configs --alter` changes a topic's configs.",
        )
    return partitions


def _describe(calls: TopicCalls, names: list[str], report: Report, only_overridden: bool) -> None:
    from cluster.console.topic_text import describe_topic

    live_brokers = calls.live_brokers()
    for topic in calls.describe(names):
        if only_overridden and not topic.configs:
            continue
        show_lines(describe_topic(topic, report, live_brokers, with_partitions=not only_overridden))


def _warn_of_colliding(topic: str) -> None:
    if "." in topic or "_" in topic:
        say(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could "
            "collide. To avoid issues it is best to use either, but not both."
        )
