"""Play the scenes: publish each notification, and show its outcome.

All output is observed. Decisions come from the daemon's logs, messages from Kafka, and dead letters
from their queue.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from cki_notifier.message.contract import ReadyForTest
from cki_notifier.notification.parse import event_id
from cki_notifier.rabbitmq.queues import DELAYS, dead_letter_queue, delay_queue
from tools.brokers.kafka import Reader, Record
from tools.demo.bus import Letter
from tools.demo.interrupts import interrupts
from tools.demo.scenario import Decision, Scene
from tools.demo.screen import Screen
from tools.demo.stage import QUEUE, Stage

T = TypeVar("T")

#: Timeout for each step, on slow machines too. Far longer than the retry delay.
_PATIENCE_SECONDS = 30.0
_TICK_SECONDS = 0.02

#: A surplus message would come within this time.
_TOO_MANY_SECONDS = 0.3


class UnexpectedError(Exception):
    """The demo saw something else than expected."""


class Play:
    """Plays scene after scene on a stage."""

    def __init__(self, stage: Stage, reader: Reader, screen: Screen) -> None:
        self._stage = stage
        self._reader = reader
        self._screen = screen
        self._delayed: list[tuple[int, Scene]] = []
        self._records: list[Record] = []
        #: Indices of the daemon's decisions that belong to a scene.
        self._assigned: set[int] = set()
        self._outcomes: Counter[str] = Counter()
        self._number = 0

    def play(self, scene: Scene) -> None:
        """Publish a notification and show its outcome.

        Raises:
            UnexpectedError: the outcome is not the expected one.
        """
        self._number += 1
        about = scene.checkout or "(unreadable)"
        facts = (scene.status or "(unreadable)", scene.tree, about)
        self._screen.scene(str(self._number), scene.story, facts)
        self._stage.bus.publish(scene.body)
        self._follow(scene, scene.expected)
        if scene.later:
            self._show_delay()
            self._delayed.append((self._number, scene))
        else:
            self._outcomes[scene.expected.outcome] += 1

    def finish(self) -> str:
        """Wait for delayed notifications, and count; return the summary.

        Raises:
            UnexpectedError: a message or a decision is missing or surplus.
        """
        for number, scene in self._delayed:
            assert scene.later is not None  # only such scenes are delayed
            facts = (f"the delayed {scene.status}", scene.tree, scene.checkout or "")
            story = "RabbitMQ returns the notification after the delay, and DataWarehouse is back."
            self._screen.scene(str(number), story, facts)
            self._follow(scene, scene.later)
            self._outcomes[scene.later.outcome] += 1
        self._read(_TOO_MANY_SECONDS)
        count, messages = self._outcomes, len(self._records)
        if messages != count["sent"]:
            raise UnexpectedError(f"{messages} messages instead of {count['sent']}")
        decisions = len(self._stage.settled())
        if decisions != len(self._assigned):
            raise UnexpectedError(f"{decisions} decisions instead of {len(self._assigned)}")
        return (
            f"{self._number} notifications: {count['sent']} sent ({len(self._delayed)} of them "
            f"after a delay), {count['ignored']} ignored, {count['dead-lettered']} dead-lettered. "
            f"{messages} messages were read back from Kafka."
        )

    def stop(self) -> None:
        """Stop the daemon, and check that its queue is empty.

        Raises:
            UnexpectedError: the queue is not empty, or an exit code is not 0.
        """
        for code in self._stage.stop():
            if code != 0:
                raise UnexpectedError(f"the daemon ended with exit code {code} at SIGTERM")
        if left := self._stage.bus.waiting(QUEUE):
            raise UnexpectedError(f"{QUEUE} still holds {left} notifications")

    def _follow(self, scene: Scene, expected: Decision) -> None:
        settled = self._await(
            lambda: self._decision_on(scene),
            f"the daemon's decision about {scene.checkout or 'the unreadable notification'}",
        )
        outcome, reason = str(settled["outcome"]), str(settled["reason"])
        self._screen.decision(outcome, reason, float(settled["duration"]))
        if (outcome, reason) != (expected.outcome, expected.reason):
            raise UnexpectedError(
                f"the daemon decided {outcome} ({reason}), where {expected.outcome} "
                f"({expected.reason}) was expected"
            )
        if outcome == "sent":
            self._show_message(scene, expected)
        elif outcome == "dead-lettered":
            self._show_letter(scene)

    def _show_message(self, scene: Scene, expected: Decision) -> None:
        record = self._await(
            lambda: self._record_of(scene.body),
            f"the message about {scene.checkout} from Kafka",
        )
        try:
            # Raises if the message breaks the contract.
            message = msgspec.json.decode(record.value, type=ReadyForTest)
        except msgspec.DecodeError as error:
            raise UnexpectedError(f"the message does not match its contract: {error}") from error
        self._screen.record(record, message)
        status = message.status if isinstance(message.status, str) else None
        if (message.checkout_id, status) != (scene.checkout, expected.status):
            raise UnexpectedError(
                f"the message says {status} of {message.checkout_id}, where {expected.status} "
                f"of {scene.checkout} was expected"
            )

    def _show_letter(self, scene: Scene) -> None:
        queue = dead_letter_queue(QUEUE)

        def letter() -> Letter | None:
            letters = self._stage.bus.look(queue)
            return next((each for each in letters if each.body == scene.body), None)

        self._screen.letter(queue, self._await(letter, f"the notification in {queue}"))

    def _decision_on(self, scene: Scene) -> dict[str, Any] | None:
        """Return the first decision in the logs about this scene that no other scene has."""
        for index, settled in enumerate(self._stage.settled()):
            about = (settled.get("checkout"), settled.get("status"))
            if index not in self._assigned and about == (scene.checkout, scene.status):
                self._assigned.add(index)
                return settled
        return None

    def _record_of(self, body: bytes) -> Record | None:
        """Return the message of a notification: it has the notification's event id."""
        self._read(_TICK_SECONDS)
        identifier = event_id(body)
        return next((it for it in self._records if it.headers.get("ce_id") == identifier), None)

    def _read(self, seconds: float) -> None:
        """Read new messages; keep only those of this demo, as others may use the topic."""
        while (record := self._reader.poll(seconds)) is not None:
            if record.headers.get("ce_source") == self._stage.services.warehouse.url:
                self._records.append(record)

    def _show_delay(self) -> None:
        """Show why the daemon delayed a notification, and in which queue it is."""
        warnings = self._stage.warnings()
        self._screen.note(f"log: {warnings[-1]}" if warnings else "the log has no warning")
        queue = delay_queue(QUEUE, DELAYS[0])
        self._screen.note(f"{queue} holds {self._stage.bus.waiting(queue)}")

    def _await(self, look: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (seen := look()) is None:
            interrupts.check()
            if not self._stage.running:
                raise UnexpectedError(f"{what} did not come, because the daemon has ended")
            if time.monotonic() > deadline:
                trouble = f"; Kafka's last error: {self._reader.trouble}"
                raise UnexpectedError(
                    f"{what} did not come within {_PATIENCE_SECONDS:g} s"
                    + (trouble if self._reader.trouble else "")
                )
            time.sleep(_TICK_SECONDS)
        return seen
