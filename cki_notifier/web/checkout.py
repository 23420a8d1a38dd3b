"""What a process knows of one checkout; ``/checkout.json`` is exactly this."""

from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct

from cki_notifier.configuration.settings import Config
from cki_notifier.rules.explain import ExplainedStep, Trail
from cki_notifier.telemetry.outcomes import Entry, Outcomes
from cki_notifier.telemetry.printable import printable
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.links import Links, command, cut, dry_run
from cki_notifier.web.rows import (
    InHand,
    Row,
    Waiting,
    in_hand_of,
    iso,
    row_of,
    waiting_of,
)

#: So many notifications of one checkout are told of, and so much of their messages, in bytes.
_MOST, _MOST_BYTES = 100, 512 * 1024


class Notice(Row, frozen=True, kw_only=True):
    """A notification that was settled, with all that is known of it.

    Attributes:
        topic: where its record is, ``""`` where nothing is sent.
        record_command: shows the record; ``""`` where none is known.
        letter_command: shows the dead letter; ``""`` where there is none.
        steps: the rules that were applied, in their order, and what each saw.
        not_looked_at: the rules that were not reached.
        message: as it was sent; None where none was, or it is not kept any more.
    """

    topic: str
    record_command: str
    letter_command: str
    steps: tuple[ExplainedStep, ...]
    not_looked_at: tuple[str, ...]
    message: Raw | None


class History(Struct, frozen=True, kw_only=True):
    """What is known of a checkout.

    Attributes:
        now: ISO 8601 in UTC.
        since: the start of the process, before which it knows nothing.
        checkout_url: at the warehouse.
        merge_request: as the newest notification has it that tells of one, ``""`` where none does.
        dry_run_command: asks the rules again.
        in_hand, delayed: its notifications that are not settled.
        left_out: so many of those settled are left out, the oldest ones.
        notifications: that were settled, the oldest first.
    """

    now: str
    since: str
    checkout_id: str
    checkout_url: str
    merge_request: str
    merge_request_url: str
    dry_run_command: str
    in_hand: list[InHand]
    delayed: list[Waiting]
    left_out: int
    notifications: list[Notice]

    @property
    def is_known(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.in_hand or self.delayed or self.notifications)


class Histories:
    """Knows them.

    Args:
        config: of the process.
        outcomes: the last ones.
        unsettled: what nothing became yet.
    """

    def __init__(self, config: Config, outcomes: Outcomes, unsettled: Unsettled) -> None:
        self._topic = config.kafka.topic if config.kafka else ""
        self._links = Links(config)
        self._outcomes = outcomes
        self._unsettled = unsettled

    def of(self, checkout_id: str) -> History:
        """Return what is known of a checkout."""
        now = datetime.now(UTC)
        wanted = cut(checkout_id)
        entries = self._outcomes.of(checkout_id)
        notices = self._notices(entries[-_MOST:])
        about = next((it for it in reversed(notices) if it.merge_request), None)
        return History(
            now=iso(now),
            since=iso(self._outcomes.since),
            checkout_id=printable(wanted),
            checkout_url=self._links.checkout(checkout_id),
            merge_request=about.merge_request if about else "",
            merge_request_url=about.merge_request_url if about else "",
            dry_run_command=dry_run(checkout_id),
            in_hand=[
                in_hand_of(it, now)
                for it in self._unsettled.in_hand()
                if cut(it.identity.checkout_id or "") == wanted
            ][:_MOST],
            delayed=[
                waiting_of(it)
                for it in self._unsettled.delayed()
                if cut(it.identity.checkout_id or "") == wanted
            ][:_MOST],
            left_out=max(0, len(entries) - _MOST),
            notifications=notices,
        )

    def _notices(self, entries: list[Entry]) -> list[Notice]:
        left = _MOST_BYTES
        notices = []
        for entry in reversed(entries):
            message = self._outcomes.message(entry.number)
            left -= len(message)
            notices.append(self._notice(entry, message if left >= 0 else b""))
        return notices[::-1]

    def _notice(self, entry: Entry, message: bytes) -> Notice:
        trail = Trail()
        trail.steps.extend(entry.result.steps)
        has_stopped = bool(trail.steps) and trail.steps[-1].stops
        row = row_of(self._links, entry)
        letter = entry.result.letter
        return Notice(
            **msgspec.structs.asdict(row),
            topic=self._topic,
            record_command=self._links.record(entry.result.position),
            letter_command=command("cki-notifier", "dead-letters", "show", letter)
            if letter
            else "",
            steps=tuple(
                ExplainedStep(it.rule, printable(it.saw), it.result) for it in trail.explained()
            ),
            not_looked_at=tuple(map(str, trail.missing())) if has_stopped else (),
            message=Raw(message) if message else None,
        )
