"""Kafka: sends messages and waits for the broker's word."""

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

#: How long beyond librdkafka's own time-out we wait for its report, in seconds.
_REPORT_GRACE_SECONDS = 5.0
#: After these the very same message fails again, whenever it is sent.
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
#: These tell of one record, not of the cluster.
_REFUSED = frozenset(
    {KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION}
)
#: A producer that confirms nothing for so long, though it has something to send, is replaced: one
#: whose topic was deleted and made again stays stuck for good, where a new one works at once.
_STALLED_SECONDS = 45.0
#: What answers, but confirms nothing of what it got for so long is not well.
_UNCONFIRMED_SECONDS = 5.0
_POLL_SECONDS = 0.25
_QUEUE_FULL_SECONDS = 0.1
#: At the end, the thread that polls is waited for so long, in seconds.
_END_SECONDS = 1.0
#: In the metadata, of a partition that nobody leads.
_NO_LEADER = -1
#: Said when no broker is left to talk to, and when the first one refuses us as all will.
_NOBODY_LEFT = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001  # librdkafka's own codes are public
_REFUSED_BY_ALL = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001  # as above
_CAUSE_SECONDS = 2.0
#: Of librdkafka's words, those of who answers and refuses us.
_REFUSAL = re.compile("authentication|authorization", re.IGNORECASE)
_AGAIN = "the client goes on trying until it is back"
#: Before a new producer, in seconds: the first time, and at most; twice as long each time, until a
#: record is confirmed. A cluster that refuses one, as it does without the right to write, refuses
#: the next one, too.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
#: One that is new after a refused one is taken for a good one when it was not refused for so long.
_TRIAL_SECONDS = 5.0
#: Who asks whether Kafka answers waits for so long at most, in seconds.
_CHECK_SECONDS = 2.0


class Record(Struct, frozen=True):
    """What is written to the topic.

    Attributes:
        key: the checkout id; records with the same key stay in order.
        value: the message, JSON in UTF-8.
        headers: content type and CloudEvents attributes.
    """

    key: str
    value: bytes
    headers: dict[str, str]


class _Progress:
    """Whether a producer gets anywhere.

    Attributes:
        begun_at: when there was the producer, in the seconds of ``time.monotonic()``.
        confirmed: whether any record was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[Future[Position | None]] = set()
        self._since = self.begun_at = time.monotonic()
        self.confirmed = False

    def begun(self, delivered: "Future[Position | None]") -> None:
        """Note a record that is handed over, and whose report somebody waits for."""
        with self._lock:
            if not self._under_way:
                self._since = time.monotonic()
            self._under_way.add(delivered)

    def ended(self, delivered: "Future[Position | None]") -> bool:
        """Note a record that was reported, or not taken; tell whether it was under way."""
        with self._lock:
            was_under_way = delivered in self._under_way
            self._under_way.discard(delivered)
            return was_under_way

    def report(
        self, delivered: "Future[Position | None]", error: KafkaError | None, message: Message
    ) -> None:
        """Take librdkafka's word on what became of a record."""
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
        """Tell all who wait that their reports won't come."""
        with self._lock:
            left, self._under_way = self._under_way, set()
        for delivered in left:
            delivered.set_exception(_unknown(text))

    def stalled_for(self) -> float:
        """Return for how many seconds nothing was confirmed though something is under way."""
        with self._lock:
            return time.monotonic() - self._since if self._under_way else 0.0


