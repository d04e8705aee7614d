"""The `legacy:` block of a cluster: mistakes that Kafka once made, by the names that lessons use.

Here: each switch, the one word that turns it on, and the broker config behind it. Not here: what the mistakes do
(`cluster.replication.legacy` and whoever else reads the configs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.lab.selectors import did_you_mean
from cluster.scenario.errors import ScenarioError


@dataclass(frozen=True, slots=True)
class Switch:
    """One mistake: the word that asks for it, what mended it, and the config that makes it."""

    word: str
    mended_by: str
    config: str
    value: str


SWITCHES: Mapping[str, Switch] = {
    "truncation": Switch("high-watermark", "KIP-101", "legacy.truncation", "high-watermark"),
    "epoch-lookup": Switch("once", "KIP-279", "legacy.epoch.lookup", "once"),
    "consumer-fencing": Switch("none", "KIP-320", "legacy.consumer.fencing", "none"),
    "high-watermark": Switch("isr", "KIP-497", "legacy.high.watermark", "isr"),
    "transaction-verification": Switch("none", "KIP-890", "transaction.partition.verification.enable", "false"),
    "eligible-leader-replicas": Switch("none", "KIP-966", "eligible.leader.replicas.enable", "false"),
}


def legacy_properties(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the broker configs of a `legacy:` block. Raises ScenarioError for what is no switch or no word of it."""
    properties: dict[str, str] = {}
    for name, word in wanted.items():
        switch = SWITCHES.get(name)
        if switch is None:
            raise ScenarioError([f"cluster/legacy/{name}: no such switch{did_you_mean(name, tuple(SWITCHES))}"])
        if word != switch.word:
            raise ScenarioError([f"cluster/legacy/{name}: write {switch.word}, as before {switch.mended_by}"])
        properties[switch.config] = switch.value
    return properties
