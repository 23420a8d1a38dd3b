"""Recognize the important moments in the bytes of AMQP and Kafka's protocol."""

import re

#: AMQP 0-9-1, 2.3.5 and 1.8.3.13: a method frame, any channel, 13 bytes, class 60 (basic), method
#: 80 (ack).
_ACK = re.compile(rb"\x01..\x00\x00\x00\x0d\x00\x3c\x00\x50", re.DOTALL)
#: Kafka's protocol guide, "Request Header": key 0 (Produce), any version, the correlation id, and
#: the name by which the daemon introduces itself.
_PRODUCE = re.compile(rb"\x00\x00..(....)\x00\x0ccki-notifier", re.DOTALL)


def acknowledges(data: bytes) -> bool:
    """Return whether a client's data for RabbitMQ has an acknowledgement."""
    return _ACK.search(data) is not None


def produces(data: bytes) -> list[bytes]:
    """Return the correlation ids of produce requests in data for Kafka."""
    return _PRODUCE.findall(data)


def answers(data: bytes) -> bytes:
    """Return the correlation id of the first response in data from Kafka."""
    return data[4:8]
