"""`fencepost topic`: create, list, describe and remove topics, and see each replica as its own node sees it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cluster.cli.command_list import WholeSentences
from cluster.cli.options import DEFAULT, JsonOption, NameOption, properties
from cluster.cli.show import say, show_json, show_table
from cluster.lab import USAGE, LabError, TopicSpec
from cluster.lab.control import ask


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topic = typer.Typer(cls=WholeSentences, no_args_is_help=True, help="Create, list, describe and remove topics.")
    topic.command("create")(create)
    topic.command("ls")(list_)
    topic.command("describe")(describe)
    topic.command("rm")(remove)
    app.add_typer(topic, name="topic")


def create(
    *,
    topic: Annotated[str, typer.Argument(help="name, or name:partitions:replication-factor.")],
    partitions: Annotated[int | None, typer.Option("--partitions", min=1)] = None,
    replication_factor: Annotated[int | None, typer.Option("--replication-factor", min=1)] = None,
    config: Annotated[list[str] | None, typer.Option("--config", help="A topic config, name=value.")] = None,
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Create a topic; return when every replica is in sync."""
    given = TopicSpec.parse(topic)
    brokers = [node for node in ask(name, "ps")["nodes"] if "broker" in node["roles"]]
    default = given.replication_factor if topic.count(":") == 2 else min(3, len(brokers))
    spec = TopicSpec(
        given.name,
        partitions or given.partitions,
        replication_factor or default,
        properties(config or [], "--config"),
    )
    created = ask(name, "topic-create", topic=asdict(spec))
    if as_json:
        show_json(created)
    else:
        say(f"Created {spec.name}: {spec.partitions} partitions, {spec.replication_factor} replicas each.")


def list_(name: NameOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the topics."""
    counts: dict[str, list[int]] = {}
    for row in ask(name, "topic-describe"):
        counts.setdefault(row["topic"], []).append(len(row["replicas"]))
    topics = [
        {"topic": topic, "partitions": len(replicas), "replication_factor": max(replicas)}
        for topic, replicas in counts.items()
    ]
    if as_json:
        show_json(topics)
    else:
        header = ("TOPIC", "PARTITIONS", "REPLICATION-FACTOR")
        show_table(header, [tuple(topic.values()) for topic in topics])


def describe(
    topic: Annotated[str | None, typer.Argument(help="Which topic; all when none is named.")] = None,
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show leader, epoch, ISR and ELR of each partition, and each replica's log end offset and high watermark."""
    rows = [row for row in ask(name, "topic-describe") if topic in (None, row["topic"])]
    if topic is not None and not rows:
        raise LabError(f"There is no topic called {topic}.", "`fencepost topic ls` shows what there is.", USAGE)
    if as_json:
        show_json(rows)
        return
    header = ("PARTITION", "LEADER", "EPOCH", "ISR", "ELR", "REPLICA", "ROLE", "LEO", "HW")
    show_table(header, [line for row in rows for line in _lines(row)])


def remove(
    topic: Annotated[str, typer.Argument(help="Which topic.")], name: NameOption = DEFAULT, as_json: JsonOption = False
) -> None:
    """Remove a topic and all its records."""
    removed = ask(name, "topic-rm", topic=topic)
    if as_json:
        show_json(removed)
    else:
        say(f"Removed {topic}.")


def _lines(row: dict[str, Any]) -> list[tuple[object, ...]]:
    """One line for each replica; what belongs to the partition is on its first line only."""
    lines: list[tuple[object, ...]] = []
    for number, replica in enumerate(row["replicas"]):
        partition = (
            (f"{row['topic']}-{row['partition']}", row["leader"] or "none", row["leader_epoch"], row["isr"], row["elr"])
            if number == 0
            else (" ", " ", " ", " ", " ")
        )
        in_sync = "" if replica["node"] in row["isr"] else ", out of sync"
        role = (replica["role"] or "no answer") + in_sync
        lines.append((*partition, replica["node"], role, replica["log_end_offset"], replica["high_watermark"]))
    return lines
