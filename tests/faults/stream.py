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

#: What a broker with default settings does not take, in files of 100 bytes each.
_TOO_MANY_FILES: Final = 12_000
#: A checkout's second notification comes at most so many steps after the first.
_SECOND_STEPS: Final = 50


class Stream(Publisher):
    """Publishes notifications in a thread of its own, at a rate, until it is told to stop.

    What each is about depends on the seed alone. About four in five are to be sent, some of those
    with a merge request and an issue; a rule ignores the others, before or after something is
    loaded. Each is published until the broker confirms that a queue has it. With `stages` a
    checkout whose builds are there is tested within a second, and so has a second notification.
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
        #: Which step brings the second notification of a checkout.
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
        """Begin."""
        self._going.set()
        self._thread.start()

    def pause(self) -> None:
        """Return when nothing is being published any more; until `resume` nothing is."""
        self._idle.clear()
        self._going.clear()
        assert self._idle.wait(PATIENCE), "the stream does not pause"

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    def add_large(self) -> None:
        """Make the next notification one whose message is larger than a broker takes."""
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
        """Publish so many in this thread, as fast as it goes, instead of `start`."""
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
        """Have a step that has nothing else to do publish it, within a second or so."""
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
