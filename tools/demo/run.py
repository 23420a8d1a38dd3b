"""Run the whole demo: start, play, sum up, stop."""

import contextlib
import logging
import time

from confluent_kafka import KafkaException
from pika.exceptions import AMQPError

from cki_notifier.notification.errors import ConfigurationError
from tools.brokers.kafka import Reader
from tools.demo.interrupts import interrupts
from tools.demo.keep import keep_up
from tools.demo.play import Play, UnexpectedError
from tools.demo.scenario import scenario
from tools.demo.screen import Screen
from tools.demo.stage import Stage
from tools.processes import ProcessError

_OK, _FAILED = 0, 1

#: Errors that end the demo with a sentence instead of a traceback.
_FAILURES = (
    AMQPError,
    ConfigurationError,
    KafkaException,
    OSError,
    ProcessError,
    UnexpectedError,
)


def run(*, cluster: bool, real_kafka: bool, keep: bool, full: bool) -> int:
    """Run the demo and return its exit code: 0 if all went as expected.

    Raises:
        Interrupted: a signal came; everything is stopped.
    """
    # Its lines about lost connections would spoil the screen.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    started = time.monotonic()
    screen = Screen(full=full)
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, screen)
        try:
            screen.title("Processes and services of this demo")
            stage.put_up(cluster=cluster, real_kafka=real_kafka)
            summary = _play(stage, screen, stops=not keep)
            screen.summary(f"{summary} It took {time.monotonic() - started:.0f} s.")
            if keep:
                keep_up(stage, screen)
        except _FAILURES as error:
            screen.failure(_told(error), stage.tail())
            return _FAILED
        finally:
            interrupts.ignore()
    return _OK


def _play(stage: Stage, screen: Screen, *, stops: bool) -> str:
    """Play all scenes, and return the summary."""
    screen.title("Sixteen notifications, and the daemon's decisions")
    # Closed before the user stops Kafka: it would log each lost connection.
    with contextlib.closing(Reader(stage.topic, from_the_beginning=False)) as reader:
        play = Play(stage, reader, screen)
        for scene in scenario(stage.services):
            play.play(scene)
        summary = play.finish()
    if stops:
        play.stop()
    return summary


def _told(error: Exception) -> str:
    if isinstance(error, KafkaException):
        return f"Kafka: {error.args[0].str()}"
    if isinstance(error, AMQPError):
        return f"RabbitMQ: {error!r}"
    return str(error) or repr(error)
