"""`fencepost up`: start a cluster, say where it is, and stay until Ctrl-C, or detach.

The nodes' code was begun to load before this file was, and a process that is to detach has done so (`early`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.base.kafka_releases import RELEASES
from cluster.cli import early
from cluster.cli.options import DEFAULT, JsonOption, NameOption, properties
from cluster.cli.show import say, show_json
from cluster.lab import USAGE, ClusterSpec, LabError, TopicSpec, numbered_cluster
from cluster.lab.home import SUPERVISOR_LOG, cluster_home

_REPLICATION_FACTOR = 3
_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    *,
    brokers: Annotated[int, typer.Option("-n", "--brokers", help="How many brokers.")] = 3,
    controllers: Annotated[
        int | None, typer.Option("-c", "--controllers", help="How many controllers; 3, or all brokers up to 3.")
    ] = None,
    combined: Annotated[bool, typer.Option("--combined", help="Brokers are the controllers as well.")] = False,
    port: Annotated[
        int, typer.Option("--port", help="The first broker's port, the others follow; 0: any free.")
    ] = 9092,
    name: NameOption = DEFAULT,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Where the nodes keep their data.")] = None,
    profile: Annotated[str, typer.Option("--profile", help="Timeouts: kafka (real) or fast (a tenth).")] = "kafka",
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="name:partitions:replication-factor; repeatable.")
    ] = None,
    config: Annotated[list[str] | None, typer.Option("--config", help="A broker config, name=value.")] = None,
    rack: Annotated[list[str] | None, typer.Option("--rack", help="The brokers' racks in turn; repeatable.")] = None,
    as_version: Annotated[
        str, typer.Option("--as-version", help="Pass for an older release of Kafka, such as 2.8: its API versions.")
    ] = "",
    trace: Annotated[bool, typer.Option("--trace", help="Each node writes what it does to trace.jsonl.")] = False,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Return when the cluster is ready.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a cluster; it is ready when it accepts acks=all."""
    spec = _spec(
        brokers=brokers,
        controllers=controllers,
        combined=combined,
        profile=profile,
        topics=topic or [],
        configs=config or [],
        racks=rack or [],
        as_version=as_version,
    )
    if detach and not early.is_detached():
        early.detach()  # now, because `-d` was written together with others, as in -dn3

    def on_ready(ready: dict[str, Any]) -> None:
        _announce(ready, as_json, attached=not detach)
        if detach:
            early.let_go(cluster_home(name) / SUPERVISOR_LOG)

    if not _run(_Start(name, spec, data_dir, port, trace), on_ready):
        say("Interrupted before the cluster was ready; the data is kept.")
        raise typer.Exit(_INTERRUPTED)
    say("Stopped; the data is kept.")


def _spec(
    *,
    brokers: int,
    controllers: int | None,
    combined: bool,
    profile: str,
    topics: list[str],
    configs: list[str],
    racks: list[str],
    as_version: str,
) -> ClusterSpec:
    if profile not in ("kafka", "fast"):
        raise LabError(f"{profile!r} is not a profile.", "Choose --profile kafka or --profile fast.", USAGE)
    if as_version and as_version not in RELEASES:
        remedy = f"Choose one of {', '.join(RELEASES)}, or leave --as-version out."
        raise LabError(f"{as_version!r} is no release of Kafka that is known here.", remedy, USAGE)
    quorum = controllers if controllers is not None else min(3, brokers) if combined else 3
    # Kafka's own default is one replica, which would leave nothing to see when a broker goes.
    replicated = {"default.replication.factor": str(min(_REPLICATION_FACTOR, max(1, brokers)))}
    older = {"fencepost.as.version": as_version} if as_version else {}
    numbered = numbered_cluster(brokers, quorum, combined=combined)
    spec = replace(
        numbered,
        brokers=tuple(
            replace(broker, rack=racks[number % len(racks)] if racks else "")
            for number, broker in enumerate(numbered.brokers)
        ),
        profile=profile,
        properties={**replicated, **older, **properties(configs, "--config")},
        topics=tuple(TopicSpec.parse(text) for text in topics),
    )
    spec.check()
    return spec


class _Start:
    """What `_run` needs, read from the command line."""

    def __init__(self, name: str, spec: ClusterSpec, data: Path | None, port: int, trace: bool) -> None:
        self.name = name
        self.spec = spec
        self.data = None if data is None else data.absolute()
        self.port = port
        self.trace = trace


def _run(start: _Start, on_ready: Callable[[dict[str, Any]], None]) -> bool:
    """Be the supervisor until the cluster ends; return whether it was ever ready."""
    import asyncio

    from cluster.lab.supervisor import Supervisor

    async def supervise() -> bool:
        supervisor = Supervisor(
            start.name,
            start.spec,
            data_directory=start.data,
            kafka_port=start.port,
            trace=start.trace,
            zygote=early.take(),
            on_crash=lambda end: say(f"{end.name} ended by itself. Start it again: fencepost break start {end.name}"),
        )
        return await supervisor.run(on_ready)

    return asyncio.run(supervise())


def _announce(ready: dict[str, Any], as_json: bool, *, attached: bool) -> None:
    if as_json:
        show_json(ready)
    else:
        nodes = ", ".join(node["name"] for node in ready["nodes"])
        say(f"Cluster {ready['name']} is ready after {ready['started_in_s']:.2f} s: {nodes}")
        typer.echo(f"export BOOTSTRAP_SERVERS={ready['bootstrap']}")
        say("Ctrl-C stops it." if attached else f"Stop it with: fencepost down{_named(ready['name'])}")
    sys.stdout.flush()


def _named(name: str) -> str:
    return "" if name == DEFAULT else f" --name {name}"
