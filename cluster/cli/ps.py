"""`fencepost ps`: the nodes of a cluster, and where clients find it."""

from __future__ import annotations

import typer

from cluster.cli.options import DEFAULT, JsonOption, NameOption
from cluster.cli.show import show_json, show_table
from cluster.lab.control import ask


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ps")(ps)


def ps(name: NameOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Show the nodes of a cluster and its bootstrap servers."""
    status = ask(name, "ps")
    if as_json:
        show_json(status)
        return
    rows = [
        (
            node["name"],
            node["id"],
            node["roles"],
            f"{node['state']}, fenced" if node["fenced"] else node["state"],
            "active" if node["name"] == status["active_controller"] else None,
            node["pid"],
            node["kafka"],
            node["rpc"],
        )
        for node in status["nodes"]
    ]
    show_table(("NODE", "ID", "ROLES", "STATE", "CONTROLLER", "PID", "KAFKA", "RPC"), rows)
    typer.echo(f"export BOOTSTRAP_SERVERS={status['bootstrap']}")
