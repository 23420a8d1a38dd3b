"""A seeded stream of notifications for distinct checkouts, with the outcome each must have."""

import contextlib
import enum
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, UnroutableError

from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Services, documents
from tools.stand_ins.documents import Document

#: However long the broker is away, then it does not come back any more, in seconds.
_PATIENCE: Final = 60.0
#: Pause before a notification is published again that could not be, in seconds.
_PAUSE: Final = 0.1
_PROJECT: Final = "group/kernel"
#: What a broker with default settings does not take, in files of 100 bytes each.
_TOO_MANY_FILES: Final = 12_000


class Expected(enum.Enum):
    """What has to become of a notification."""

    SENT = enum.auto()
    IGNORED = enum.auto()
    TOO_LARGE = enum.auto()


@dataclass(frozen=True, slots=True)
class Published:
    """A notification that the broker confirmed. `at` is in seconds since 1970."""

    checkout_id: str
    expected: Expected
    at: float


class Stream:
    """Publishes notifications in a thread of its own, at a rate, until it is told to stop.

    What each is about depends on the seed alone. About four in five are to be sent, some of those
    with a merge request and an issue; a rule ignores the others, before or after something is
    loaded. Each is published until the broker confirms that a queue has it.
    """

    def __init__(
        self, rabbitmq: RabbitMQ, exchange: str, services: Services, *, seed: int, rate: float
    ) -> None:
        self._parameters = pika.ConnectionParameters(rabbitmq.host, rabbitmq.port)
        self._exchange = exchange
        self._services = services
        self._random = random.Random(seed)  # noqa: S311  # not for secrets
        self._prefix = f"redhat:{seed}"
        self._period = 1 / rate
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._idle = threading.Event()
        self._large = threading.Event()
        self._failure: Exception | None = None
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        #: In the order in which they were confirmed.
        self.published: list[Published] = []
        #: Checkouts whose notification may be in the queue twice, because a confirmation got lost.
        self.repeated: set[str] = set()
        services.jira.add_issue(documents.jira_issue("RHEL-40001"))

    def start(self) -> None:
        """Begin."""
        self._going.set()
        self._thread.start()

    def pause(self) -> None:
        """Return when nothing is being published any more; until `resume` nothing is."""
        self._idle.clear()
        self._going.clear()
        assert self._idle.wait(_PATIENCE), "the stream does not pause"

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
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the last notification can't be published"
        if self._failure is not None:
            raise self._failure

    def run_for(self, count: int) -> None:
        """Publish so many in this thread, as fast as it goes, instead of `start`."""
        for _ in range(count):
            self._step()
        self._disconnect()

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
            self._disconnect()
        except Exception as error:  # noqa: BLE001  # for the thread that finishes
            self._failure = error

    def _step(self) -> None:
        checkout_id = f"{self._prefix}-{len(self.published)}"
        if self._large.is_set():
            self._large.clear()
            expected, body = Expected.TOO_LARGE, self._too_large(checkout_id)
        else:
            expected, make = self._random.choices(_KINDS, _WEIGHTS)[0]
            body = make(self._services, checkout_id)
        self._publish(checkout_id, json.dumps(body).encode())
        self.published.append(Published(checkout_id, expected, time.time()))

    def _too_large(self, checkout_id: str) -> Document:
        files = [{"path": f"{number:06}{'x' * 94}"} for number in range(_TOO_MANY_FILES)]
        checkout = documents.checkout(checkout_id, misc={"patchset_modified_files": files})
        _store(self._services, checkout)
        return documents.notification(None, "ready_to_report", checkout_id=checkout_id)

    def _publish(self, checkout_id: str, body: bytes) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._confirmed_channel().basic_publish(
                    self._exchange,
                    "datawarehouse.checkout.any",
                    body,
                    pika.BasicProperties(delivery_mode=2),
                    mandatory=True,
                )
            except UnroutableError:
                pass  # there is no queue now, so it is nowhere
            except (AMQPError, OSError):
                if self._channel is not None:
                    self.repeated.add(checkout_id)
                self._disconnect()
            else:
                return
            assert time.monotonic() < deadline, "RabbitMQ does not take notifications any more"
            time.sleep(_PAUSE)

    def _confirmed_channel(self) -> BlockingChannel:
        if self._channel is None:
            self._connection = pika.BlockingConnection(self._parameters)
            channel = self._connection.channel()
            channel.confirm_delivery()
            self._channel = channel
        return self._channel

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        with contextlib.suppress(AMQPError):
            if connection is not None:
                connection.close()


def _store(services: Services, checkout: Document) -> None:
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))


def _pre_test(services: Services, checkout_id: str) -> Document:
    checkout = documents.checkout(checkout_id)
    _store(services, checkout)
    return documents.notification(checkout, "build_setups_finished")


def _post_test(services: Services, checkout_id: str) -> Document:
    checkout = documents.checkout(checkout_id)
    _store(services, checkout)
    return documents.notification(checkout, "ready_to_report")


def _thin(services: Services, checkout_id: str) -> Document:
    _store(services, documents.checkout(checkout_id))
    return documents.notification(None, "unknown", checkout_id=checkout_id)


def _with_merge_request(services: Services, checkout_id: str, state: str = "opened") -> Document:
    url = services.gitlab.merge_request_url(_PROJECT, documents.number(checkout_id))
    services.gitlab.add_merge_request(documents.merge_request(url, state=state))
    checkout = documents.checkout(checkout_id, merge_request=url)
    _store(services, checkout)
    return documents.notification(checkout, "build_setups_finished")


def _merged(services: Services, checkout_id: str) -> Document:
    return _with_merge_request(services, checkout_id, "merged")


def _foreign(services: Services, checkout_id: str) -> Document:
    _store(services, documents.checkout(checkout_id, origin="syzbot"))
    return documents.notification(None, "unknown", checkout_id=checkout_id)


def _retriggered(_services: Services, checkout_id: str) -> Document:
    checkout = documents.checkout(checkout_id, misc={"retrigger": True})
    return documents.notification(checkout)


def _triaging(_services: Services, checkout_id: str) -> Document:
    return documents.notification(documents.checkout(checkout_id), "needs_triage")


def _build(_services: Services, checkout_id: str) -> Document:
    return documents.notification(documents.checkout(checkout_id), object_type="build")


_KINDS: Final[tuple[tuple[Expected, Callable[[Services, str], Document]], ...]] = (
    (Expected.SENT, _pre_test),
    (Expected.SENT, _post_test),
    (Expected.SENT, _thin),
    (Expected.SENT, _with_merge_request),
    (Expected.IGNORED, _merged),
    (Expected.IGNORED, _foreign),
    (Expected.IGNORED, _retriggered),
    (Expected.IGNORED, _triaging),
    (Expected.IGNORED, _build),
)
_WEIGHTS: Final = (25, 20, 10, 25, 4, 4, 4, 4, 4)
