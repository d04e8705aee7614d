"""Client quotas: kept in the metadata, found by user and client id, and enforced on produced and consumed bytes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from lone_broker import LoneBroker, batch, on_broker, turns

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.broker.quotas import FETCH, PRODUCE, ClientQuotas, Meter, RateWindow
from cluster.metadata import MetadataImage, QuotaEntity, quota_entity, read_snapshot, write_snapshot

DESCRIBE, ALTER = 48, 49
ANONYMOUS, DEFAULT = ("user", "ANONYMOUS"), ("user", None)


def error_of(part: Any) -> str:
    return ErrorCode(part.error_code.value).name


def entry(*entity: tuple[str, str | None], **limits: float | None) -> dict[str, Any]:
    """One entity's new quotas; None removes."""
    ops = [{"key": key, "value": value or 0.0, "remove": value is None} for key, value in limits.items()]
    return {"entity": [{"entity_type": type_, "entity_name": name} for type_, name in entity], "ops": ops}


async def alter(
    broker: LoneBroker, *entries: dict[str, Any], version: int = 1, validate_only: bool = False
) -> list[str]:
    reply = await broker.client().ask(ALTER, version, {"entries": entries, "validate_only": validate_only})
    return [error_of(result) for result in reply.entries]


async def described(broker: LoneBroker, *parts: tuple[str, int, str | None], strict: bool = False) -> Any:
    components = [{"entity_type": type_, "match_type": kind, "match": name} for type_, kind, name in parts]
    reply = await broker.client().ask(DESCRIBE, 1, {"components": components, "strict": strict})
    if error_of(reply) != "NONE":
        return error_of(reply)
    return {
        tuple((part.entity_type, part.entity_name) for part in found.entity): {v.key: v.value for v in found.values}
        for found in reply.entries
    }


