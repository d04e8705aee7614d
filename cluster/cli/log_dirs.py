"""`fencepost log-dirs`: how large the replicas on each broker are, with kafka-log-dirs' flags and JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.cli import kafka_options
from cluster.console.errors import usage

DescribeOption = Annotated[bool, typer.Option("--describe", help="Show the log directories.")]
TopicsOption = Annotated[str | None, typer.Option("--topic-list", help="Only these: topic,topic.", metavar="LIST")]
BrokersOption = Annotated[str | None, typer.Option("--broker-list", help="Only these: 1,2.", metavar="LIST")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("log-dirs")(log_dirs)


def log_dirs(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    describe: DescribeOption = False,
    topic_list: TopicsOption = None,
    broker_list: BrokersOption = None,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Describe log directories, as kafka-log-dirs does."""
    from cluster.console.cluster_calls import describe_log_dirs
    from cluster.console.protocol_client import ProtocolClient

    if not describe:
        raise usage('Missing required argument "[describe]"', "Add --describe.")
    topics = [word.strip() for word in (topic_list or "").split(",") if word.strip()]
    words = [word.strip() for word in (broker_list or "").split(",") if word.strip()]
    if not all(word.isdigit() for word in words):
        raise usage(
            f"--broker-list {broker_list} is no list of broker ids.", "Write 1,2; `fencepost ps` shows the ids."
        )
    with ProtocolClient(kafka_options.bootstrap(bootstrap_server), timeout) as client:
        typer.echo("Querying brokers for log directories information")
        asked, text = describe_log_dirs(client, [int(word) for word in words], topics)
    typer.echo(f"Received log directory information from brokers {','.join(map(str, asked))}")
    typer.echo(text)
