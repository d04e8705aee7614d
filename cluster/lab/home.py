"""Where the lab keeps its clusters: one directory for each name, with the socket on which its supervisor listens."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from cluster.lab.errors import USAGE, LabError

DEFAULT_NAME = "default"
SOCKET_FILE = "control.sock"
SUPERVISOR_LOG = "supervisor.log"
_DATA_PATH_FILE = "data-directory"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def home() -> Path:
    """Return the directory of all clusters: `~/.fencepost`, or what FENCEPOST_HOME says."""
    return Path(os.environ.get("FENCEPOST_HOME") or Path.home() / ".fencepost")


def cluster_home(name: str) -> Path:
    """Return the directory of one cluster. Raises LabError (usage) for a name that is no directory's."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is not a name for a cluster.", "Use letters, digits, dots, dashes.", USAGE)
    return home() / name


def make_cluster_home(name: str) -> None:
    """Make the directory of one cluster. Raises LabError where none can be made."""
    directory = cluster_home(name)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = f"{directory} cannot be made: {error.strerror}."
        raise LabError(cause, "Say with FENCEPOST_HOME where clusters may be kept.") from error


def own_data_directory(name: str) -> Path:
    """Return where a cluster keeps its data when nobody says otherwise."""
    return cluster_home(name) / "data"


def note_data_directory(name: str, path: Path) -> None:
    """Remember where a cluster keeps its data, for when nobody runs who could be asked. Raises LabError."""
    file = cluster_home(name) / _DATA_PATH_FILE
    try:
        file.write_text(str(path.resolve()))
    except OSError as error:
        raise LabError(f"{file} cannot be written: {error.strerror}.", "Make room, or set FENCEPOST_HOME.") from error


def last_data_directory(name: str) -> Path:
    """Return where a cluster kept its data when it last ran."""
    with suppress(FileNotFoundError):
        return Path((cluster_home(name) / _DATA_PATH_FILE).read_text())
    return own_data_directory(name)


def forget_empty_home(name: str) -> None:
    """Remove the directory of a cluster that never was; one that holds anything stays."""
    with suppress(OSError):
        cluster_home(name).rmdir()


def cluster_names() -> list[str]:
    """Return the names of all clusters that ever were, sorted; a running one has a supervisor on its socket."""
    return sorted(entry.parent.name for entry in home().glob(f"*/{SOCKET_FILE}"))
