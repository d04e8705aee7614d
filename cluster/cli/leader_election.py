"""`fencepost leader-election`: elect preferred or unclean leaders, with kafka-leader-election's flags and lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.base.ids import TopicPartition

TypeOption = Annotated[
    str | None, typer.Option(help="preferred: the first replica, if in sync; unclean: whoever runs, with a loss.")
]
PartitionOption = Annotated[int | None, typer.Option(help="Which partition of --topic.")]
AllOption = Annotated[bool, typer.Option("--all-topic-partitions", help="All partitions.")]
FileOption = Annotated[
    Path | None,
    typer.Option("--path-to-json-file", help='{"partitions":[{"topic":"t","partition":0}]}', metavar="FILE"),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("leader-election")(leader_election)


def leader_election(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    election_type: TypeOption = None,
    topic: kafka_options.TopicOption = None,
    partition: PartitionOption = None,
    all_topic_partitions: AllOption = False,
    path_to_json_file: FileOption = None,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Elect leaders, as kafka-leader-election does."""
    from cluster.console.cluster_calls import elect_leaders
    from cluster.console.protocol_client import ProtocolClient

    kind = (election_type or "").upper()
    if kind not in ("PREFERRED", "UNCLEAN"):
        raise usage('Missing required argument "[election-type]"', "Write --election-type preferred, or unclean.")
    servers = kafka_options.bootstrap(bootstrap_server)
    partitions = _partitions(topic, partition, all_topic_partitions, path_to_json_file)
    with ProtocolClient(servers, timeout) as client:
        found = elect_leaders(client, unclean=kind == "UNCLEAN", partitions=partitions)
    if found.held:
        typer.echo(f"Successfully completed leader election ({kind}) for partitions {_names(found.held)}")
    if found.needless:
        typer.echo(f"Valid replica already elected for partitions {_names(found.needless)}")
    for key, reason in sorted(found.failed.items()):
        typer.echo(f"Error completing leader election ({kind}) for partition: {key}: {reason}")
    if found.failed:
        raise failure(
            f"{len(found.failed)} replica(s) could not be elected",
            "`fencepost topics --describe` shows who is in sync.",
        )


def _partitions(
    topic: str | None, partition: int | None, everything: bool, path: Path | None
) -> list[TopicPartition] | None:
    from cluster.base.ids import TopicPartition

    if sum((topic is not None, everything, path is not None)) != 1:
        raise usage(
            "One and only one of the following options is required: all-topic-partitions, path-to-json-file, topic",
            "Add --topic orders --partition 0, or --all-topic-partitions.",
        )
    if (topic is None) != (partition is None):
        raise usage("--topic and --partition go together.", "Add --topic orders --partition 0.")
    if everything:
        return None
    if path is None:
        assert topic is not None and partition is not None, "checked above"
        return [TopicPartition(topic, partition)]
    try:
        rows = json.loads(path.read_text())["partitions"]
        found = [TopicPartition(str(row["topic"]), int(row["partition"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        form = '{"partitions":[{"topic":"orders","partition":0}]}'
        raise usage(f"{path} lists no partitions: {error}.", f"Its form is {form}.") from error
    if len({*found}) < len(found):
        raise usage(f"{path} names a partition twice.", "Name each once.")
    return found


def _names(partitions: tuple[TopicPartition, ...]) -> str:
    return ", ".join(str(key) for key in sorted(partitions))
