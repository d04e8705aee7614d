"""`fencepost metadata-quorum`: how the controllers are, with kafka-metadata-quorum's flags and columns."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import show_lines
from cluster.console.errors import usage

ActionArgument = Annotated[str, typer.Argument(help="describe: the voter set is fixed when a cluster is created.")]
StatusOption = Annotated[bool, typer.Option("--status", help="A summary of the quorum.")]
ReplicationOption = Annotated[bool, typer.Option("--replication", "--re", help="How far each node is.")]
ReadableOption = Annotated[bool, typer.Option("--human-readable", "-hr", help="Ages instead of timestamps.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metadata-quorum")(metadata_quorum)


def metadata_quorum(
    action: ActionArgument,
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    status: StatusOption = False,
    replication: ReplicationOption = False,
    human_readable: ReadableOption = False,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Describe the metadata quorum, as kafka-metadata-quorum does."""
    from cluster.console.cluster_calls import describe_quorum
    from cluster.console.protocol_client import ProtocolClient
    from cluster.console.quorum_text import replication_lines, status_lines

    if action != "describe":
        raise usage(f"{action} is not served: the voter set is fixed.", "Write metadata-quorum describe --status.")
    if status == replication:
        raise usage("Exactly one of --status and --replication is needed.", "Add --status or --replication.")
    if human_readable and status:
        raise usage("--human-readable goes with --replication.", "Leave it out.")
    with ProtocolClient(kafka_options.bootstrap(bootstrap_server), timeout) as client:
        quorum = describe_quorum(client)
    now_ms = int(time.time() * 1000) if human_readable else None
    show_lines(status_lines(quorum) if status else replication_lines(quorum, now_ms))
