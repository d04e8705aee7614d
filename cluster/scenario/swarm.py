"""Drawing a schedule of faults from a seed: first what is in play at all (a swarm), then each fault.

Here: kinds of faults, their targets, times, lengths and sizes, and the pace of the workload. Not here: how much may be
drawn without breaking a promise (`explore`), or what each fault does (the lab's catalogue).

Swarm testing: a run that knows all kinds of faults sees little of any; one that knows a few sees what they do together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from cluster.scenario.document import Document
from cluster.scenario.schema import Scenario

FAULTS_MIN, FAULTS_MAX = 2, 8
LASTS_S_MIN, LASTS_S_MAX = 0.2, 20.0
KIND_IN_PLAY = 0.35
"""How likely a run knows a kind of fault."""

RPCS = ("Fetch", "BrokerHeartbeat", "AlterPartition", "Deliver", "FollowMetadata", "WriteTxnMarkers")
"""Traffic between nodes that may be slow or lossy alone."""

LATENCIES = ("100us", "500us", "2ms", "10ms", "40ms")
"""What every link of one run has."""

PACES = (0.2, 1.0, 1.0, 3.0)
"""What clients' rates are multiplied with."""

RETRIABLE = ("NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS")
"""Errors of a produce request after which every client tries again."""

WRONG_CLOCKS: tuple[Document, ...] = (
    {"bump": "-3s"},
    {"bump": "10m"},
    {"drift": "5%"},
    {"strobe": "2s", "period": "500ms"},
)

UNCLEAN = ("kill", "crash-loop")
"""After these a broker looks, to the controller, as it does after a loss of power."""

STRIKES = ("kill", "stop", "pause", "isolate")
"""What befalls a leader whose followers lag: the moment when histories diverge."""

LAG_AND_STRIKE_S = 6
"""How long before the end followers begin to lag at the latest; a run that is shorter has no room for it."""


