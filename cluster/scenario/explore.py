"""Exploration: random fault schedules, drawn from a seed, on a scenario's cluster and workload.

Here: the budget, and which invariants the configuration promises. The scenario's own steps and expectations play no
part. Not here: what is drawn within the budget (`swarm`), or trying many seeds (`exploration`).

The budget: never inject more than the configuration promises to survive, or every alarm is false. Processes may die as
they like, since the page cache survives them. A loss of power is injected only where KIP-966 promises to survive it:
with eligible leader replicas, and with fewer unclean shutdowns than `min.insync.replicas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from cluster.base.configs import Configs
from cluster.lab.quantities import US_PER_SECOND
from cluster.scenario.document import Document
from cluster.scenario.errors import ScenarioError
from cluster.scenario.schema import Scenario, check_schema
from cluster.scenario.swarm import Swarm

FAULTS_S = 40
"""Virtual seconds under faults; the scenario's own duration when that is shorter."""

FAULTS_S_MIN = 4
"""A duration that leaves room for faults between the first second and the last two."""

NOT_EXPLORED = ("steps", "expect", "variants", "only", "lesson", "found")
"""What a scenario says about its own schedule."""

COORDINATED_COUNTS = ("offsets.topic.num.partitions", "transaction.state.log.num.partitions")

ALWAYS_PROMISED = (
    "one-leader-per-epoch",
    "one-active-controller-per-epoch",
    "high-watermark-monotonic-per-epoch",
    "consumers-below-high-watermark",
)
GROUPS_PROMISED = ("one-owner-per-generation", "committed-offsets-kept", "commits-fenced-by-generation")
TRANSACTIONS_PROMISED = ("read-committed-below-lso",)
TRANSACTIONS_SETTLED = ["transactions-atomic", "aborted-never-read", "no-stuck-lso"]


@dataclass(frozen=True, slots=True)
class Promises:
    """What a configuration promises, and so what may be injected and must hold."""

    no_lost_acks: bool
    exactly_once_in_order: bool
    power_losses_max: int
    has_groups: bool = False
    has_transactions: bool = False
    copies: bool = False


def explored(document: Document, seed: int) -> Document:
    """Return a scenario's cluster and workload under a schedule drawn from the seed. Raises ScenarioError."""
    scenario = check_schema(document)
    duration_s = min(FAULTS_S, scenario.duration // US_PER_SECOND)
    problems = []
    if duration_s < FAULTS_S_MIN:
        problems.append(f"duration: exploring needs {FAULTS_S_MIN}s or more, to have room for faults")
    if not scenario.cluster.topics:
        problems.append("cluster/topics: exploring aims faults at partitions: name a topic")
    if problems:
        raise ScenarioError(problems)
    promises = promises_of(scenario)
    changed = {key: value for key, value in document.items() if key not in NOT_EXPLORED}
    changed["seed"] = seed
    changed["duration"] = f"{duration_s}s"
    swarm = Swarm(scenario, Random(f"{seed}/explore"), duration_s, promises.power_losses_max)
    changed["steps"] = swarm.steps()
    cluster: Document = changed.get("cluster", {})
    changed["cluster"] = {
        **cluster,
        "network": swarm.network(),
        # One partition each, so that faults can be aimed at its leader.
        "config": {**dict.fromkeys(COORDINATED_COUNTS, 1), **cluster.get("config", {})},
    }
    changed["clients"] = {
        name: client if scenario.clients[name].consume else {**client, "rate": swarm.pace(scenario.clients[name].rate)}
        for name, client in changed.get("clients", {}).items()
    }
    changed["expect"] = expectations(promises)
    return changed


def promises_of(scenario: Scenario) -> Promises:
    """Read the promises off acks, idempotence, elections and in-sync replicas."""
    clients = scenario.clients.values()
    producers = [client for client in clients if client.produce is not None]
    copies = any(client.transact is not None for client in clients)
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
        has_groups=any(client.group is not None for client in clients),
        has_transactions=copies or any(client.transactional_id is not None for client in clients),
        copies=copies and is_clean,
    )


def expectations(promises: Promises) -> list[Document]:
    """Return the checks of a run: what is promised, and that the healed cluster is consistent."""
    checks: list[Document] = [{"id": name, "always": name} for name in ALWAYS_PROMISED]
    name = "replicas-identical-below-high-watermark"
    checks.append({"id": name, "finally": name})
    checks += [{"id": name, "always": name} for name in GROUPS_PROMISED if promises.has_groups]
    checks += [{"id": name, "always": name} for name in TRANSACTIONS_PROMISED if promises.has_transactions]
    finals = ["no-lost-acks"] if promises.no_lost_acks else []
    finals += ["no-duplicates", "per-partition-order"] if promises.exactly_once_in_order else []
    finals += TRANSACTIONS_SETTLED if promises.has_transactions else []
    finals += ["copied-exactly-once"] if promises.copies else []
    return checks + [{"id": final, "finally": final} for final in finals]
