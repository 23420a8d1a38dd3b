"""Threads: those the process can't do without, and those that somebody waits for."""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from cki_notifier.configuration.shutdown import LINES_SECONDS
from cki_notifier.telemetry import streams

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The process' exit code when one of them ends by a bug.
_BUG = 70


def beside(name: str, work: Callable[[], T]) -> Future[T]:
    """Work in a thread of its own, which nobody has to wait for; return what will hold the result.

    Raises:
        RuntimeError: there is no thread left.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is waited for
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def start_vital(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread whose end by an exception ends the process.

    Half a daemon is worse than none: it would be alive and do nothing. What was in flight is
    handed out again when the process is started anew.
    """

    def run() -> None:
        try:
            target()
        except BaseException:  # noqa: BLE001  # none is left unsaid, and it ends the process
            try:  # the process ends whatever becomes of the last words
                logger.critical("a bug in the thread %r ends the process", name, exc_info=True)
                logging.shutdown()
                streams.drain(LINES_SECONDS)
            finally:
                os._exit(_BUG)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
