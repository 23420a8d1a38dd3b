"""librdkafka's own mock cluster, which answers with any given error."""

import ctypes
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition, cimpl

TOPIC: Final = "kafka.tx.cki.ready-for-test"
#: The timeout of a failing test, in seconds.
PATIENCE: Final = 30.0
#: The keys of requests: to write records, and for the identity that a producer needs first (Kafka's
#: protocol, "API keys").
PRODUCE: Final = 0
INIT_PRODUCER_ID: Final = 22
#: More than a client's attempts at once.
_MANY: Final = 5
#: More than in any test.
_LASTING: Final = 1000


class MockCluster:
    """librdkafka's mock cluster of one broker with one topic of one partition.

    The Python client can start one, but not make it fail. So the tests use the library's C
    interface.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(cimpl.__file__)
        for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(self._library, function).restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        conf = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", None, 0)
        self._client = ctypes.c_void_p(self._library.rd_kafka_new(0, conf, None, 0))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._client, 1))
        self._library.rd_kafka_mock_topic_create(self._cluster, TOPIC.encode(), 1, 1)
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        self.address = address.decode()

    def close(self) -> None:
        """End the cluster."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    @contextmanager
    def failing(self, code: int, times: int = _MANY, request: int = PRODUCE) -> Iterator[None]:
        """Answer a request with an error a number of times, within the context."""
        codes = (ctypes.c_int * times)(*[code] * times)
        key, count = ctypes.c_int16(request), ctypes.c_size_t(times)
        push = self._library.rd_kafka_mock_push_request_errors_array
        push(self._cluster, key, count, codes)
        try:
            yield
        finally:
            self._library.rd_kafka_mock_clear_request_errors(self._cluster, key)

    def refusing_producers(self) -> AbstractContextManager[None]:
        """Refuse producers within the context, like without the right to write."""
        code = KafkaError.CLUSTER_AUTHORIZATION_FAILED
        return self.failing(code, times=_LASTING, request=INIT_PRODUCER_ID)

    @contextmanager
    def answering_after(self, milliseconds: int) -> Iterator[None]:
        """Delay answers within the context."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, milliseconds)
        try:
            yield
        finally:
            self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, 0)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections within the context."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)
        try:
            yield
        finally:
            self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def records(self) -> list[Message]:
        """Return all written records."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "test"})
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=PATIENCE)
            consumer.assign([TopicPartition(TOPIC, 0, 0)])
            found = consumer.consume(end, timeout=PATIENCE) if end else []
        finally:
            consumer.close()
        assert len(found) == end
        return found
