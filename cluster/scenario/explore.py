"""Exploration: random fault schedules, drawn from a seed, on a scenario's cluster and workload.

Here: what is drawn, within a budget, and which invariants the configuration promises. The scenario's own steps and
expectations play no part. Not here: running many seeds at once (`cluster.cli.explore`).

The budget: never inject more than the configuration promises to survive, or every alarm is false. Processes may die as
they like, since the page cache survives them. A loss of power is injected only where KIP-966 promises to survive it:
with eligible leader replicas, and with fewer unclean shutdowns than `min.insync.replicas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from cluster.base.configs import Configs
from cluster.lab.quantities import US_PER_SECOND
from cluster.scenario.document import Document
from cluster.scenario.schema import Scenario, check_schema

FAULTS_S = 40
"""Virtual seconds under faults; the scenario's own duration when that is shorter."""

NOT_EXPLORED = ("steps", "expect", "variants", "only", "lesson", "found")
"""What a scenario says about its own schedule."""

FAULTS_MIN, FAULTS_MAX = 2, 8
LASTS_S_MIN, LASTS_S_MAX = 0.2, 20.0
APIS = ("Fetch", "BrokerHeartbeat", "AlterPartition", "Deliver", "FollowMetadata")
"""RPCs that may be slow or lossy alone."""

ALWAYS_PROMISED = (
    "one-leader-per-epoch",
    "one-active-controller-per-epoch",
    "high-watermark-monotonic-per-epoch",
    "consumers-below-high-watermark",
)
PROCESS_FAULTS = ("kill", "stop", "pause", "restart")
LINK_FAULTS = ("isolate", "partition", "slow", "drop")
STRIKES = ("kill", "stop", "pause", "isolate")
"""What befalls a leader whose followers lag: the moment when histories diverge."""

LATENCIES = ("100us", "500us", "2ms", "10ms", "40ms")
"""What every link of one run has."""


@dataclass(frozen=True, slots=True)
class Promises:
    """What a configuration promises, and so what may be injected and must hold."""

    no_lost_acks: bool
    exactly_once_in_order: bool
    power_losses_max: int


