"""AMQP's field tables, byte for byte: also those that no library would write.

Source: AMQP 0-9-1, 4.2.5.5, with RabbitMQ's errata.
"""

import struct

import pika

#: The flag of message properties that have headers and nothing else.
_HEADERS = struct.pack(">H", 1 << 13)


def entry(name: bytes, value: bytes) -> bytes:
    """Return a name and its value, which begins with the letter of its type."""
    return bytes([len(name)]) + name + value


def sized(content: bytes) -> bytes:
    """Return content with its length before it."""
    return struct.pack(">I", len(content)) + content


def text(content: bytes) -> bytes:
    """Return a long string."""
    return b"S" + sized(content)


def tables(depth: int, innermost: bytes = b"") -> bytes:
    """Return a table within a table within…, as a value."""
    content = innermost
    for _ in range(depth - 1):
        content = entry(b"a", b"F" + sized(content))
    return b"F" + sized(content)


def arrays(depth: int) -> bytes:
    """Return an array within an array within…, as a value."""
    value = b"V"
    for _ in range(depth):
        value = b"A" + sized(value)
    return value


def properties(*entries: bytes) -> bytes:
    """Return message properties that have these headers and nothing else."""
    return _HEADERS + sized(b"".join(entries))


#: Headers that RabbitMQ delivers unchanged, and that pika can't decode or publish again.
DELIVERED = {
    "nested tables": entry(b"a", tables(5_000)),
    "nested arrays": entry(b"a", arrays(5_000)),
    "tables nested just so that they can be read": entry(b"a", tables(300)),
    "arrays nested just so that they can be read": entry(b"a", arrays(300)),
    "a time beyond the calendar": entry(b"a", b"T" + struct.pack(">Q", 2**62)),
    "a name that is no text": entry(b"\xff", text(b"x")),
    "a name within that is no text": entry(b"a", tables(1, entry(b"\xff", b"V"))),
    "as much as fits into a frame": entry(b"a", text(b"x" * 130_000)),
}
#: Those that RabbitMQ itself refuses, and more of the kind.
REFUSED = {
    "no number": entry(b"a", b"d" + struct.pack(">d", float("nan"))),
    "an unknown type": entry(b"a", b"?"),
    "a value that is cut off": entry(b"a", b"l\0"),
}


class Raw(pika.BasicProperties):
    """Message properties that are published as these bytes."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self._encoded = encoded

    def encode(self) -> list[bytes]:
        """Return the bytes."""
        return [self._encoded]
