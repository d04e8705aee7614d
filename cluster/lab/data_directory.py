"""The directory in which a local cluster keeps its nodes' data, and whose it is.

Here: `cluster.json` (which cluster lives here), the lock, and refusing a directory that is not ours. Each node
checks its own directory again (`meta.properties`), as Kafka does.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from cluster.lab.errors import LabError
from cluster.lab.target import ClusterSpec

_FILE = "cluster.json"
_LOCK = ".lock"
_POLL_S = 0.05


class DataDirectory:
    """An opened and locked directory. The lock goes with the process that holds it, however that ends."""

    def __init__(self, path: Path, spec: ClusterSpec) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._refuse_strangers()
            self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            cause = f"{path} is in use by another cluster."
            raise LabError(cause, "Stop that with `fencepost down`, or choose --name or --data-dir.") from None
        try:
            self.cluster_id = self._identity(spec)
        except OSError as error:
            self.close()
            raise self._unusable(error) from error
        except LabError:
            self.close()
            raise

    def node(self, name: str) -> Path:
        """Return the directory of a node."""
        return self.path / name

    def close(self) -> None:
        """Let others use the directory."""
        os.close(self._lock)

    def _refuse_strangers(self) -> None:
        strangers = sorted(entry.name for entry in self.path.iterdir() if entry.name != _LOCK)
        if strangers and _FILE not in strangers:
            cause = f"{self.path} holds something that is no Fencepost cluster: {', '.join(strangers[:5])}."
            raise LabError(cause, "Choose an empty directory with --data-dir.")

    def _unusable(self, error: OSError) -> LabError:
        cause = f"{self.path} cannot be used as a data directory: {error.strerror}."
        return LabError(cause, "Choose another with --data-dir.")

    def _identity(self, spec: ClusterSpec) -> str:
        file = self.path / _FILE
        shape = _shape(spec)
        if not file.exists():
            cluster_id = new_cluster_id()
            try:
                file.write_text(json.dumps({"cluster_id": cluster_id, **shape}, indent=2) + "\n")
            except OSError:
                file.unlink(missing_ok=True)  # or the next start would find it damaged
                raise
            return cluster_id
        try:
            found: dict[str, Any] = json.loads(file.read_text())
            cluster_id = str(found.pop("cluster_id"))
        except (ValueError, KeyError) as error:
            raise LabError(f"{file} is damaged: {error}.", "Choose another --data-dir, or remove this one.") from None
        if found != shape:
            remedy = "Start it the same way, choose --data-dir, or remove it: `fencepost down --purge --name NAME`."
            raise LabError(f"{self.path} holds a cluster of another shape: {_said(found)}.", remedy)
        return cluster_id


def remove_data(path: Path, patience_s: float = 0.0) -> None:
    """Remove what a cluster that is down has stored; where nothing is, nothing happens.

    `patience_s`: how long its supervisor may take to let go, which it does last. Raises LabError when another cluster
    uses the directory, when it is no cluster's, and when it cannot be removed.
    """
    if not path.exists():
        return
    found = {entry.name for entry in path.iterdir()} - {_LOCK}
    if found and _FILE not in found:
        raise LabError(f"{path} holds something that is no Fencepost cluster.", "Look at it, and remove it yourself.")
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline_s = time.monotonic() + patience_s
    try:
        while not _take(lock):
            if time.monotonic() >= deadline_s:
                raise LabError(f"{path} is in use by another cluster.", "`fencepost ps --name` shows whose.")
            time.sleep(_POLL_S)
        shutil.rmtree(path)
    except OSError as error:
        raise LabError(f"{path} cannot be removed: {error.strerror}.", "Remove it yourself.") from error
    finally:
        os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def new_cluster_id() -> str:
    """Return a fresh id in Kafka's form: 16 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()


def _shape(spec: ClusterSpec) -> dict[str, Any]:
    brokers = [broker.name for broker in spec.brokers]
    return {"brokers": brokers, "controllers": list(spec.controllers), "combined": spec.combined}


def _said(shape: dict[str, Any]) -> str:
    brokers, controllers = len(shape.get("brokers", ())), len(shape.get("controllers", ()))
    how = f"-n {brokers} -c {controllers}"
    return f"{how} --combined" if shape.get("combined") else how
