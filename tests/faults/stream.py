"""A seeded stream of notifications for distinct checkouts, with the outcome each must have."""

import json
import random
import threading
import time
from typing import Final

from cki_notifier.notification.models import EVENT_TYPES, Stage
from tests.faults import kinds
from tests.faults.publisher import PATIENCE, Expected, Publisher
from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Services, documents
from tools.stand_ins.documents import Document

#: Number of files of 100 bytes for a message that a broker's default settings refuse.
_TOO_MANY_FILES: Final = 12_000
#: The most steps between a checkout's two notifications.
_SECOND_STEPS: Final = 50


class Stream(Publisher):
    """Publishes notifications in its own thread, at a rate, until `finish`.

    Their content depends only on the seed. About four in five lead to messages, some with a merge
    request and an issue. Rules ignore the others, before or after requests to services. It repeats
    each until the broker confirms that a queue has it. With `stages`, a checkout with a pre-test
    notification gets a post-test one within a second.
    """

    def __init__(
        self,
        rabbitmq: RabbitMQ,
        exchange: str,
        services: Services,
        *,
        seed: int,
        rate: float,
        stages: bool = False,
    ) -> None:
        super().__init__(rabbitmq, exchange)
        self._stages = stages
        #: The steps with a checkout's second notification.
        self._second: dict[int, str] = {}
        self._steps = 0
        self._services = services
        self._random = random.Random(seed)  # noqa: S311  # not for secrets
        self._prefix = f"redhat:{seed}"
        self._period = 1 / rate
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._idle = threading.Event()
        self._large = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        services.jira.add_issue(documents.jira_issue("RHEL-40001"))

    def start(self) -> None:
        """Start the thread."""
        self._going.set()
        self._thread.start()

    def pause(self) -> None:
        """Stop publishing until `resume`; return when the last one is confirmed."""
        self._idle.clear()
        self._going.clear()
        assert self._idle.wait(PATIENCE), "the stream does not pause"

    def resume(self) -> None:
        """Continue after a pause."""
        self._going.set()

    def add_large(self) -> None:
        """Make the next notification one with a message that is too large."""
        self._large.set()

    def finish(self) -> None:
        """Stop; return when the last notification is confirmed."""
        self._stopping.set()
        self._going.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the last notification can't be published"
        if self._failure is not None:
            raise self._failure

    def run_for(self, count: int) -> None:
        """Publish `count` notifications in this thread at full speed, instead of `start`."""
        for _ in range(count):
            self._step()
        self.disconnect()

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while not self._stopping.is_set():
                if not self._going.is_set():
                    self._idle.set()
                    self._going.wait()
                    due = time.monotonic()
                    continue
                self._step()
                due = max(due + self._period, time.monotonic() - 1)
                self._stopping.wait(due - time.monotonic())
            self.disconnect()
        except Exception as error:  # noqa: BLE001  # for the thread that finishes
            self._failure = error

    def _step(self) -> None:
        self._steps += 1
        checkout_id = f"{self._prefix}-{len(self.published)}"
        if tested := self._second.pop(self._steps, None):
            body = kinds.tested(tested)
            self.publish(
                tested, Expected.SENT, json.dumps(body).encode(), EVENT_TYPES[Stage.POST_TEST]
            )
            return
        if self._large.is_set():
            self._large.clear()
            expected, body = Expected.TOO_LARGE, self._too_large(checkout_id)
        else:
            expected, make = self._random.choices(_KINDS, _WEIGHTS)[0]
            body = make(self._services, checkout_id)
            if self._stages and make is kinds.pre_test:
                self._plan_second(checkout_id)
        stage = EVENT_TYPES[Stage.PRE_TEST] if checkout_id in self.staged else ""
        self.publish(checkout_id, expected, json.dumps(body).encode(), stage)

    def _plan_second(self, checkout_id: str) -> None:
        """Plan the second notification for a free step, within about a second."""
        step = self._steps + self._random.randint(1, _SECOND_STEPS)
        while step in self._second:
            step += 1
        self._second[step] = checkout_id
        self.staged.add(checkout_id)

    def _too_large(self, checkout_id: str) -> Document:
        files = [{"path": f"{number:06}{'x' * 94}"} for number in range(_TOO_MANY_FILES)]
        checkout = documents.checkout(checkout_id, misc={"patchset_modified_files": files})
        kinds.store(self._services, checkout)
        return documents.notification(None, "ready_to_report", checkout_id=checkout_id)


_KINDS: Final[tuple[tuple[Expected, kinds.Make], ...]] = (
    (Expected.SENT, kinds.pre_test),
    (Expected.SENT, kinds.post_test),
    (Expected.SENT, kinds.thin),
    (Expected.SENT, kinds.with_merge_request),
    (Expected.IGNORED, kinds.merged),
    (Expected.IGNORED, kinds.foreign),
    (Expected.IGNORED, kinds.retriggered),
    (Expected.IGNORED, kinds.triaging),
    (Expected.IGNORED, kinds.build),
)
_WEIGHTS: Final = (25, 20, 10, 25, 4, 4, 4, 4, 4)
