"""Who may go on when only one may at a time: pure, no I/O, no threads."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class OneAtATime(Generic[T]):
    """Lets one at a time have the turn, in the order in which they asked for it."""

    def __init__(self) -> None:
        self._has: T | None = None
        self._waiting: deque[T] = deque()

    @property
    def waiting(self) -> tuple[T, ...]:
        """Those who wait, in their order."""
        return tuple(self._waiting)

    def take(self, one: T) -> bool:
        """Tell whether it is this one's turn; if not, it waits from now on."""
        if self._has is None:
            self._has = one
        elif self._has != one and one not in self._waiting:
            self._waiting.append(one)
        return self._has == one

    def leave(self, one: T) -> T | None:
        """Forget one; return who has the turn now because of that, if anybody."""
        if self._has != one:
            if one in self._waiting:
                self._waiting.remove(one)
            return None
        self._has = self._waiting.popleft() if self._waiting else None
        return self._has
