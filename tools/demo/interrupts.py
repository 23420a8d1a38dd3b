"""Turn Ctrl-C and the like into an exception, so that the demo unwinds and cleans up."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal ended the demo."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Interrupts:
    """Raises :class:`Interrupted` in the main thread at the first signal.

    Later signals are ignored, so that they don't interrupt the cleaning up.
    """

    def __init__(self) -> None:
        self._number = 0
        self._postponed = False
        self._over = False

    def install(self) -> None:
        """Handle the signals. SIGHUP stays ignored under `nohup`."""
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def check(self) -> None:
        """Raise an exception that Python swallowed, for example in a finalizer."""
        if self._number and not self._over:
            raise Interrupted(self._number)

    def ignore(self) -> None:
        """Ignore signals from now on."""
        self._over = True

    @contextlib.contextmanager
    def postponed(self) -> Iterator[None]:
        """Raise at the end of this context, so that a signal leaves nothing half made."""
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


#: One for the process, as signals are for the whole process.
interrupts = _Interrupts()
