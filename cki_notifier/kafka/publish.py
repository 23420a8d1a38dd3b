"""Publishes records to Kafka and waits for the broker's confirmation."""

import logging
import random
import re
import threading
import time
from concurrent.futures import Future
from functools import partial

from msgspec import Struct

from cki_notifier.configuration.settings import KafkaConfig, revealed
from cki_notifier.kafka.client import (
    LIBRDKAFKA_LOG,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicMetadata,
    complete,
    described,
)
from cki_notifier.notification.errors import DeliveryUnknown, NotifierError, TooLarge, Unavailable
from cki_notifier.notification.models import Position
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import Gate
from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

#: The wait for a delivery report after librdkafka's own timeout, in seconds.
_REPORT_GRACE_SECONDS = 5.0
#: Errors that the same message causes again at each attempt.
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
#: Errors about one record, not about the cluster.
_REFUSED = frozenset(
    {KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION}
)
#: A producer with records and without confirmations is replaced after this time, in seconds. It
#: stays stuck after the topic was recreated, where a new producer works at once.
_STALLED_SECONDS = 45.0
#: A check fails after this time with records and without confirmations, in seconds.
_UNCONFIRMED_SECONDS = 5.0
_POLL_SECONDS = 0.25
_QUEUE_FULL_SECONDS = 0.1
#: The wait for the polling thread at the end, in seconds.
_END_SECONDS = 1.0
#: The leader's id, in the metadata of a partition without a leader.
_NO_LEADER = -1
#: Errors when no broker is left, and when one refuses as all would.
_NOBODY_LEFT = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001  # librdkafka's own codes are public
_REFUSED_BY_ALL = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001  # as above
_CAUSE_SECONDS = 2.0
#: The words of librdkafka's errors about a refused login or a missing right.
_REFUSAL = re.compile("authentication|authorization", re.IGNORECASE)
_AGAIN = "the client retries until it is back"
#: The first and the longest pause before a new producer, in seconds. The pause doubles until Kafka
#: confirms a record: without the right to write, for example, Kafka refuses each new producer.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
#: A new producer counts as good after this time without a refusal, in seconds.
_TRIAL_SECONDS = 5.0
#: The timeout of a check, in seconds.
_CHECK_SECONDS = 2.0


class Record(Struct, frozen=True):
    """A record of the topic.

    Attributes:
        key: the checkout id; records with the same key stay in order.
        value: the message, JSON in UTF-8.
        headers: content type and CloudEvents attributes.
    """

    key: str
    value: bytes
    headers: dict[str, str]


