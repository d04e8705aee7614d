"""`__transaction_state` is compacted, and a coordinator that loads what is left knows what it knew before."""

from __future__ import annotations

import asyncio

from lone_broker import LoneBroker, on_broker
from test_transaction_apis import PROPERTIES, Transactor

from cluster.broker.coordinator import TRANSACTION_STATE, HostedShard
from cluster.broker.transaction_coordinator import settings_of
from cluster.storage import compact, dirt_of
from cluster.transactions import TransactionShard

ROUNDS = 40
COMPACTING = {
    **PROPERTIES,
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.segment.bytes": "2048",
    "log.cleaner.delete.retention.ms": "0",
}


def test_a_coordinator_that_loads_a_compacted_log_knows_every_transaction() -> None:
    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()
        for number in range(ROUNDS):
            assert await producer.send(b"%d" % number, version=12) == "NONE"
            assert await producer.end(number % 2 == 0, version=5) == "NONE"
            await producer.settled()
        assert await producer.send(b"open", version=12) == "NONE"
        before = await producer.listed()
        partition = broker.partition(TRANSACTION_STATE.name)
        log = partition.log
        size_bytes = log.size_bytes
        for path in log.begin_flush().paths:
            await broker.disk.sync(path)
        log.finish_flush(log.begin_flush(), 0)
        for path in compact(log, dirt_of(log, partition.last_stable_offset, 0), 0):
            if path is not None:
                await broker.disk.sync(path)
            await asyncio.sleep(0)
        assert log.size_bytes < size_bytes / 2, "it shrinks"
        shard = TransactionShard(settings_of(broker.configs), broker.world.tracer)
        await HostedShard(broker.context, partition, shard).load()
        known = broker.context.transactions.look_up("t", lambda shard: shard.get("t"))
        assert known is not None and shard.get("t") == known
        assert [row.transaction_state for row in before] == ["Ongoing"]

    on_broker(run, COMPACTING)
