"""What the keys of a scenario are made of: mappings without unknown keys, durations with units, words.

Here: the base of all models and the types of single values. Not here: the models (`schema`, `steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cluster.lab.quantities import parse_duration_us, parse_rate_per_second, parse_share
from cluster.lab.selectors import did_you_mean


def _config_text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str | int):
        return value if value is None else str(value)
    raise ValueError("write a word or a number")


def _text_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"write true or false, not {value!r}")
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
DurationUs = Annotated[int, BeforeValidator(parse_duration_us, json_schema_input_type=str)]
PerSecond = Annotated[float, BeforeValidator(parse_rate_per_second, json_schema_input_type=str)]
Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str)]
ConfigText = Annotated[str, BeforeValidator(_config_text, json_schema_input_type=str | int | bool)]
TextList = Annotated[list[str], BeforeValidator(_text_list, json_schema_input_type=str | list[str])]
IDENTIFIER = r"[a-z][a-z0-9-]*"
Identifier = Annotated[str, Field(pattern=f"^{IDENTIFIER}$")]
VerdictWord = Literal["holds", "violated", "any"]


class Strict(BaseModel):
    """A mapping whose keys are all known: a typing error must not become a setting that does nothing."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_").replace("_", "-")
    )

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in given:
                if key not in known:
                    raise ValueError(f"unknown key {key!r}{did_you_mean(str(key), known)}")
        return given
