"""What the performance tools count and print (`org.apache.kafka.tools.ProducerPerformance`, `ConsumerPerformance`).

Here: arithmetic and lines; all times are arguments, in milliseconds. Not here: clients and clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

WINDOW_MS = 5_000
LATENCIES_MAX = 500_000
"""So many latencies are kept for the percentiles, evenly spread over all records."""

_MB = 1024 * 1024

CONSUMER_HEADER = (
    "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec"
    ", rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
)
CONSUMER_DETAILED_HEADER = CONSUMER_HEADER.replace("start.time, end.time", "time, threadId")


class ProducerStatistics:
    """Counts acknowledged records and their latencies, and prints a line for each window."""

    def __init__(
        self, record_count: int, start_ms: int, show: Callable[[str], None], window_ms: int = WINDOW_MS
    ) -> None:
        self._show = show
        self._window_ms = window_ms
        self._start_ms = self._window_start_ms = start_ms
        self._sampling = record_count // min(record_count, LATENCIES_MAX)
        self._latencies: list[int] = []
        self._count = self._bytes = self._latency_sum = self._latency_max = 0
        self._window_count = self._window_bytes = self._window_latency_sum = self._window_latency_max = 0

    def record(self, latency_ms: int, size_bytes: int, now_ms: int) -> None:
        """Count a record that was acknowledged."""
        if self._count % self._sampling == 0:
            self._latencies.append(latency_ms)
        self._count += 1
        self._bytes += size_bytes
        self._latency_sum += latency_ms
        self._latency_max = max(self._latency_max, latency_ms)
        self._window_count += 1
        self._window_bytes += size_bytes
        self._window_latency_sum += latency_ms
        self._window_latency_max = max(self._window_latency_max, latency_ms)
        if now_ms - self._window_start_ms >= self._window_ms:
            self._show(self._window(now_ms))
            self._window_start_ms = now_ms
            self._window_count = self._window_bytes = self._window_latency_sum = self._window_latency_max = 0

    def _window(self, now_ms: int) -> str:
        per_s, mb_per_s = _rates(self._window_count, self._window_bytes, now_ms - self._window_start_ms)
        return (
            f"{self._window_count} records sent, {per_s:.1f} records/sec ({mb_per_s:.2f} MB/sec), "
            f"{self._window_latency_sum / self._window_count:.1f} ms avg latency, "
            f"{self._window_latency_max:.1f} ms max latency."
        )

    def total(self, now_ms: int) -> str:
        """Return the line about everything."""
        per_s, mb_per_s = _rates(self._count, self._bytes, now_ms - self._start_ms)
        average = self._latency_sum / self._count if self._count else 0.0
        half, most, nearly, tail = (_percentile(sorted(self._latencies), share) for share in (0.5, 0.95, 0.99, 0.999))
        return (
            f"{self._count} records sent, {per_s:.1f} records/sec ({mb_per_s:.2f} MB/sec), "
            f"{average:.2f} ms avg latency, {self._latency_max:.2f} ms max latency, "
            f"{half} ms 50th, {most} ms 95th, {nearly} ms 99th, {tail} ms 99.9th."
        )


class ConsumerStatistics:
    """Counts what was consumed, and how long the group took to assign partitions."""

    def __init__(self, start_ms: int, show_time: Callable[[int], str]) -> None:
        self.count = 0
        self._bytes = 0
        self._start_ms = self._reported_ms = start_ms
        self._reported_count = self._reported_bytes = 0
        self._joining_ms = self._joining_round_ms = 0
        self._show_time = show_time

    def record(self, size_bytes: int) -> None:
        """Count a record."""
        self.count += 1
        self._bytes += size_bytes

    def assigned(self, took_ms: int) -> None:
        """Count the time until partitions were assigned."""
        self._joining_ms += took_ms
        self._joining_round_ms += took_ms

    def progress(self, now_ms: int) -> str:
        """Return the line about the time since the last one (`--show-detailed-stats`)."""
        elapsed_ms = now_ms - self._reported_ms
        count, size = self.count - self._reported_count, self._bytes - self._reported_bytes
        fetching_ms = elapsed_ms - self._joining_round_ms
        per_s, mb_per_s = _rates(count, size, elapsed_ms)
        fetched_per_s, fetched_mb_per_s = _rates(count, size, fetching_ms) if fetching_ms > 0 else (0.0, 0.0)
        line = (
            f"{self._show_time(now_ms)}, 0, {self._bytes / _MB:.4f}, {mb_per_s:.4f}, {self.count}, {per_s:.4f}, "
            f"{self._joining_round_ms}, {fetching_ms}, {fetched_mb_per_s:.4f}, {fetched_per_s:.4f}"
        )
        self._reported_ms, self._reported_count, self._reported_bytes = now_ms, self.count, self._bytes
        self._joining_round_ms = 0
        return line

    def total(self, now_ms: int) -> str:
        """Return the line about everything."""
        elapsed_ms = now_ms - self._start_ms
        fetching_ms = elapsed_ms - self._joining_ms
        per_s, mb_per_s = _rates(self.count, self._bytes, elapsed_ms)
        fetched_per_s, fetched_mb_per_s = _rates(self.count, self._bytes, fetching_ms)
        return (
            f"{self._show_time(self._start_ms)}, {self._show_time(now_ms)}, {self._bytes / _MB:.4f}, {mb_per_s:.4f}, "
            f"{self.count}, {per_s:.4f}, {self._joining_ms}, {fetching_ms}, {fetched_mb_per_s:.4f}, {fetched_per_s:.4f}"
        )


def date_formatter(pattern: str, zone: tzinfo | None) -> Callable[[int], str]:
    """Return what shows milliseconds since 1970 as java.text.SimpleDateFormat does: y M d H m s S, and quoted text."""
    runs: list[str] = []
    for character in pattern:
        if runs and runs[-1][0] == character:
            runs[-1] += character
        else:
            runs.append(character)

    def show(time_ms: int) -> str:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone)
        fields = {
            "y": moment.year,
            "M": moment.month,
            "d": moment.day,
            "H": moment.hour,
            "m": moment.minute,
            "s": moment.second,
            "S": time_ms % 1000,
        }
        return "".join(
            str(fields[run[0]]).zfill(len(run)) if run[0] in fields else run.replace("'", "") for run in runs
        )

    return show


def _rates(count: int, size_bytes: int, elapsed_ms: int) -> tuple[float, float]:
    """Return records and megabytes a second; a time of nothing counts as a millisecond."""
    elapsed_s = max(1, elapsed_ms) / 1000
    return count / elapsed_s, size_bytes / _MB / elapsed_s


def _percentile(latencies: list[int], share: float) -> int:
    return latencies[min(int(share * len(latencies)), len(latencies) - 1)] if latencies else 0
