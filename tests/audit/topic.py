"""What the topic says was announced, read with nothing of ours."""

from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.models import Stage
from cki_notifier.workers.deadline import Deadline

_TYPES = {Stage.PRE_TEST: b".pre", Stage.POST_TEST: b".post"}
_SECONDS = 3.0


class Topic:
    """Knows which stages of which checkouts were announced, up to where it was read."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        settings: dict[str, Any] = {"bootstrap.servers": bootstrap, "group.id": "test"}
        self._consumer = Consumer(settings | {"fetch.wait.max.ms": 10, "log_level": 0})
        partitions = self._consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        self._next = {it: TopicPartition(topic, it, 0) for it in partitions}
        self._seen: set[tuple[bytes, bytes]] = set()
        self.reads = 0

    def has(self, checkout_id: str, stage: Stage) -> bool:
        """Tell whether a stage was announced, up to there."""
        return (checkout_id.encode(), _TYPES[stage]) in self._seen

    def read_on(self, _deadline: Deadline | None = None) -> None:
        """Read up to the end that each partition has now."""
        self.reads += 1
        try:
            self._read_on()
        except KafkaException as error:
            raise Unavailable("kafka", str(error), hiccup=True) from error

    def _read_on(self) -> None:
        for partition in self._next.values():
            _, end = self._consumer.get_watermark_offsets(partition, timeout=_SECONDS)
            if partition.offset >= end:
                continue
            self._consumer.assign([partition])
            while partition.offset < end:
                message = self._consumer.poll(_SECONDS)
                if message is None or message.error() is not None:
                    raise KafkaException(message and message.error())
                headers: dict[str, Any] = dict(message.headers() or [])
                _, dot, kind = headers["ce_type"].rpartition(b".")
                self._seen.add((headers["ce_subject"], dot + kind))
                partition.offset = (message.offset() or 0) + 1
        self._consumer.unassign()

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()
