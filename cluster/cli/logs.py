"""`fencepost logs`: what the nodes of a cluster have logged, one node or all, to the end or as it comes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.options import DEFAULT, NameOption
from cluster.lab.control import ask, is_running
from cluster.lab.errors import USAGE, LabError
from cluster.lab.home import last_data_directory

_LOG_FILE = "node.log"
_POLL_S = 0.2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    node: Annotated[str | None, typer.Argument(help="Which node; all when none is named.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    name: NameOption = DEFAULT,
) -> None:
    """Print the nodes' logs; each line opens with the node's name when several are shown."""
    files = _files(name)
    if node is not None:
        if node not in files:
            raise LabError(f"{name} has no node called {node}.", f"It has {', '.join(files) or 'none'}.", USAGE)
        files = {node: files[node]}
    width = max((len(each) for each in files), default=0)
    positions = dict.fromkeys(files, 0)
    while True:
        for each, path in files.items():
            prefix = "" if node is not None else f"{each.ljust(width)} | "
            positions[each] = _print_from(path, positions[each], prefix)
        if not follow:
            return
        time.sleep(_POLL_S)


def _files(name: str) -> dict[str, Path]:
    """Return the log of each node. A cluster that is down has its logs, too."""
    if is_running(name):
        return {node["name"]: Path(node["directory"]) / _LOG_FILE for node in ask(name, "ps")["nodes"]}
    found = {path.parent.name: path for path in sorted(last_data_directory(name).glob(f"*/{_LOG_FILE}"))}
    if not found:
        ask(name, "ps")  # says that it is not running, and what is
    return found


def _print_from(path: Path, position: int, prefix: str) -> int:
    """Print whole lines from a position on; return where the next begin."""
    if not path.exists():
        return position
    with path.open("rb") as file:
        file.seek(position)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        typer.echo(prefix + line)
    return position + len(whole)
