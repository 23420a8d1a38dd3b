"""Ctrl-C and its like as an exception that ends the demo by unwinding what it started."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Interrupts:
    """Raises :class:`Interrupted` in the main thread at the first signal, and only at that one.

    Later ones are ignored, so that nobody interrupts the clearing up that the first one began.
    """

    def __init__(self) -> None:
        self._number = 0
        self._postponed = False
        self._over = False

    def install(self) -> None:
        """Take the signals over. One that `nohup` had ignored stays ignored."""
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def check(self) -> None:
        """Raise what was swallowed, as Python does with an exception in a finalizer."""
        if self._number and not self._over:
            raise Interrupted(self._number)

    def ignore(self) -> None:
        """Ignore signals from now on."""
        self._over = True

    @contextlib.contextmanager
    def postponed(self) -> Iterator[None]:
        """Raise no sooner than at the end of this context: what is made in it is made whole."""
        self._postponed = True
        try:
            yield
        finally:
            self._postponed = False
        self.check()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._number:
            self._number = number
            if not self._postponed:
                self.check()


#: This process's own: signals are the whole process's, too.
interrupts = _Interrupts()
