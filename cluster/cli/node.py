"""`fencepost node`: be one node, in this process. For containers and for those who start nodes their own way.

Everything can be said by an environment variable as well, which is how `docker-compose.yml` says it. Voters are
written `id@host:port`, separated by commas, as in Kafka's `controller.quorum.voters`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cluster.cli.options import properties
from cluster.lab.errors import COULD_NOT_START, USAGE, LabError

if TYPE_CHECKING:
    from cluster.runtime.live.order import NodeOrder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("node")(node)


def node(
    *,
    node_id: Annotated[int, typer.Option("--node-id", envvar="FENCEPOST_NODE_ID", help="Kafka's node.id.")],
    cluster_id: Annotated[str, typer.Option("--cluster-id", envvar="FENCEPOST_CLUSTER_ID")],
    voters: Annotated[str, typer.Option("--voters", envvar="FENCEPOST_VOTERS", help="id@host:port,id@host:port,...")],
    host: Annotated[str, typer.Option("--host", envvar="FENCEPOST_HOST", help="The name that others reach it by.")],
    name: Annotated[
        str | None, typer.Option("--name", envvar="FENCEPOST_NAME", help="Its name in faults and traces; n<id>.")
    ] = None,
    roles: Annotated[
        str, typer.Option("--roles", envvar="FENCEPOST_ROLES", help="broker, controller, or broker,controller.")
    ] = "broker",
    bind_host: Annotated[
        str | None, typer.Option("--bind-host", envvar="FENCEPOST_BIND_HOST", help="Listen here; --host by default.")
    ] = None,
    advertised_host: Annotated[
        str,
        typer.Option("--advertised-host", envvar="FENCEPOST_ADVERTISED_HOST", help="What clients are told; --host."),
    ] = "",
    port: Annotated[int, typer.Option("--port", envvar="FENCEPOST_PORT", help="For Kafka clients.")] = 9092,
    rpc_port: Annotated[int, typer.Option("--rpc-port", envvar="FENCEPOST_RPC_PORT", help="For other nodes.")] = 19092,
    rack: Annotated[str, typer.Option("--rack", envvar="FENCEPOST_RACK")] = "",
    profile: Annotated[str, typer.Option("--profile", envvar="FENCEPOST_PROFILE")] = "kafka",
    data_dir: Annotated[Path, typer.Option("--data-dir", envvar="FENCEPOST_DATA_DIR")] = Path("/var/lib/fencepost"),
    config: Annotated[list[str] | None, typer.Option("--config", envvar="FENCEPOST_CONFIG", help="name=value.")] = None,
    names: Annotated[
        str, typer.Option("--names", envvar="FENCEPOST_NAMES", help="Names of all nodes, for link faults: id=name,...")
    ] = "",
    trace: Annotated[bool, typer.Option("--trace", envvar="FENCEPOST_TRACE")] = False,
) -> None:
    """Run one node until SIGTERM."""
    from cluster.base.ids import NodeId
    from cluster.node.config import NodeConfig, Voter
    from cluster.runtime.live.order import NodeOrder

    wanted = [role.strip() for role in roles.split(",")]
    if not wanted or any(role not in ("broker", "controller") for role in wanted):
        raise LabError(f"{roles!r} are not roles.", "Write broker, controller, or broker,controller.", USAGE)
    node_config = NodeConfig(
        cluster_id=cluster_id,
        node_id=NodeId(node_id),
        name=name or f"n{node_id}",
        is_broker="broker" in wanted,
        is_controller="controller" in wanted,
        host=host,
        rpc_port=rpc_port,
        voters=tuple(Voter(NodeId(number), where, at) for number, where, at in _voters(voters)),
        kafka_port=port if "broker" in wanted else 0,
        rack=rack,
        profile=profile,
        properties=properties(config or [], "--config"),
        advertised_host=advertised_host,
    )
    known = {NodeId(number): called for number, called in _names(names).items()}
    _serve(NodeOrder(node_config, str(data_dir), names=known, trace=trace, bind_host=bind_host))


def _serve(order: NodeOrder) -> NoReturn:
    from cluster.runtime.live.process import prepare_for_nodes

    prepare_for_nodes()  # before what follows loads gRPC
    from cluster.node.node import Node
    from cluster.runtime.live.node_process import run_node

    causes: list[str] = []
    code = run_node(order, Node, causes.append)
    if code == COULD_NOT_START:
        raise LabError("The node could not start, or could not go on.", "\n".join(causes), COULD_NOT_START)
    sys.exit(code)


def _voters(text: str) -> list[tuple[int, str, int]]:
    found = []
    for part in _parts(text):
        number, at, address = part.partition("@")
        host, colon, port = address.rpartition(":")
        if not (at and colon and host and number.isdecimal() and port.isdecimal()):
            raise LabError(f"{part!r} is not a voter.", "Write id@host:port, such as 101@c1:19092.", USAGE)
        found.append((int(number), host, int(port)))
    return found


def _names(text: str) -> dict[int, str]:
    named = properties(_parts(text), "--names")
    for number in named:
        if not number.isdecimal():
            raise LabError(f"--names: {number!r} is not a node's id.", "Write id=name, such as 101=c1.", USAGE)
    return {int(number): name for number, name in named.items()}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