class Publisher:
    """Sends records with ``acks=all`` and idempotence, and tells when they are delivered."""

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.topic
        self._settings = complete(revealed(config.settings))
        self._lock = threading.Lock()
        self._gate = Gate("kafka")
        self._progress = _Progress()
        self._cause = ""  # what was last wrong with one of the brokers
        self._nobody_since: float | None = None  # when none was left, until that is told
        self._fatal = ""  # why the producer can't go on, until there is a new one
        self._doubt = ""  # why the last one could not go on, until this one is known to
        self._pause = _FIRST_PAUSE_SECONDS  # before the next new producer
        self._producer = self._new_producer()
        self._stopping = threading.Event()
        self._thread = start_vital("kafka reports", self._poll)

    def publish(self, record: Record, deadline: Deadline) -> Position:
        """Send a record; return where it is when the broker confirmed it.

        Raises:
            TooLarge: the broker refuses it for its size, and always will.
            DeliveryUnknown: no confirmation: it may have been written or not.
            Unavailable: it was not sent.
            Interrupted: neither, and the notification is not ours any more.
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
        """Send a record; return where in the topic the broker says it is.

        librdkafka takes what it sent before a confirmed record for delivered, because no broker
        with the state of an idempotent producer would have skipped it. One without that state does:
        that of a topic which was deleted and made again. Then the report knows no offset.
        """
        started = time.monotonic()
        delivered: Future[Position | None] = Future()
        self._produce(record, delivered, deadline)
        # librdkafka does not take back what it was given, so its last word is waited for.
        longest = float(self._settings["delivery.timeout.ms"]) / 1000 + _REPORT_GRACE_SECONDS
        seconds = min(longest, deadline.remaining()) if deadline.is_strict else longest
        with deadline.noting("Kafka's confirmation"):
            try:
                position = delivered.result(seconds)
            except TimeoutError as error:
                raise _unknown("no delivery report came in time") from error
        if position is None:
            raise _unknown("it confirms only what was sent after the record")
        metrics.kafka_delivery_seconds.observe(time.monotonic() - started)
        return position

    def check(self) -> None:
        """Return when Kafka answers for the topic, within 2 s, and confirms; from any thread.

        Raises:
            Unavailable: it does not, or the topic can't be had.
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
        if not self._gate.is_down:  # what answers may still take no record
            metrics.connected.works("kafka")

    def _asked(self, producer: Producer) -> str:
        """Ask for the topic; return what is wrong with it."""
        try:
            found = producer.list_topics(self._topic, timeout=_CHECK_SECONDS)
        except KafkaException as error:
            text = self._cause or described(error)
            return f"no answer within {_CHECK_SECONDS:g} s: {text}"
        topic = found.topics[self._topic]
        if topic.error:
            return f"{self._topic}: {described(topic.error)}"
        if self._progress.stalled_for() > _UNCONFIRMED_SECONDS:
            return f"it answers, but confirms nothing{_weakness(topic)}"
        return ""

    def close(self, seconds: float) -> None:
        """Wait so long for what is under way, and end the thread, for which 1 s is enough."""
        try:
            left = self._producer.flush(seconds)
        except KafkaException as error:
            logger.warning("kafka: %s", described(error))
        else:
            if left:
                logger.warning("kafka: %d records or events are left at the end", left)
        self._stopping.set()
        self._thread.join(_END_SECONDS)  # taking a client down may hang

    def _produce(
        self, record: Record, delivered: "Future[Position | None]", deadline: Deadline
    ) -> None:
        """Hand a record to librdkafka, whose report then ends ``delivered``."""
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
                    raise Unavailable("kafka", "the local queue stays full") from error
            except KafkaException as error:
                raise _translated(error.args[0]) from error
            else:
                return

    def _poll(self) -> None:
        """Serve the delivery reports, until :meth:`close`."""
        while not self._stopping.is_set():
            try:
                self._producer.poll(_POLL_SECONDS)
            except (KafkaException, MemoryError) as error:
                self._fatal = described(error)
            self._tell_that_nobody_is_left()
            if self._progress.stalled_for() > _STALLED_SECONDS:
                self._fatal = self._fatal or "nothing was confirmed for a while"
            if self._fatal:
                self._renew()

    def _renew(self) -> None:
        """Replace a producer that can't recover; what it has under way is reported as unknown.

        That takes a pause, in which nothing is sent. Should there be no new producer after it, the
        next pause begins.
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
        old.abandon(why)  # some reports never come
        if self._stopping.wait(pause):
            return
        try:
            producer = self._new_producer()
        except (KafkaException, MemoryError) as error:
            self._fatal = f"there is no new producer: {described(error)}"
            return
        with self._lock:
            _old, self._producer = self._producer, producer  # taken down without the lock
            self._progress = _Progress()
            self._fatal = ""

    def _new_producer(self) -> Producer:
        return Producer(self._settings, error_cb=self._on_error, logger=LIBRDKAFKA_LOG)

    def _on_error(self, error: KafkaError) -> None:
        """Note what librdkafka can't do now; it goes on trying by itself.

        One broker of several that is away costs nothing. When none is left, what it said of one of
        them tells why.
        """
        text = described(error)
        logger.info("kafka: %s", text)
        if error.fatal():
            self._fatal = text  # of which the renewal tells
        elif error.code() in _REFUSED_BY_ALL:
            metrics.connected.fails("kafka", _trouble(text))
        elif error.code() == _NOBODY_LEFT:
            self._nobody_since = time.monotonic()
        else:
            self._cause = text

    def _tell_that_nobody_is_left(self) -> None:
        """Tell that no broker can be reached, and why, which librdkafka says a moment later."""
        since = self._nobody_since
        if since is not None and time.monotonic() - since > _CAUSE_SECONDS:
            self._nobody_since = None
            says = self._cause or "no broker can be reached"
            metrics.connected.fails("kafka", _trouble(says))


def _weakness(topic: TopicMetadata) -> str:
    """Say what keeps brokers that answer from confirming, if the topic's partitions show it."""
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
    """Map an error to what it means for the notification: any but a size is not known to be final.

    A failed report does not mean that nothing was written: a record whose confirmation got lost is
    in the log.
    """
    if error.code() in _TOO_LARGE:
        return TooLarge(f"kafka: {described(error)}")
    is_clusters = error.code() not in _REFUSED
    return DeliveryUnknown("kafka", described(error), hiccup=is_clusters, held=is_clusters)
