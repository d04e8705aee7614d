"""`make bench`: tables of figures beside a peer measured in the same run. Never part of CI.

State of the machine decides absolute figures here (cold pages, one busy core halve them): repeats of the two peers
alternate, pages are warmed first, and the ratio of medians is what counts. Floors are printed beside the ratios, and
the load average before and after: the floors are meant for a machine that does nothing else.

**Latency on a busy machine flatters the mock.** It lives in the client's process, so that one request is two
wake-ups of threads: they cost about 50 us each when they find a core asleep and next to nothing when others keep the
core awake (p50 0.045 to 0.06 ms here on a busy machine; 0.11 to 0.14 ms is what was seen on an idle one of this
size). An acks=all request of a replicated cluster passes through threads of four processes, each of which waits for
its turn when others want the cores. A ratio taken under load is therefore worse than one taken on an idle machine;
by how much has not been measured. The processor time of the nodes for one request, printed beside it, depends far
less on who else is there.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.bench.clusters import Peer, create_topic, delete_topic, fencepost_cluster, mock_cluster
from tests.bench.measures import (
    Load,
    consume_megabytes_per_second,
    node_seconds,
    produce_latency_ms,
    produce_megabytes_per_second,
)
from tests.bench.whole_cluster import (
    checked_simulator_speed,
    mock_start_up_seconds,
    simulator_speed,
    start_up_seconds,
)

REPEATS = 3
LATENCY_RECORDS = 2_000
LOADS = (
    Load("1 KiB records, 1 MB batches", "all", 1024, 1_000_000, 200_000),
    Load("1 KiB records, 16 KiB batches", "all", 1024, 16_384, 100_000),
    Load("100-byte records, 1 MB batches", "all", 100, 1_000_000, 800_000),
    Load("1 KiB records, 1 MB batches", "1", 1024, 1_000_000, 200_000),
    Load("1 KiB records, 16 KiB batches", "1", 1024, 16_384, 100_000),
)
FLOORS = {("all", 1024, 1_000_000): 0.25, ("all", 1024, 16_384): 0.35, ("all", 100, 1_000_000): 0.6}


def main() -> None:
    """Run every measurement and print the tables."""
    console = Console()
    console.print(_load())
    _warm_pages(1_500_000_000)
    with fencepost_cluster() as ours, mock_cluster() as mock:
        console.print(_throughput((ours, mock)))
        console.print(_latency((ours, mock)))
        console.print(_consume((ours, mock)))
    console.print(_whole_cluster())
    console.print(_load())


def _load() -> str:
    return "load average {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()) + f", {os.cpu_count()} cores"


def _warm_pages(size_bytes: int) -> None:
    """Touch as many pages as the measurements will, so that the host has backed them."""
    with tempfile.TemporaryFile() as scratch:
        chunk = bytes(1 << 20)
        for _ in range(size_bytes >> 20):
            scratch.write(chunk)


def _alternate(peers: tuple[Peer, Peer], prefix: str, measure: Callable[[Peer, str], float]) -> tuple[float, float]:
    figures: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for repeat in range(REPEATS):
        for peer in peers:
            topic = f"{prefix}-{repeat}"
            create_topic(peer, topic)
            figures[peer.name].append(measure(peer, topic))
            delete_topic(peer, topic)
    ours, mock = (statistics.median(figures[peer.name]) for peer in peers)
    return ours, mock


def _throughput(peers: tuple[Peer, Peer]) -> Table:
    table = _table("Produce throughput, MB/s, replication factor 3 (idempotence off)", "load", "acks")
    for number, load in enumerate(LOADS):
        figures = _alternate(
            peers, f"load-{number}", lambda peer, topic, load=load: produce_megabytes_per_second(peer, topic, load)
        )
        floor = FLOORS.get((load.acks, load.record_bytes, load.batch_bytes))
        _row(table, (load.name, load.acks), figures, "-" if floor is None else f">= {floor}")
    return table


class _LatencyRuns:
    """What was measured of both peers under one setting of acks."""

    def __init__(self, acks: str) -> None:
        self._acks = acks
        self.times_ms: dict[str, list[list[float]]] = {}
        self.node_ms: list[float] = []

    def measure(self, peer: Peer, topic: str) -> float:
        """Measure one run; return its median."""
        before_s = node_seconds(peer)
        times = produce_latency_ms(peer, topic, self._acks, LATENCY_RECORDS)
        self.times_ms.setdefault(peer.name, []).append(times)
        if peer.node_pids:
            self.node_ms.append((node_seconds(peer) - before_s) * 1000 / LATENCY_RECORDS)
        return _at(times, 0.5)


def _latency(peers: tuple[Peer, Peer]) -> Table:
    table = _table("Produce latency of single 1 KiB records, one in flight, ms", "figure", "acks")
    for acks, floor in (("all", "<= 8"), ("1", "-")):
        runs = _LatencyRuns(acks)
        _row(table, ("p50", acks), _alternate(peers, f"latency-{acks}", runs.measure), floor)
        ours, mock = (statistics.median(_at(times, 0.99) for times in runs.times_ms[peer.name]) for peer in peers)
        _row(table, ("p99", acks), (ours, mock), "-")
        table.add_row("processor time of all nodes", acks, f"{statistics.median(runs.node_ms):.3g}", "-", "-", "-")
    return table


def _consume(peers: tuple[Peer, Peer]) -> Table:
    table = _table("Consume throughput, MB/s, 12 MB read 20 times over", "load", "")
    figures = _alternate(
        peers, "consume", lambda peer, topic: consume_megabytes_per_second(peer, topic, 1024, 12_000, rounds=20)
    )
    _row(table, ("1 KiB records", ""), figures, "-")
    return table


def _whole_cluster() -> Table:
    table = _table("Whole cluster: 3 brokers in combined mode; simulator: 3 brokers + 3 controllers", "figure", "unit")
    starts = [start_up_seconds() for _ in range(REPEATS)]
    mock = statistics.median(mock_start_up_seconds() for _ in range(REPEATS))
    _row(table, ("first acks=all answer", "s"), (statistics.median(s for s, _ in starts), mock), "<= 1.0 s")
    resident = statistics.median(megabytes for _, megabytes in starts)
    table.add_row("resident memory", "MB", f"{resident:.0f}", "-", "-", "<= 500 MB")
    speed = statistics.median(simulator_speed() for _ in range(REPEATS))
    table.add_row("simulator against real time, nobody listening", "x", f"{speed:.1f}", "1.0", f"{speed:.1f}", ">= 20")
    speed = statistics.median(checked_simulator_speed() for _ in range(REPEATS))
    table.add_row("... with trace, hash and all invariants", "x", f"{speed:.1f}", "1.0", f"{speed:.1f}", "-")
    return table


def _at(values: list[float], quantile: float) -> float:
    return values[min(len(values) - 1, int(len(values) * quantile))]


def _table(title: str, *labels: str) -> Table:
    table = Table(title=title, title_justify="left")
    for label in (*labels, "fencepost", "mock", "ratio", "floor"):
        table.add_column(label)
    return table


def _row(table: Table, labels: tuple[str, str], figures: tuple[float, float], floor: str) -> None:
    ours, mock = figures
    table.add_row(*labels, f"{ours:.3g}", f"{mock:.3g}", f"{ours / mock:.2f}", floor)


if __name__ == "__main__":
    main()
