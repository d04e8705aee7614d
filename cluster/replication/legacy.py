"""Mistakes that Kafka once made, to be switched on: lessons show what each of them costs.

Here: which mistakes there are and how a broker's configs switch them. Not here: the code that makes them, which stands
beside the code that does not. All are off unless a config says otherwise, and nobody should want one in earnest.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.configs import Configs


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a replica does as Kafka did it before some improvement."""

    truncates_to_high_watermark: bool = False
    """Before KIP-101: who begins to follow cuts its log down to its own high watermark, and compares no epochs."""

    looks_epochs_up_once: bool = False
    """Before KIP-279: who begins to follow compares the last epoch, cuts where the leader says, and asks no more."""

    believes_consumers: bool = False
    """Before KIP-320: a consumer's fetch is answered whatever epochs it names."""

    waits_for_members_only: bool = False
    """Before KIP-497: a replica that was proposed for the ISR does not hold the high watermark back until it is in."""

    @classmethod
    def of(cls, configs: Configs) -> Legacy:
        """Read the switches."""
        return cls(
            truncates_to_high_watermark=configs.text("legacy.truncation") == "high-watermark",
            looks_epochs_up_once=configs.text("legacy.epoch.lookup") == "once",
            believes_consumers=configs.text("legacy.consumer.fencing") == "none",
            waits_for_members_only=configs.text("legacy.high.watermark") == "isr",
        )