class Swarm:
    """One run's schedule. `power_losses_max`: how many may lose their power, in the budget of the configuration."""

    def __init__(self, scenario: Scenario, rng: Random, duration_s: int, power_losses_max: int) -> None:
        self.rng = rng
        self._scenario = scenario
        self._duration_s = duration_s
        self._partitions = [
            f"{name}-{number}" for name, topic in scenario.cluster.topics.items() for number in range(topic.partitions)
        ]
        self._coordinated = coordinated_partitions(scenario)
        self._draw: Mapping[str, Callable[[], Document]] = {
            **dict.fromkeys(("kill", "stop", "pause", "restart", "isolate"), self._nodes_alone),
            "crash-loop": lambda: {"crash-loop": self._broker(), "up": "3s", "down": "500ms"},
            "partition": self._partition,
            "slow": self._slow,
            "drop": lambda: {"drop": self._link(), "rate": self._one_of("1%", "10%", "50%"), **self._filter()},
            "hold": lambda: {"hold": self._link(), **self._filter()},
            "throttle": lambda: {"throttle": self._link(), "bandwidth": self._one_of("2KB/s", "20KB/s", "200KB/s")},
            "duplicate": lambda: {"duplicate": self._link(), "rate": self._one_of("5%", "50%")},
            "reorder": lambda: {"reorder": self._link(), "rate": self._one_of("5%", "50%")},
            "disk-slow": lambda: {"disk-slow": self._nodes(), "latency": self._one_of("5ms", "50ms", "500ms")},
            "clock": self._clock,
            "fail": lambda: {
                "fail": self._broker(),
                "apis": ["Produce"],
                "error": self._one_of(*RETRIABLE),
                "count": 3,
            },
            "lose-reply": lambda: {"lose-reply": self._broker(), "apis": ["Produce"], "count": 2},
            "elect": lambda: {"elect": {"preferred": rng.choice(self._partitions)}},
            "reassign": self._reassign,
        }
        self._kinds = [kind for kind in self._draw if rng.random() < KIND_IN_PLAY] or ["kill"]
        self._power_losses = 0
        if power_losses_max and rng.random() < 0.25:
            # With a loss of power, every other unclean shutdown counts against the same budget.
            self._power_losses = power_losses_max
            self._kinds = [kind for kind in self._kinds if kind not in UNCLEAN] or ["pause"]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What this run knows."""
        return tuple(self._kinds)

    def steps(self) -> list[Document]:
        """Return the steps, in order of time."""
        count = self.rng.randrange(FAULTS_MIN, FAULTS_MAX + 1)
        times_ms = sorted(self._time_ms(2) for _ in range(count))
        steps = [self._step(number, time_ms) for number, time_ms in enumerate(times_ms, start=1)]
        for _ in range(self._power_losses):
            lost = {"power-off": self._broker(), "for": self._lasts()}
            steps.append({**_base(len(steps) + 1, self._time_ms(2)), **lost})
        if self.rng.random() < 0.4 and self._duration_s > LAG_AND_STRIKE_S + 1:
            steps += self._lag_and_strike(len(steps))
        return steps

    def network(self) -> Document:
        """Return the links of this run."""
        return {"latency": self.rng.choice(LATENCIES), "jitter": self.rng.choice(LATENCIES)}

    def pace(self, rate_per_second: float) -> str:
        """Return another rate for a client: bursts and trickles meet other batches and other timers."""
        return f"{max(1, round(rate_per_second * self.rng.choice(PACES)))}/s"

    # --- one step ----------------------------------------------------------------------------------

    def _step(self, number: int, time_ms: int) -> Document:
        self._kind = self.rng.choice(self._kinds)
        step = {**_base(number, time_ms), **self._draw[self._kind]()}
        if self._kind not in ("restart", "elect", "reassign"):
            step["for"] = self._lasts()
        return step

    def _nodes_alone(self) -> Document:
        return {self._kind: self._nodes()}

    def _partition(self) -> Document:
        side = [self._nodes()] + [self._nodes() for _ in range(self.rng.randrange(0, 2))]
        side += [name for name in self._scenario.clients if self.rng.random() < 0.3]
        cut = {"partition": {"one": list(dict.fromkeys(side)), "other": ["rest"]}}
        return {**cut, "direction": "forward"} if self.rng.random() < 0.3 else cut

    def _slow(self) -> Document:
        return {
            "slow": self._link(),
            "latency": self._one_of("5ms", "50ms", "300ms", "1500ms"),
            "jitter": self._one_of("1ms", "20ms", "200ms"),
            **self._filter(),
        }

    def _clock(self) -> Document:
        wrong = self.rng.choice(WRONG_CLOCKS)
        return {"clock": self._nodes(), **wrong}

    def _reassign(self) -> Document:
        partition = self.rng.choice(self._partitions)
        replication = self._scenario.cluster.topics[partition.rpartition("-")[0]].replication_factor
        brokers = self._scenario.cluster.brokers
        names = [f"b{n}" for n in range(1, brokers + 1)] if isinstance(brokers, int) else [one.id for one in brokers]
        self.rng.shuffle(names)
        return {"reassign": {"partition": partition, "to": names[:replication]}}

    def _filter(self) -> Document:
        found: Document = {"direction": self._one_of("forward", "both")}
        if self.rng.random() < 0.6:
            found["apis"] = [self.rng.choice(RPCS)]
        return found

    def _lag_and_strike(self, count: int) -> list[Document]:
        """Let followers lag, then strike their leader: what it has alone must not survive, nor be missed."""
        partition = self.rng.choice(self._partitions)
        time_ms = self._time_ms(LAG_AND_STRIKE_S)
        strikes = [strike for strike in STRIKES if strike not in UNCLEAN or not self._power_losses]
        lag = {
            **_base(count + 1, time_ms),
            "slow": f"followers({partition}) -> leader({partition})",
            "apis": ["Fetch"],
            "latency": self._one_of("100ms", "400ms", "1500ms"),
            "for": "4s",
        }
        struck_ms = time_ms + self.rng.randrange(1_000, 3_500)
        strike = {**_base(count + 2, struck_ms), self.rng.choice(strikes): f"leader({partition})"}
        return [lag, {**strike, "for": self._lasts()}]

    # --- what is drawn for a step ------------------------------------------------------------------

    def _one_of(self, *words: str) -> str:
        return self.rng.choice(words)

    def _time_ms(self, before_end_s: int) -> int:
        return self.rng.randrange(1_000, (self._duration_s - before_end_s) * 1_000)

    def _lasts(self) -> str:
        # Uniform in the exponent: short hiccups as often as long outages.
        return f"{round(1000 * LASTS_S_MIN * (LASTS_S_MAX / LASTS_S_MIN) ** self.rng.random())}ms"

    def _broker(self) -> str:
        if self._coordinated and self.rng.random() < 0.4:
            return f"leader({self.rng.choice(self._coordinated)})"
        partition = self.rng.choice(self._partitions)
        return self._one_of(f"leader({partition})", f"one(followers({partition}))", "one(brokers)")

    def _nodes(self) -> str:
        several = ["brokers", "controllers"] if self.rng.random() < 0.1 else []
        quorum = ["active-controller", "one(controllers)", "minority(controllers)"]
        brokers = [self._broker(), self._broker(), self._broker(), "minority(brokers)"]
        return self.rng.choice([*quorum, *brokers, *several])

    def _link(self) -> str:
        return f"{self._nodes()} -> {self._nodes()}"


def coordinated_partitions(scenario: Scenario) -> list[str]:
    """Return the partitions of internal topics whose leaders coordinate what this scenario's clients do."""
    clients = scenario.clients.values()
    has_transactions = any(client.transact or client.transactional_id for client in clients)
    has_groups = any(client.transact or client.group for client in clients)
    found = ["__transaction_state-0"] if has_transactions else []
    return found + (["__consumer_offsets-0"] if has_groups else [])


def _base(number: int, time_ms: int) -> Document:
    return {"id": f"f{number}", "at": f"{time_ms}ms", "timeout": "2s"}
