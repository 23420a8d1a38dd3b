"""Who may go on when only a few may at a time: pure, no I/O, no threads."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FewAtATime(Generic[T]):
    """Lets a few at a time have a turn, in the order in which they asked for it.

    Args:
        turns: so many have one at once.
    """

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._have: list[T] = []
        self._waiting: deque[T] = deque()

    @property
    def waiting(self) -> tuple[T, ...]:
        """Those who wait, in their order."""
        return tuple(self._waiting)

    def take(self, one: T) -> bool:
        """Tell whether this one has a turn; if not, it waits from now on."""
        if one not in self._have and one not in self._waiting:
            self._waiting.append(one)
            self._next()
        return one in self._have

    def leave(self, one: T) -> T | None:
        """Forget one; return who has a turn now because of that, if anybody."""
        if one in self._have:
            self._have.remove(one)
        elif one in self._waiting:
            self._waiting.remove(one)
        return self._next()

    def _next(self) -> T | None:
        if not self._waiting or len(self._have) >= self._turns:
            return None
        self._have.append(self._waiting.popleft())
        return self._have[-1]
