"""`fencepost down`: stop a cluster in good order; `--purge` removes its data as well."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.options import DEFAULT, JsonOption, NameOption
from cluster.cli.show import say, show_json
from cluster.lab.control import ask, is_running
from cluster.lab.data_directory import remove_data
from cluster.lab.errors import LabError
from cluster.lab.home import cluster_home, last_data_directory

_WAIT_S = 45.0
_POLL_S = 0.05


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("down")(down)


def down(
    name: NameOption = DEFAULT,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the cluster's data as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop a cluster; its data is kept unless it is purged."""
    directory = cluster_home(name)
    data = last_data_directory(name)
    was_running = is_running(name)
    if was_running:
        data = Path(ask(name, "down")["data_directory"])
        _await_end(name)
    elif not purge or not directory.exists():
        ask(name, "down")  # says that it is not running, and what is
    if purge:
        remove_data(data, patience_s=_WAIT_S if was_running else 0.0)
        shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        show_json({"name": name, "data_directory": str(data), "purged": purge})
    else:
        say(f"Cluster {name} is down; its data is {'removed' if purge else f'kept in {data}'}.")


def _await_end(name: str) -> None:
    deadline_s = time.monotonic() + _WAIT_S
    while is_running(name):
        if time.monotonic() > deadline_s:
            raise LabError(
                f"Cluster {name} did not stop within {_WAIT_S:g} s.", "`fencepost ps` shows what still runs."
            )
        time.sleep(_POLL_S)