def explored(document: Document, seed: int) -> Document:
    """Return a scenario's cluster and workload under a schedule drawn from the seed. Raises ScenarioError."""
    scenario = check_schema(document)
    promises = promises_of(scenario)
    duration_s = min(FAULTS_S, scenario.duration // US_PER_SECOND)
    changed = {key: value for key, value in document.items() if key not in NOT_EXPLORED}
    changed["seed"] = seed
    changed["duration"] = f"{duration_s}s"
    drawer = _Drawer(scenario, promises, Random(f"{seed}/explore"), duration_s)
    changed["steps"] = drawer.steps()
    cluster: Document = changed.get("cluster", {})
    changed["cluster"] = {**cluster, "network": drawer.network()}
    changed["expect"] = expectations(promises)
    return changed


def promises_of(scenario: Scenario) -> Promises:
    """Read the promises off acks, idempotence, elections and in-sync replicas."""
    producers = [client for client in scenario.clients.values() if client.produce is not None]
    broker = Configs.of(scenario.cluster.config, scenario.cluster.profile)
    topics = [broker.for_topic(topic.config) for topic in scenario.cluster.topics.values()]
    min_isr = min((topic.integer("min.insync.replicas") for topic in topics), default=1)
    has_elr = scenario.cluster.features.get("eligible.leader.replicas.version", 1) == 1
    is_clean = not any(topic.flag("unclean.leader.election.enable") for topic in topics)
    return Promises(
        no_lost_acks=is_clean and all(client.acks == "all" for client in producers),
        exactly_once_in_order=is_clean
        and all(client.config.get("enable.idempotence") == "true" for client in producers),
        power_losses_max=min_isr - 1 if has_elr and is_clean else 0,
    )


def expectations(promises: Promises) -> list[Document]:
    """Return the checks of a run: what is promised, and that the healed cluster is consistent."""
    checks: list[Document] = [{"id": name, "always": name} for name in ALWAYS_PROMISED]
    name = "replicas-identical-below-high-watermark"
    checks.append({"id": name, "finally": name})
    finals = ["no-lost-acks"] if promises.no_lost_acks else []
    finals += ["no-duplicates", "per-partition-order"] if promises.exactly_once_in_order else []
    return checks + [{"id": final, "finally": final} for final in finals]


class _Drawer:
    """Draws one schedule: first which kinds of faults this run knows at all (a swarm), then each fault."""

    def __init__(self, scenario: Scenario, promises: Promises, rng: Random, duration_s: int) -> None:
        self.scenario = scenario
        self.rng = rng
        self.duration_s = duration_s
        self.partitions = [
            f"{name}-{number}" for name, topic in scenario.cluster.topics.items() for number in range(topic.partitions)
        ]
        kinds = [kind for kind in (*PROCESS_FAULTS, *LINK_FAULTS) if rng.random() < 0.5]
        self.kinds = kinds or ["kill"]
        self.power_losses = 0
        if promises.power_losses_max and rng.random() < 0.25:
            # With a loss of power, every other unclean shutdown counts against the same budget.
            self.power_losses = promises.power_losses_max
            self.kinds = [kind for kind in self.kinds if kind != "kill"] or ["pause"]

    def steps(self) -> list[Document]:
        """Return the steps, in order of time."""
        count = self.rng.randrange(FAULTS_MIN, FAULTS_MAX + 1)
        times_ms = sorted(self.rng.randrange(1_000, (self.duration_s - 2) * 1_000) for _ in range(count))
        steps = [self._step(number, time_ms) for number, time_ms in enumerate(times_ms, start=1)]
        for _ in range(self.power_losses):
            time_ms = self.rng.randrange(1_000, (self.duration_s - 2) * 1_000)
            steps.append({**self._base(len(steps) + 1, time_ms), "power-off": self._broker(), "for": self._lasts()})
        if self.rng.random() < 0.4:
            steps += self._lag_and_strike(len(steps))
        return steps

    def network(self) -> Document:
        """Return the links of this run."""
        return {"latency": self.rng.choice(LATENCIES), "jitter": self.rng.choice(LATENCIES)}

    def _lag_and_strike(self, count: int) -> list[Document]:
        """Let followers lag, then strike their leader: what it has alone must not survive, nor be missed."""
        partition = self.rng.choice(self.partitions)
        time_ms = self.rng.randrange(1_000, (self.duration_s - 6) * 1_000)
        strikes = [strike for strike in STRIKES if strike != "kill" or not self.power_losses]
        lag = {
            **self._base(count + 1, time_ms),
            "slow": f"followers({partition}) -> leader({partition})",
            "apis": ["Fetch"],
            "latency": self.rng.choice(["100ms", "400ms", "1500ms"]),
            "for": "4s",
        }
        struck_ms = time_ms + self.rng.randrange(1_000, 3_500)
        strike = {**self._base(count + 2, struck_ms), self.rng.choice(strikes): f"leader({partition})"}
        return [lag, {**strike, "for": self._lasts()}]

    def _base(self, number: int, time_ms: int) -> Document:
        return {"id": f"f{number}", "at": f"{time_ms}ms", "timeout": "2s"}

    def _step(self, number: int, time_ms: int) -> Document:
        kind = self.rng.choice(self.kinds)
        step = self._base(number, time_ms)
        if kind in PROCESS_FAULTS or kind == "isolate":
            step[kind] = self._nodes()
        elif kind == "partition":
            step[kind] = {"one": self._side(), "other": ["rest"]}
        else:
            step[kind] = f"{self._nodes()} -> {self._nodes()}"
            step["direction"] = self.rng.choice(["forward", "both"])
            step["apis"] = [self.rng.choice(APIS)] if self.rng.random() < 0.6 else []
            if kind == "slow":
                step["latency"] = f"{self.rng.choice([5, 50, 300, 1500])}ms"
                step["jitter"] = f"{self.rng.choice([1, 20, 200])}ms"
            else:
                step["rate"] = f"{self.rng.choice([1, 10, 50])}%"
        if kind != "restart":
            step["for"] = self._lasts()
        return step

    def _lasts(self) -> str:
        # Uniform in the exponent: short hiccups as often as long outages.
        return f"{round(1000 * LASTS_S_MIN * (LASTS_S_MAX / LASTS_S_MIN) ** self.rng.random())}ms"

    def _broker(self) -> str:
        partition = self.rng.choice(self.partitions)
        return self.rng.choice([f"leader({partition})", f"one(followers({partition}))", "one(brokers)"])

    def _nodes(self) -> str:
        several = ["brokers", "controllers"] if self.rng.random() < 0.1 else []
        quorum = ["active-controller", "one(controllers)", "minority(controllers)"]
        choices: Sequence[str] = [
            *quorum,
            self._broker(),
            self._broker(),
            self._broker(),
            "minority(brokers)",
            *several,
        ]
        return self.rng.choice(choices)

    def _side(self) -> list[str]:
        side = [self._nodes()] + [self._nodes() for _ in range(self.rng.randrange(0, 2))]
        side += [name for name in self.scenario.clients if self.rng.random() < 0.3]
        return list(dict.fromkeys(side))
