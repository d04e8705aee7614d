"""What a config is: its type, its bounds, and how a value is checked.

Here: the words in which configs are defined. Not here: which there are (`configs`, `coordinator_configs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import isnan

from cluster.base.errors import ErrorCode, KafkaError

LONG_MAX = 2**63 - 1
INT_MAX = 2**31 - 1


class ConfigType(Enum):
    """How a value is written; the names are Kafka's (`ConfigDef.Type`)."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7


DYNAMIC = (
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "producer.id.expiration.ms",
    "transaction.partition.verification.enable",
)
"""Broker-level configs that may change at run time although no topic can have them."""


@dataclass(frozen=True, slots=True)
class ConfigDefinition:
    """One config: its name, type and default.

    `topic_name` and `group_name` are what it is called on a topic and on a group, when these can have it themselves.
    """

    name: str
    type: ConfigType
    default: str
    documentation: str
    topic_name: str | None = None
    at_least: int | None = None
    at_most: int | None = None
    choices: tuple[str, ...] = ()
    group_name: str | None = None

    @property
    def is_dynamic(self) -> bool:
        """Whether the broker-level value may change at run time: those are read anew each time they are used."""
        return self.topic_name is not None or self.name in DYNAMIC

    def check(self, name: str, value: str) -> None:
        """Raise KafkaError(INVALID_CONFIG), naming the config and what it accepts, when the value does not fit."""
        if self.type is ConfigType.BOOLEAN and value not in ("true", "false"):
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be true or false, not {value!r}")
        if self.type in (ConfigType.INT, ConfigType.SHORT, ConfigType.LONG):
            self._check_number(name, value, "a whole number")
        elif self.type is ConfigType.DOUBLE:
            self._check_number(name, value, "a number")
        if self.choices and any(part not in self.choices for part in value.split(",")):
            allowed = ", ".join(self.choices)
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be one of {allowed}, not {value!r}")

    def _check_number(self, name: str, value: str, kind: str) -> None:
        try:
            number = float(value) if self.type is ConfigType.DOUBLE else int(value)
        except ValueError:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be {kind}, not {value!r}") from None
        if isnan(number):
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be {kind}, not {value!r}")
        if self.at_least is not None and number < self.at_least:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be at least {self.at_least}, not {number}")
        if self.at_most is not None and number > self.at_most:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be at most {self.at_most}, not {number}")


def long_config(
    name: str, default: int, documentation: str, topic_name: str | None = None, at_least: int = 0
) -> ConfigDefinition:
    """Return the definition of a LONG from `at_least` upwards."""
    return ConfigDefinition(name, ConfigType.LONG, str(default), documentation, topic_name, at_least, LONG_MAX)


def int_config(
    name: str, default: int, documentation: str, topic_name: str | None = None, at_least: int = 0
) -> ConfigDefinition:
    """Return the definition of an INT from `at_least` upwards."""
    return ConfigDefinition(name, ConfigType.INT, str(default), documentation, topic_name, at_least, INT_MAX)


def boolean_config(name: str, default: bool, documentation: str, topic_name: str | None = None) -> ConfigDefinition:
    """Return the definition of a BOOLEAN."""
    return ConfigDefinition(name, ConfigType.BOOLEAN, str(default).lower(), documentation, topic_name)
