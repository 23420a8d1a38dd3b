"""The whole demo: put up, play, sum up, take down."""

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
from tools.demo.stage import Builder, Stage
from tools.processes import ProcessError

_OK, _FAILED = 0, 1

#: Whatever ends the demo with a sentence instead of a traceback.
_FAILURES = (ConfigurationError, OSError, ProcessError, UnexpectedError)


def run(*, cluster: bool, real_kafka: bool, keep: bool, full: bool) -> int:
    """Run the demo and return its exit code: 0 when everything was seen that should be.

    Raises:
        Interrupted: a signal came; everything was taken down.
    """
    # What it says of lost connections is nothing that the screen needs.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    started = time.monotonic()
    screen = Screen(full=full)
    with contextlib.ExitStack() as stack:
        try:
            screen.title("What runs, for this demo alone")
            stage = Builder(stack, screen).build(cluster=cluster, real_kafka=real_kafka)
            code = _show(stage, screen, started, keep=keep)
        except KafkaException as error:
            screen.failure(f"Kafka: {error.args[0].str()}")
            code = _FAILED
        except _FAILURES as error:
            screen.failure(str(error) or repr(error))
            code = _FAILED
        finally:
            interrupts.ignore()
    return code


def _show(stage: Stage, screen: Screen, started: float, *, keep: bool) -> int:
    reader = Reader(stage.topic, from_the_beginning=False)
    screen.title("What happens at CKI, and what the notifier makes of it")
    try:
        # Closed before anybody plays with Kafka: it would tell of each connection that is lost.
        with contextlib.closing(reader):
            play = Play(stage, reader, screen)
            for scene in scenario(stage.services):
                play.play(scene)
            summary = play.finish()
        if not keep:
            play.stop()
        screen.summary(f"{summary} It took {time.monotonic() - started:.0f} s.")
        if keep:
            keep_up(stage, screen)
    except UnexpectedError as error:
        screen.failure(str(error), stage.tail())
        return _FAILED
    except AMQPError as error:
        screen.failure(f"RabbitMQ: {error!r}", stage.tail())
        return _FAILED
    return _OK
