"""Durations, rates and shares: numbers that mean nothing without their unit.

YAML 1.1 reads `1:30` as 90 and `010` as 8, and a bare `10` could be seconds or milliseconds, so every duration
carries a unit. Durations are held in whole microseconds, the unit of the trace.
"""

from __future__ import annotations

import re

US_PER_SECOND = 1_000_000
_UNITS_US = {"us": 1, "ms": 1_000, "s": US_PER_SECOND, "m": 60 * US_PER_SECOND, "h": 3600 * US_PER_SECOND}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(ms|s|m|h)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_DRIFT = re.compile(r"(-?\d+(?:\.\d+)?)%")
_BANDWIDTH = re.compile(r"(\d+(?:\.\d+)?)([KM]?)B/s")


def parse_duration_us(text: object) -> int:
    """Read `300ms`, `1.5s`, `2m` as microseconds. Raises ValueError for a number without a unit."""
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and its unit, such as 10s, 300ms or 2m")
    return round(float(match[1]) * _UNITS_US[match[2]])


def parse_rate_per_second(text: object) -> float:
    """Read `50/s` as 50.0. Raises ValueError when there is no unit of time."""
    match = _RATE.fullmatch(str(text).strip())
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not a rate: write how many in what time, such as 50/s")
    return float(match[1]) * US_PER_SECOND / _UNITS_US[match[2]]


def parse_share(text: object) -> float:
    """Read `20%` as 0.2. Raises ValueError when it is not a percentage up to 100."""
    match = _SHARE.fullmatch(str(text).strip())
    if match is None or float(match[1]) > 100:
        raise ValueError(f"{text!r} is not a share: write a percentage, such as 20%")
    return float(match[1]) / 100


def seconds_text(duration_us: int) -> str:
    """Return `9.4s`, or `7ms` for what is shorter than a tenth of a second: what people read."""
    if 0 < duration_us < US_PER_SECOND / 10:
        return f"{duration_us / 1000:.0f}ms"
    return f"{duration_us / US_PER_SECOND:.1f}s"


def parse_offset_us(text: object) -> int:
    """Read a duration that may be negative, such as `-30s`, as microseconds. Raises ValueError."""
    written = str(text).strip()
    return -parse_duration_us(written[1:]) if written.startswith("-") else parse_duration_us(written)


def parse_drift(text: object) -> float:
    """Read `10%` or `-50%` as 0.1 or -0.5. Raises ValueError for less than -99%."""
    match = _DRIFT.fullmatch(str(text).strip())
    if match is None or float(match[1]) < -99:
        raise ValueError(f"{text!r} is not a drift: write a percentage, such as 10% or -50%")
    return float(match[1]) / 100


def parse_bandwidth(text: object) -> float:
    """Read `64KB/s` as bytes per second. Raises ValueError without a unit."""
    match = _BANDWIDTH.fullmatch(str(text).strip())
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not a bandwidth: write bytes per second, such as 64KB/s or 1MB/s")
    return float(match[1]) * {"": 1, "K": 1_000, "M": 1_000_000}[match[2]]
