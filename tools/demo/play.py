"""Plays the scenes: publishes each notification, and shows what can then be seen of it.

Nothing is claimed: decisions are read from the daemon's logs, messages from Kafka, and dead letters
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

#: However slow the machine is, what is awaited for longer does not come. Far longer than the delay.
_PATIENCE_SECONDS = 30.0
_TICK_SECONDS = 0.02

#: A message too many would come within this time.
_TOO_MANY_SECONDS = 0.3


class UnexpectedError(Exception):
    """What should have happened was not seen, or something else was."""


class Play:
    """Plays scene after scene on a stage."""

    def __init__(self, stage: Stage, reader: Reader, screen: Screen) -> None:
        self._stage = stage
        self._reader = reader
        self._screen = screen
        self._delayed: list[tuple[int, Scene]] = []
        self._records: list[Record] = []
        #: Which of the daemon's decisions, by index, were found to be about a scene.
        self._assigned: set[int] = set()
        self._outcomes: Counter[str] = Counter()
        self._number = 0

    def play(self, scene: Scene) -> None:
        """Publish a notification and show what becomes of it.

        Raises:
            UnexpectedError: it is not what should become of it.
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
        """Wait for what was delayed, and count; return the summary.

        Raises:
            UnexpectedError: something is missing or too much.
        """
        for number, scene in self._delayed:
            assert scene.later is not None  # or it would not be here
            facts = (f"the delayed {scene.status}", scene.tree, scene.checkout or "")
            story = "The delay is over, and the warehouse is back."
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
        """Stop the daemon; then nothing may be left in its queue.

        Raises:
            UnexpectedError: something is left, or it did not end well.
        """
        for code in self._stage.stop():
            if code != 0:
                raise UnexpectedError(f"the daemon ended with exit code {code} when asked to end")
        if left := self._stage.bus.waiting(QUEUE):
            raise UnexpectedError(f"{left} notifications are left in {QUEUE}")

    def _follow(self, scene: Scene, expected: Decision) -> None:
        settled = self._await(
            lambda: self._decision_on(scene),
            f"the daemon's decision about {scene.checkout or 'what it cannot read'}",
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
            # Whatever is not as the contract says is an error here.
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
        """Return the first decision in the logs that is about this scene and no other's."""
        for index, settled in enumerate(self._stage.settled()):
            about = (settled.get("checkout"), settled.get("status"))
            if index not in self._assigned and about == (scene.checkout, scene.status):
                self._assigned.add(index)
                return settled
        return None

    def _record_of(self, body: bytes) -> Record | None:
        """Return the message that a notification led to, which knows the notification's id."""
        self._read(_TICK_SECONDS)
        identifier = event_id(body)
        return next((it for it in self._records if it.headers.get("ce_id") == identifier), None)

    def _read(self, seconds: float) -> None:
        """Read what there is; in a topic that others use too, this warehouse's messages alone."""
        while (record := self._reader.poll(seconds)) is not None:
            if record.headers.get("ce_source") == self._stage.services.warehouse.url:
                self._records.append(record)

    def _show_delay(self) -> None:
        """Show why something was delayed, and where it waits."""
        warnings = self._stage.warnings()
        self._screen.note(f"log: {warnings[-1]}" if warnings else "nothing of it is in the log")
        queue = delay_queue(QUEUE, DELAYS[0])
        self._screen.note(f"{self._stage.bus.waiting(queue)} waits in {queue}")

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