# --- kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1])
def test_quotas_are_set_changed_and_removed(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        app = ("client-id", "app")
        wanted = entry(app, producer_byte_rate=1000.0, consumer_byte_rate=2000.0)
        assert await alter(broker, wanted, version=version, validate_only=True) == ["NONE"]
        assert broker.image.client_quotas == {}
        assert await alter(broker, wanted, version=version) == ["NONE"]
        assert await described(broker) == {(app,): {"producer_byte_rate": 1000.0, "consumer_byte_rate": 2000.0}}
        changed = entry(app, producer_byte_rate=None, consumer_byte_rate=3000.0)
        assert (
            await alter(broker, changed, entry(DEFAULT, app, producer_byte_rate=5.0), version=version) == ["NONE"] * 2
        )
        image = read_snapshot(write_snapshot(broker.image), broker.image.offset, broker.image.epoch)
        assert image.client_quotas == broker.image.client_quotas
        assert image.client_quotas == {
            (app,): {"consumer_byte_rate": 3000.0},
            (app, DEFAULT): {"producer_byte_rate": 5.0},
        }
        assert await alter(broker, entry(app, consumer_byte_rate=None)) == ["NONE"]
        assert await described(broker) == {(app, DEFAULT): {"producer_byte_rate": 5.0}}

    on_broker(run)


@pytest.mark.parametrize(
    ("entity", "limits"),
    [
        ((), {"producer_byte_rate": 1.0}),
        ((("planet", "earth"),), {"producer_byte_rate": 1.0}),
        ((("ip", "127.0.0.1"),), {"connection_creation_rate": 1.0}),
        ((("user", "a"), ("user", "b")), {"producer_byte_rate": 1.0}),
        ((("user", ""),), {"producer_byte_rate": 1.0}),
        ((ANONYMOUS,), {"producer_byte_rate": 0.0}),
        ((ANONYMOUS,), {"producer_byte_rate": -5.0}),
        ((ANONYMOUS,), {"producer_byte_rate": 0.5}),
        ((ANONYMOUS,), {"request_percentage": 50.0}),
        ((ANONYMOUS,), {"no_such_rate": 1.0}),
    ],
)
def test_what_does_not_fit_or_would_do_nothing_is_refused(entity: Any, limits: dict[str, float]) -> None:
    async def run(broker: LoneBroker) -> None:
        good = entry(("client-id", "good"), producer_byte_rate=1.0)
        assert await alter(broker, entry(*entity, **limits), good, good) == [
            "INVALID_REQUEST",
            "NONE",
            "INVALID_REQUEST",
        ]
        assert list(broker.image.client_quotas) == [(("client-id", "good"),)]

    on_broker(run)


def test_a_filter_takes_names_defaults_or_both_and_strictly_or_not() -> None:
    async def run(broker: LoneBroker) -> None:
        app, everybody = ("client-id", "app"), ("client-id", None)
        entities = [(app,), (everybody,), (ANONYMOUS,), (app, ANONYMOUS)]
        await alter(broker, *(entry(*entity, producer_byte_rate=9.0) for entity in entities))

        async def found(*parts: tuple[str, int, str | None], strict: bool = False) -> list[QuotaEntity]:
            return list(await described(broker, *parts, strict=strict))

        assert await found(("client-id", 0, "app")) == [(app,), (app, ANONYMOUS)]
        assert await found(("client-id", 0, "app"), strict=True) == [(app,)]
        assert await found(("client-id", 1, None)) == [(everybody,)]
        assert await found(("client-id", 2, None)) == [(app,), (everybody,), (app, ANONYMOUS)]
        assert await found(("user", 2, None), ("client-id", 2, None)) == [(app, ANONYMOUS)]
        assert await found(("user", 0, "nobody")) == []
        assert await described(broker, ("planet", 2, None)) == "UNSUPPORTED_VERSION"
        assert await described(broker, ("user", 7, None)) == "INVALID_REQUEST"
        assert await described(broker, ("user", 2, None), ("user", 2, None)) == "INVALID_REQUEST"
        assert await described(broker, ("user", 0, None)) == "INVALID_REQUEST"

    on_broker(run)


# --- found ---------------------------------------------------------------------------------------


def quotas_of(**limits: float) -> ClientQuotas:
    """Quotas by short names: u user, c client id; lower case named, upper case default."""
    words = {"u": ANONYMOUS, "U": DEFAULT, "c": ("client-id", "app"), "C": ("client-id", None)}
    image = MetadataImage(
        1,
        1,
        "c",
        client_quotas={quota_entity(words[w] for w in name): {PRODUCE: limit} for name, limit in limits.items()},
    )
    quotas = ClientQuotas(Configs({}))
    quotas.image_changed(image)
    return quotas


def test_the_most_specific_quota_counts() -> None:
    order = ["uc", "uC", "u", "Uc", "UC", "U", "c", "C"]
    for first in range(len(order)):
        quotas = quotas_of(**{name: float(number + 1) for number, name in enumerate(order) if number >= first})
        meter = quotas.meter(PRODUCE, "app")
        assert meter is not None and meter.limit == first + 1
    assert quotas_of(c=1.0).meter(PRODUCE, "other") is None
    assert quotas_of(c=1.0).meter(FETCH, "app") is None


def test_clients_share_a_quota_of_their_user_and_not_one_of_client_ids() -> None:
    def is_shared(**limits: float) -> bool:
        quotas = quotas_of(**limits)
        one, other = quotas.meter(PRODUCE, "one"), quotas.meter(PRODUCE, "other")
        assert one is not None and other is not None
        one.charge(10_000, 0)
        return other.charge(0, 0) > 0

    assert is_shared(u=100.0) and is_shared(U=100.0)
    assert not is_shared(C=100.0) and not is_shared(uC=100.0)


def test_other_quotas_forget_nothing_that_was_measured() -> None:
    quotas = quotas_of(C=100.0)
    meter = quotas.meter(PRODUCE, "app")
    assert meter is not None
    meter.charge(10_000, 0)
    image = MetadataImage(2, 1, "c", client_quotas={(("client-id", None),): {PRODUCE: 200.0}})
    quotas.image_changed(image)
    meter = quotas.meter(PRODUCE, "app")
    assert meter is not None and meter.limit == 200 and meter.charge(0, 0) > 0
    quotas.image_changed(MetadataImage(3, 1, "c"))
    assert not quotas.is_enforced


# --- measured ------------------------------------------------------------------------------------


def test_a_rate_is_spread_over_all_windows_but_one_and_old_windows_are_forgotten() -> None:
    rate = RateWindow(11, 1000)
    rate.record(1000, 0)
    assert (rate.amount(0), rate.span_ms(0)) == (1000, 10_000)
    rate.record(500, 10_400)
    assert (rate.amount(10_400), rate.span_ms(10_400)) == (1500, 10_400)
    assert rate.amount(11_000) == 500


def test_a_client_that_was_too_fast_is_slowed_down_until_its_rate_is_what_it_may_be() -> None:
    meter = Meter(RateWindow(11, 1000), 100.0, 10_000)
    assert meter.charge(1000, 0) == 0, "a burst of all windows is allowed"
    assert meter.charge(500, 0) == 5000, "150 a second over 10 s: after 5 s more it is 100"
    assert meter.burst_bytes == 1000


# --- enforced ------------------------------------------------------------------------------------


def produce(values: bytes, acks: int = 1) -> dict[str, Any]:
    data = [{"name": "orders", "partition_data": [{"index": 0, "records": batch(values)}]}]
    return {"acks": acks, "timeout": timedelta(seconds=1), "topic_data": data}


def fetch(offset: int, version_fields: dict[str, Any] | None = None) -> dict[str, Any]:
    part = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    topics = [{"topic": "orders", "partitions": [part]}]
    return {"max_wait": timedelta(0), "min_bytes": 0, "max_bytes": 1 << 20, "topics": topics, **(version_fields or {})}


@pytest.mark.parametrize("version", [7, 9])
def test_a_producer_that_is_too_fast_is_told_and_not_heard_for_a_while(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        await alter(broker, entry(("client-id", "test"), producer_byte_rate=1000.0))
        client = broker.client()
        first = await client.ask(0, version, produce(bytes(9_000)))
        assert first.throttle_time == timedelta(0)
        second = await client.ask(0, version, produce(bytes(9_000)))
        wait_s = second.throttle_time.total_seconds()
        assert 8 < wait_s < 9, "18 kB at 1 kB a second, of which 10 s are allowed at once"
        assert client.transport.reading_paused
        began_s = broker.loop.time()
        await client.ask(0, version, produce(b"x"))
        assert wait_s - 0.05 <= broker.loop.time() - began_s <= wait_s + 0.05
        assert broker.partition("orders").log.log_end_offset == 3, "slowed down is not refused"

    on_broker(run)


def test_a_producer_that_wants_no_answer_is_slowed_down_as_well() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        await alter(broker, entry(("user", None), producer_byte_rate=1000.0))
        client = broker.client()
        for _ in range(3):
            client.send(0, 7, produce(bytes(9_000), acks=0))
            await turns()
        assert broker.partition("orders").log.log_end_offset == 2, "the third waits in its connection"

    on_broker(run)


@pytest.mark.parametrize("version", [4, 7, 12])
def test_a_consumer_that_is_too_fast_gets_nothing_for_a_while(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        for _ in range(2):
            await broker.client().ask(0, 7, produce(bytes(9_000)))
        await alter(broker, entry(("client-id", "test"), consumer_byte_rate=1000.0))
        client = broker.client()
        reply = await client.ask(1, version, fetch(0))
        assert len(reply.responses[0].partitions[0].records) < 10_000, "no more is read than the quota has room for"
        throttled = await client.ask(1, version, fetch(1))
        assert throttled.responses == () and throttled.throttle_time > timedelta(seconds=7)
        began_s = broker.loop.time()
        reply = await client.ask(1, version, fetch(1))
        assert broker.loop.time() - began_s > 7
        for _ in range(3):  # each window that is forgotten makes room
            if not reply.responses:
                reply = await client.ask(1, version, fetch(1))
        assert len(reply.responses[0].partitions[0].records) > 9_000

    on_broker(run)


def test_a_batch_that_is_larger_than_a_quota_still_arrives() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        for _ in range(2):
            await broker.client().ask(0, 7, produce(bytes(9_000)))
        await alter(broker, entry(("client-id", "test"), consumer_byte_rate=100.0))
        client, offset = broker.client(), 0
        for _ in range(4):
            reply = await client.ask(1, 7, fetch(offset), patience_ms=200_000)
            offset += bool(reply.responses)
        assert offset >= 2

    on_broker(run)


def test_without_quotas_nothing_is_measured() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        await broker.client().ask(0, 7, produce(bytes(9_000)))
        assert not broker.context.quotas.is_enforced
        assert broker.context.quotas._meters == {}

    on_broker(run)
