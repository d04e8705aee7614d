"""What is measured of a whole cluster: start-up, memory, and how fast the simulator runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Producer

from tests.bench.clusters import FENCEPOST

STEADY = Path(__file__).with_name("steady.yaml")


def start_up_seconds() -> tuple[float, float]:
    """Return seconds from `fencepost up` to the first acks=all answer, and megabytes resident in the idle cluster."""
    with tempfile.TemporaryDirectory(prefix="fencepost-bench-") as directory:
        where = ["--name", Path(directory).name]
        up = [FENCEPOST, "up", "-n", "3", "--combined", "-d", "--json", "--port", "0", "--topic", "orders:1:3"]
        begun = time.perf_counter()
        started = subprocess.run([*up, "--data-dir", directory, *where], capture_output=True, text=True, check=True)
        _first_answer(json.loads(started.stdout)["bootstrap"])
        elapsed = time.perf_counter() - begun
        megabytes = _resident_megabytes(Path(directory).name)
        subprocess.run([FENCEPOST, "down", *where], capture_output=True, check=True)
        return elapsed, megabytes


def mock_start_up_seconds() -> float:
    """Return seconds from an interpreter's start to the mock's first acks=all answer, in a process of its own."""
    program = (
        "from confluent_kafka import Producer;"
        "p = Producer({'test.mock.num.brokers': 3, 'acks': 'all', 'linger.ms': 0});"
        "p.produce('orders', b'x'); assert p.flush(10) == 0"
    )
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - begun


def _first_answer(bootstrap: str) -> None:
    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "enable.idempotence": False, "log_level": 4}
    )
    producer.produce("orders", b"x")
    if producer.flush(30) > 0:
        raise RuntimeError("the cluster did not answer in 30 s: see `fencepost logs`")


def _resident_megabytes(name: str) -> float:
    """Sum the proportional set size (memory that forks share is counted once) over the cluster's processes."""
    total_kib = 0
    for pid in _pids(name):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total_kib += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total_kib / 1024


def _pids(name: str) -> list[int]:
    """Every process whose command line or ancestry belongs to the cluster: the supervisor and all its descendants."""
    status = subprocess.run([FENCEPOST, "ps", "--json", "--name", name], capture_output=True, text=True, check=True)
    supervisor = int(json.loads(status.stdout)["supervisor_pid"])
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        stat = Path("/proc", entry, "stat")
        if entry.isdigit() and stat.exists():
            parents[int(entry)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = [supervisor]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


def simulator_speed() -> float:
    """Return virtual seconds per wall second of the simulator alone, with nobody listening."""
    run = [sys.executable, "-m", "tests.bench.simulator"]
    return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)


def checked_simulator_speed() -> float:
    """Return the same of a scenario's run: with its trace and its hash, and every invariant judged at every event.

    More than a third of the time are the two unmodified clients. An interpreter that was built without profile-guided
    optimisation (pyenv's default) is some 15 % slower than a distribution's.
    """
    run = [FENCEPOST, "run", str(STEADY), "--on", "sim", "--seed", "1", "--json", "--no-report"]
    result = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    return float(result["virtual_s"]) / float(result["wall_s"])
