"""Client quotas: bytes a second that a client may produce and consume (KIP-13, KIP-124, KIP-219).

A broker measures each client that has a quota over the last seconds. One that was too fast is answered at once, is
told for how long it will not be heard (`throttle_time_ms`), and is not heard for so long: its connection is muted.
So long it should have taken longer for what it sent. A fetch that was too fast gets no records.

The quota that counts is the most specific one, in Kafka's order: of the user and client id together, of the user, of
the client id; a named one before a default. There is no authentication: every client is the user ANONYMOUS.

Here: measuring and finding the quota. While there are no quotas nothing is measured. Not here: which quotas there are
(`cluster.metadata`), muting (`connection`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from cluster.base.configs import Configs
from cluster.base.limits import CLIENT_METERS_MAX
from cluster.metadata import MetadataImage, QuotaEntity, quota_entity

USER = "ANONYMOUS"
"""Who everybody is without authentication (Kafka's `KafkaPrincipal.ANONYMOUS`)."""

PRODUCE, FETCH = "producer_byte_rate", "consumer_byte_rate"


class RateWindow:
    """An amount a second over the last windows (Kafka's `Rate` over a `SampledStat`)."""

    def __init__(self, windows: int, window_ms: int) -> None:
        self._windows = windows
        self._window_ms = window_ms
        self._samples: deque[list[float]] = deque()  # [when it began, how much], the oldest first

    def record(self, amount: float, now_ms: int) -> None:
        """Add an amount now; a negative one takes the last back."""
        if not self._samples or now_ms - self._samples[-1][0] >= self._window_ms:
            self._samples.append([now_ms, 0.0])
        self._samples[-1][1] += amount

    def amount(self, now_ms: int) -> float:
        """Return what is counted now."""
        while self._samples and now_ms - self._samples[0][0] >= self._windows * self._window_ms:
            self._samples.popleft()
        return sum(amount for _, amount in self._samples)

    def span_ms(self, now_ms: int) -> float:
        """Return the time that the amount is spread over: at least all windows but one, so that a burst is no rate."""
        elapsed_ms = now_ms - self._samples[0][0] if self._samples else 0
        missing = self._windows - 1 - elapsed_ms // self._window_ms
        return elapsed_ms + max(missing, 0) * self._window_ms


class Meter:
    """One client, or several that share a quota, under one limit."""

    def __init__(self, window: RateWindow, limit: float, burst_ms: int) -> None:
        self.limit = limit
        self._window = window
        self._burst_ms = burst_ms

    @property
    def burst_bytes(self) -> int:
        """The most that fits into all windows: no fetch needs to read more."""
        return int(self.limit * self._burst_ms / 1000)

    def charge(self, size_bytes: int, now_ms: int) -> int:
        """Count bytes and return for how many milliseconds the client should not be heard: 0 when it may go on."""
        self._window.record(size_bytes, now_ms)
        span_ms = self._window.span_ms(now_ms)
        rate = self._window.amount(now_ms) * 1000 / span_ms
        return round((rate - self.limit) / self.limit * span_ms) if rate > self.limit else 0

    def refund(self, size_bytes: int, now_ms: int) -> None:
        """Take back what was charged just now and is not sent."""
        self._window.record(-size_bytes, now_ms)

    def is_idle(self, now_ms: int) -> bool:
        """Whether nothing is counted: whoever is over its limit all the same could never be served."""
        return self._window.amount(now_ms) <= 0


class ClientQuotas:
    """The quotas of one broker, as its metadata has them."""

    def __init__(self, configs: Configs) -> None:
        self.is_enforced = False
        self._windows = configs.integer("quota.window.num")
        self._window_ms = 1000 * configs.integer("quota.window.size.seconds")
        self._limits: Mapping[QuotaEntity, Mapping[str, float]] = {}
        self._rates: dict[tuple[str, QuotaEntity], RateWindow] = {}
        self._meters: dict[tuple[str, str], Meter | None] = {}

    def image_changed(self, image: MetadataImage) -> None:
        """Take other quotas; what was measured stays measured."""
        if image.client_quotas is not self._limits:
            self._limits = image.client_quotas
            self.is_enforced = bool(self._limits)
            self._meters.clear()

    def meter(self, kind: str, client_id: str | None) -> Meter | None:
        """Return who counts this client's bytes; None when nothing limits it. Ask only while `is_enforced`."""
        key = (kind, client_id or "")
        if key not in self._meters:
            if len(self._meters) >= CLIENT_METERS_MAX:
                del self._meters[next(iter(self._meters))]
            self._meters[key] = self._new_meter(kind, client_id or "")
        return self._meters[key]

    def _new_meter(self, kind: str, client_id: str) -> Meter | None:
        for user, client in _CANDIDATES:
            names = (
                ("user", USER if user == "named" else None),
                ("client-id", client_id if client == "named" else None),
            )
            wanted = quota_entity(name for name, way in zip(names, (user, client), strict=True) if way != "any")
            limit = self._limits.get(wanted, {}).get(kind)
            if limit is not None:
                # Who shares a quota: all clients of a user, unless the quota is one of client ids.
                shared = quota_entity((type_, USER if type_ == "user" else client_id) for type_, _ in wanted)
                return Meter(self._rate(kind, shared), limit, (self._windows - 1) * self._window_ms)
        return None

    def _rate(self, kind: str, shared: QuotaEntity) -> RateWindow:
        if (kind, shared) not in self._rates:
            if len(self._rates) >= CLIENT_METERS_MAX:
                del self._rates[next(iter(self._rates))]
            self._rates[kind, shared] = RateWindow(self._windows, self._window_ms)
        return self._rates[kind, shared]


_CANDIDATES = (
    ("named", "named"),
    ("named", "default"),
    ("named", "any"),
    ("default", "named"),
    ("default", "default"),
    ("default", "any"),
    ("any", "named"),
    ("any", "default"),
)
"""Which quota counts: how it names the user and the client id, the most specific first (`DefaultQuotaCallback`)."""
