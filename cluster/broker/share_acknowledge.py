"""ShareAcknowledge (API 79), versions 1 and 2: what became of records that a member of a share group was given.

Accept, release, reject, or a gap where there was no record, for each offset; renew prolongs the lock (version 2,
KIP-1222). All of a partition's acknowledgements are taken in or none: INVALID_RECORD_STATE when one is not the member's
any more. Answered when the share coordinator has kept it. Epoch -1 ends the session and releases the rest.
"""

from __future__ import annotations

from typing import Any

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.partitions import MOVED, current_leader
from cluster.broker.share_fetch import (
    acknowledge,
    acknowledgements_of,
    endpoint_fields,
    leader_fields,
    lock_timeout,
    release,
)
from cluster.broker.share_sessions import FINAL_EPOCH, INITIAL_EPOCH
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Take acknowledgements in."""
    if not message.group_id or not message.member_id:
        return _refused(ErrorCode.INVALID_REQUEST)
    if message.share_session_epoch == INITIAL_EPOCH:
        return _refused(ErrorCode.INVALID_SHARE_SESSION_EPOCH)
    session = context.share_sessions.find(message.group_id, message.member_id, message.share_session_epoch)
    if isinstance(session, ErrorCode):
        return _refused(session)
    errors = await acknowledge(context, session, acknowledgements_of(message))
    if message.share_session_epoch == FINAL_EPOCH:
        await release(context, session)
    leaders = {each: current_leader(context, *each) if error in MOVED else None for each, error in errors.items()}
    topics: dict[Any, list[Fields]] = {}
    for partition, error in errors.items():
        topics.setdefault(partition[0], []).append(
            {
                "partition_index": partition[1],
                "error_code": error,
                "error_message": None,
                "current_leader": leader_fields(leaders[partition]),
            }
        )
    return {
        "error_code": ErrorCode.NONE,
        "acquisition_lock_timeout": lock_timeout(context, message.group_id),
        "responses": [{"topic_id": topic_id, "partitions": parts} for topic_id, parts in topics.items()],
        "node_endpoints": endpoint_fields(context, list(leaders.values())),
    }


def _refused(error: ErrorCode) -> Fields:
    return {"error_code": error, "responses": (), "node_endpoints": ()}