class _Progress:
    """The progress of a producer.

    Attributes:
        begun_at: the producer's start, in the seconds of ``time.monotonic()``.
        confirmed: whether Kafka has confirmed any record.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[Future[Position | None]] = set()
        self._since = self.begun_at = time.monotonic()
        self.confirmed = False

    def begun(self, delivered: "Future[Position | None]") -> None:
        """Note a record that waits for its delivery report."""
        with self._lock:
            if not self._under_way:
                self._since = time.monotonic()
            self._under_way.add(delivered)

    def ended(self, delivered: "Future[Position | None]") -> bool:
        """Note a reported or refused record; tell whether it was under way."""
        with self._lock:
            was_under_way = delivered in self._under_way
            self._under_way.discard(delivered)
            return was_under_way

    def report(
        self, delivered: "Future[Position | None]", error: KafkaError | None, message: Message
    ) -> None:
        """Take a delivery report of librdkafka."""
        if error is None:
            with self._lock:
                self._since = time.monotonic()
                self.confirmed = True
        if not self.ended(delivered):
            return  # nobody waits for it any more
        if error is None:
            offset = message.offset()
            position = None if offset is None else Position(message.partition() or 0, offset)
            delivered.set_result(position)
        else:
            delivered.set_exception(_translated(error))

    def abandon(self, text: str) -> None:
        """Fail all records that wait for their reports."""
        with self._lock:
            left, self._under_way = self._under_way, set()
        for delivered in left:
            delivered.set_exception(_unknown(text))

    def stalled_for(self) -> float:
        """Return the seconds without a confirmation, 0 if nothing is under way."""
        with self._lock:
            return time.monotonic() - self._since if self._under_way else 0.0


class Publisher:
    """Publishes records with ``acks=all`` and idempotence, and confirms their delivery."""

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.topic
        self._settings = complete(revealed(config.settings))
        self._lock = threading.Lock()
        self._gate = Gate("kafka")
        self._progress = _Progress()
        self._cause = ""  # the last error of a broker
        self._nobody_since: float | None = None  # when no broker was left
        self._fatal = ""  # the producer's fatal error
        self._doubt = ""  # the last producer's fatal error
        self._pause = _FIRST_PAUSE_SECONDS  # before the next new producer
        self._producer = self._new_producer()
        self._stopping = threading.Event()
        self._thread = start_vital("kafka reports", self._poll)

    def publish(self, record: Record, deadline: Deadline) -> Position:
        """Publish a record; return its position after the broker's confirmation.

        Raises:
            TooLarge: the broker refuses its size, at each attempt.
            DeliveryUnknown: without confirmation, the record may be in the topic or not.
            Unavailable: the record was not sent.
            Interrupted: not sent, and RabbitMQ has taken the notification back.
        """
        self._gate.enter(deadline)
        started = time.monotonic()
        try:
            position = self._send(record, deadline)
        except TooLarge:
            self._gate.passed()
            raise
        except Unavailable as error:
            metrics.kafka_failures.inc()
            trouble = _trouble(str(error).removeprefix("kafka: "))
            self._gate.failed(record.key, whole=error.hiccup, since=started, trouble=trouble)
            raise
        self._gate.passed()
        return position

    def _send(self, record: Record, deadline: Deadline) -> Position:
        """Send a record; return the broker's position of it.

        librdkafka reports records before a confirmed one as delivered, because a broker with the
        state of an idempotent producer skips none. After the topic was recreated, the broker has no
        such state and may skip records. Their reports have no offset.
        """
        started = time.monotonic()
        delivered: Future[Position | None] = Future()
        self._produce(record, delivered, deadline)
        # librdkafka can't withdraw a record, so wait for its report.
        longest = float(self._settings["delivery.timeout.ms"]) / 1000 + _REPORT_GRACE_SECONDS
        seconds = min(longest, deadline.remaining()) if deadline.is_strict else longest
        with deadline.noting("Kafka's confirmation"):
            try:
                position = delivered.result(seconds)
            except TimeoutError as error:
                raise _unknown("no delivery report in time") from error
        if position is None:
            raise _unknown("the delivery report has no offset: the topic may have been recreated")
        metrics.kafka_delivery_seconds.observe(time.monotonic() - started)
        return position

    def check(self) -> None:
        """Check that Kafka knows the topic, within 2 s, and confirms records. Thread-safe.

        Raises:
            Unavailable: it does not.
        """
        with self._lock:
            producer = self._producer
            is_new = time.monotonic() - self._progress.begun_at < _TRIAL_SECONDS
            if not self._fatal and (self._progress.confirmed or not is_new):
                self._doubt = ""
        if trouble := self._doubt or self._asked(producer):
            metrics.connected.fails("kafka", _trouble(trouble))
            raise Unavailable("kafka", trouble)
        self._cause = ""
        if not self._gate.is_down:  # an answering broker may still refuse records
            metrics.connected.works("kafka")

    def _asked(self, producer: Producer) -> str:
        """Ask for the topic; return the problem, or ``""``."""
        try:
            found = producer.list_topics(self._topic, timeout=_CHECK_SECONDS)
        except KafkaException as error:
            text = self._cause or described(error)
            return f"no answer within {_CHECK_SECONDS:g} s: {text}"
        topic = found.topics[self._topic]
        if topic.error:
            return f"{self._topic}: {described(topic.error)}"
        if self._progress.stalled_for() > _UNCONFIRMED_SECONDS:
            return f"the broker answers, but confirms nothing{_weakness(topic)}"
        return ""

    def close(self, seconds: float) -> None:
        """Wait for the records under way, then up to 1 s for the thread's end."""
        try:
            left = self._producer.flush(seconds)
        except KafkaException as error:
            logger.warning("kafka: %s", described(error))
        else:
            if left:
                logger.warning("kafka: %d records or events are left undelivered at the end", left)
        self._stopping.set()
        self._thread.join(_END_SECONDS)  # closing a client may hang

    def _produce(
        self, record: Record, delivered: "Future[Position | None]", deadline: Deadline
    ) -> None:
        """Hand a record to librdkafka. Its report completes ``delivered``."""
        headers: list[tuple[str, str | bytes | None]] = list(record.headers.items())
        while True:
            deadline.ensure_ours()
            try:
                with self._lock:
                    if self._fatal:
                        raise Unavailable("kafka", self._fatal, hiccup=True, held=True)
                    progress = self._progress
                    progress.begun(delivered)
                    try:
                        self._producer.produce(
                            self._topic,
                            record.value,
                            record.key,
                            on_delivery=partial(progress.report, delivered),
                            headers=headers,
                        )
                    except BaseException:
                        progress.ended(delivered)
                        raise
            except BufferError as error:
                if not deadline.pause(_QUEUE_FULL_SECONDS):
                    raise Unavailable("kafka", "librdkafka's queue stays full") from error
            except KafkaException as error:
                raise _translated(error.args[0]) from error
            else:
                return

    def _poll(self) -> None:
        """Serve delivery reports until :meth:`close`."""
        while not self._stopping.is_set():
            try:
                self._producer.poll(_POLL_SECONDS)
            except (KafkaException, MemoryError) as error:
                self._fatal = described(error)
            self._tell_that_nobody_is_left()
            if self._progress.stalled_for() > _STALLED_SECONDS:
                self._fatal = self._fatal or f"no confirmation for {_STALLED_SECONDS:g} s"
            if self._fatal:
                self._renew()

    def _renew(self) -> None:
        """Replace a producer that can't recover. Its records end as delivery unknown.

        Nothing is sent during the pause before the new producer. If that fails, another pause
        follows.
        """
        with self._lock:
            why = self._doubt = self._fatal
            old, self._progress = self._progress, _Progress()
        pause = _FIRST_PAUSE_SECONDS if old.confirmed else self._pause
        self._pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        pause *= random.uniform(0.8, 1)  # noqa: S311  # jitter
        logger.info("kafka: %s; making a new producer in %.1f s", why, pause)
        metrics.reconnects.labels("kafka").inc()
        metrics.connected.fails("kafka", _trouble(why))
        try:
            self._producer.purge()
            self._producer.poll(0)
        except (KafkaException, MemoryError) as error:
            logger.debug("kafka: the old producer says %s", error)
        old.abandon(why)  # some reports never arrive
        if self._stopping.wait(pause):
            return
        try:
            producer = self._new_producer()
        except (KafkaException, MemoryError) as error:
            self._fatal = f"the new producer failed: {described(error)}"
            return
        with self._lock:
            _old, self._producer = self._producer, producer  # closed without the lock
            self._progress = _Progress()
            self._fatal = ""

    def _new_producer(self) -> Producer:
        return Producer(self._settings, error_cb=self._on_error, logger=LIBRDKAFKA_LOG)

    def _on_error(self, error: KafkaError) -> None:
        """Note an error of librdkafka, which retries by itself.

        One broker's outage costs nothing. When none is left, the last broker's error is the cause.
        """
        text = described(error)
        logger.info("kafka: %s", text)
        if error.fatal():
            self._fatal = text  # _renew logs it
        elif error.code() in _REFUSED_BY_ALL:
            metrics.connected.fails("kafka", _trouble(text))
        elif error.code() == _NOBODY_LEFT:
            self._nobody_since = time.monotonic()
        else:
            self._cause = text

    def _tell_that_nobody_is_left(self) -> None:
        """Report that no broker can be reached. librdkafka gives the cause a moment later."""
        since = self._nobody_since
        if since is not None and time.monotonic() - since > _CAUSE_SECONDS:
            self._nobody_since = None
            says = self._cause or "no broker can be reached"
            metrics.connected.fails("kafka", _trouble(says))


