"""Kafka: sends messages and waits for the broker's word. The only importer of confluent_kafka."""

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from cki_notifier import monitor
from cki_notifier.config import KafkaConfig, revealed
from cki_notifier.deadline import Deadline
from cki_notifier.errors import DeliveryUnknown, NotifierError, TooLarge, Unavailable

logger = logging.getLogger(__name__)

#: What everything rests on; the configuration can't change these.
_PROMISED = {"acks": "all", "enable.idempotence": "true"}
#: librdkafka gives a message up after this many milliseconds, far below RabbitMQ's 30 minutes.
_DELIVERY_TIMEOUT_MS = 60_000
_DEFAULTS = {
    "client.id": "cki-notifier",
    "delivery.timeout.ms": str(_DELIVERY_TIMEOUT_MS),
    # The broker alone knows its limit; librdkafka's own would refuse what the broker may take.
    "message.max.bytes": "1000000000",
    "linger.ms": "0",
    "log.connection.close": "false",
}
#: A setting's other name, which would contradict ours.
_ALIASES = {"delivery.timeout.ms": "message.timeout.ms", "linger.ms": "queue.buffering.max.ms"}
#: How long beyond librdkafka's own time-out we wait for its report, in seconds.
_REPORT_GRACE_SECONDS = 5.0
#: After these the very same message fails again, whenever it is sent.
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_POLL_SECONDS = 1.0
_QUEUE_FULL_SECONDS = 0.1


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


class Publisher:
    """Sends records with ``acks=all`` and idempotence, and tells when they are delivered.

    Args:
        config: the topic, and settings that :func:`setting_faults` accepted.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.topic
        self._settings = _complete(revealed(config.settings))
        self._lock = threading.Lock()
        self._fatal = ""  # why the producer can't go on, when it can't
        self._producer = self._new_producer()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka reports", daemon=True)
        self._thread.start()

    def publish(self, record: Record, deadline: Deadline) -> None:
        """Send a record and return when the broker confirmed it.

        Raises:
            TooLarge: the broker refuses it for its size, and always will.
            DeliveryUnknown: no confirmation: it may have been written or not.
            Unavailable: it was not sent.
        """
        delivered: Future[None] = Future()
        self._produce(record, delivered, deadline)
        longest = float(self._settings["delivery.timeout.ms"]) / 1000 + _REPORT_GRACE_SECONDS
        try:
            delivered.result(min(longest, deadline.remaining()))
        except FutureTimeoutError as error:
            raise DeliveryUnknown("kafka", "no delivery report came in time") from error
        monitor.connected.labels("kafka").set(1)

    def close(self, seconds: float) -> int:
        """Wait for what is under way, end the thread; return how many records stay unconfirmed."""
        left = self._producer.flush(seconds)
        self._stopping.set()
        self._thread.join()
        return int(left)

    def _produce(self, record: Record, delivered: "Future[None]", deadline: Deadline) -> None:
        def report(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                delivered.set_result(None)
            else:
                delivered.set_exception(_translated(error))

        headers: list[tuple[str, str | bytes | None]] = list(record.headers.items())
        while True:
            try:
                with self._lock:
                    self._producer.produce(
                        self._topic, record.value, record.key, on_delivery=report, headers=headers
                    )
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
            except KafkaException as error:
                self._fatal = str(error)
            if self._fatal:
                self._renew()

    def _renew(self) -> None:
        """Replace a producer that can't recover; what it has under way is reported as unknown."""
        logger.error("kafka: %s; making a new producer", self._fatal)
        monitor.reconnects.labels("kafka").inc()
        with self._lock:
            old, self._producer = self._producer, self._new_producer()
            self._fatal = ""
        try:
            old.purge()
            old.poll(0)
        except KafkaException as error:
            logger.debug("kafka: the old producer says %s", error)

    def _new_producer(self) -> Producer:
        return Producer(self._settings, error_cb=self._on_error, logger=_LIBRDKAFKA_LOG)

    def _on_error(self, error: KafkaError) -> None:
        monitor.connected.labels("kafka").set(0)
        logger.warning("kafka: %s", error.str())
        if error.fatal():
            self._fatal = error.str()


_LIBRDKAFKA_LOG = logging.getLogger("librdkafka")


def setting_faults(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what librdkafka refuses, by setting; nothing is connected.

    Args:
        settings: librdkafka's names and values.
    """
    faults = {}
    alone = {name: text for name, text in settings.items() if name != "bootstrap.servers"}
    while True:
        try:
            Producer(_complete(alone), logger=_LIBRDKAFKA_LOG)
        except KafkaException as error:
            text = error.args[0].str()
            name = next((name for name in alone if f'"{name}"' in text or f"`{name}`" in text), "")
            faults[name] = f"librdkafka refuses it: {text}"
            if not name:
                return faults
            del alone[name]
        else:
            return faults


def _complete(settings: Mapping[str, str]) -> dict[str, str]:
    """Add the defaults and what was promised to settings."""
    defaults = {
        name: text for name, text in _DEFAULTS.items() if _ALIASES.get(name) not in settings
    }
    complete = defaults | dict(settings) | _PROMISED
    if "message.timeout.ms" in complete:
        complete["delivery.timeout.ms"] = complete.pop("message.timeout.ms")
    return complete


def _translated(error: KafkaError) -> NotifierError:
    """Map an error to what it means for the notification: any but a size is not known to be final.

    A failed report does not mean that nothing was written: a record whose confirmation got lost is
    in the log.
    """
    if error.code() in _TOO_LARGE:
        return TooLarge(f"kafka: {error.str()}")
    return DeliveryUnknown("kafka", error.str())
