"""Threads: vital ones, whose end ends the process, and ones that return a result."""

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

#: The exit code of the process when a bug ends a vital thread.
_BUG = 70


def beside(name: str, work: Callable[[], T]) -> Future[T]:
    """Work in a thread of its own, which does not delay the exit; return the future result.

    Raises:
        RuntimeError: no thread can be started.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised by the future's ``result``
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def start_vital(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread whose end by an exception ends the process.

    Without that thread the daemon would look alive and do nothing. After the restart RabbitMQ
    redelivers the notifications in flight.
    """

    def run() -> None:
        try:
            target()
        except BaseException:  # noqa: BLE001  # each is logged, and ends the process
            try:  # the process ends even if logging fails
                logger.critical("a bug in the thread %r ends the process", name, exc_info=True)
                logging.shutdown()
                streams.drain(LINES_SECONDS)
            finally:
                os._exit(_BUG)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
