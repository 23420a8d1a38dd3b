"""A server that sends bytes of the test's choice, HTTP or not."""

from dataclasses import dataclass

from tools.stand_ins import Exchange


@dataclass(frozen=True)
class Raw:
    """Bytes in place of the answer, after which the connection is closed."""

    data: bytes

    def __call__(self, exchange: Exchange) -> None:
        """Send the bytes."""
        exchange.connection.write(self.data)
        exchange.connection.close()
