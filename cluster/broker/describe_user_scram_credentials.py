"""DescribeUserScramCredentials (API 50), version 0: which users may authenticate how (KIP-554): nobody, there is none.

Without authentication nobody has credentials. It is answered all the same, because kafka-configs asks for them when
it shows the quotas of users.
"""

from __future__ import annotations

from collections import Counter

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Say of each user that is asked for that it has none; null users mean all, which are none."""
    times = Counter(user.name for user in message.users or ())
    results = []
    for name, count in times.items():
        error, text = ErrorCode.RESOURCE_NOT_FOUND, f"Attempt to describe a user credential that does not exist: {name}"
        if count > 1:
            error, text = (
                ErrorCode.DUPLICATE_RESOURCE,
                f"Cannot describe SCRAM credentials for the same user twice: {name}",
            )
        results.append({"user": name, "error_code": error, "error_message": text, "credential_infos": ()})
    return {"error_message": None, "results": results}