def _weakness(topic: TopicMetadata) -> str:
    """Describe why brokers may not confirm, if the partitions show it."""
    partitions = topic.partitions.values()
    if leaderless := [str(each.id) for each in partitions if each.leader == _NO_LEADER]:
        return f": no broker leads partition {', '.join(sorted(leaderless))}"
    weakest = min(partitions, key=lambda each: len(each.isrs), default=None)
    if weakest is None:
        return ""
    count = f"{len(weakest.isrs)} of {len(weakest.replicas)} replicas"
    return f": partition {weakest.id} has {count} in sync"


def _trouble(text: str) -> Trouble:
    return Trouble(text, _AGAIN, refuses=_REFUSAL.search(text) is not None)


def _unknown(text: str) -> DeliveryUnknown:
    return DeliveryUnknown("kafka", text, hiccup=True, held=True)


def _translated(error: KafkaError) -> NotifierError:
    """Map an error to its meaning for the notification. Only a wrong size is final.

    After a failed report, the record may still be in the topic: the confirmation can get lost.
    """
    if error.code() in _TOO_LARGE:
        return TooLarge(f"kafka: {described(error)}")
    is_clusters = error.code() not in _REFUSED
    return DeliveryUnknown("kafka", described(error), hiccup=is_clusters, held=is_clusters)
