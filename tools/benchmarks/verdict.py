"""Whether a program did what it should: each message once, with the right content."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tools.benchmarks.templates import ARCHITECTURES
from tools.benchmarks.workload import Kind, Notification
from tools.brokers.kafka import Record


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many messages are not as they should be.

    Attributes:
        lost: notifications without their message.
        repeated: messages beyond the first for a notification.
        unexpected: messages that nobody asked for.
        wrong: messages with a wrong content.
        left: notifications still in the queue when the program had ended.
    """

    lost: int
    repeated: int
    unexpected: int
    wrong: int
    left: int

    @property
    def is_good(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.lost or self.repeated or self.unexpected or self.wrong or self.left)

    def __str__(self) -> str:
        return (
            f"{self.lost} lost, {self.repeated} repeated, {self.unexpected} unexpected, "
            f"{self.wrong} wrong, {self.left} left in the queue"
        )


NOTHING_WRONG: Final = Verdict(lost=0, repeated=0, unexpected=0, wrong=0, left=0)


def judge(notifications: Iterable[Notification], records: Iterable[Record], left: int) -> Verdict:
    """Compare the records of a topic with what was published."""
    expected = {it.checkout_id: it.kind for it in notifications if it.kind is not Kind.NOISE}
    seen: Counter[str] = Counter()
    wrong = 0
    for record in records:
        seen[record.key] += 1
        wrong += record.key in expected and not _is_right(record, expected[record.key])
    return Verdict(
        lost=len(expected.keys() - seen.keys()),
        repeated=sum(count - 1 for key, count in seen.items() if key in expected),
        unexpected=sum(count for key, count in seen.items() if key not in expected),
        wrong=wrong,
        left=left,
    )


def _is_right(record: Record, kind: Kind) -> bool:
    """Look at what takes the most to compute: builds, status, merge request."""
    message = json.loads(record.value)
    number = record.key.partition(":")[2]
    merge_request = message["merge_request"]
    url = merge_request["merge_request_url"]
    return bool(
        message["checkout_id"] == record.key
        and len(message["build_info"]) == 2 * len(ARCHITECTURES)
        and all(each["build_id"].startswith(record.key) for each in message["build_info"])
        and message["pipelineid"] == int(number)
        and message["cki_finished"] is (kind is Kind.POST_TEST)
        and message.get("status") == ("success" if kind is Kind.POST_TEST else None)
        and (not url or (url.endswith(number) and merge_request["subsystems"] == ["net"]))
        and record.headers.get("ce_subject") == record.key
    )
