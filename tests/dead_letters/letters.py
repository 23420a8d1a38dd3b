"""Dead letters as the daemon makes them, and runs of the command."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pika

from cki_notifier.configuration.settings import OperatorConfig, read_operator_config
from cki_notifier.notification.command_words import taken_by
from cki_notifier.notification.errors import InvalidDocument, Malformed, NotifierError
from cki_notifier.rabbitmq.connection import connect, ensure_queue
from cki_notifier.rabbitmq.queues import retry_arguments
from cki_notifier.rabbitmq.republish import copied_properties
from cki_notifier.rabbitmq.retries import History, destination_of
from tests.brokers.stage import Stage, eventually
from tests.factories.terminal import run_on_terminal
from tools.notifier import complete

#: When the first of the letters was received; each next one a second later.
BEGAN = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


def only_rabbitmq(stage: Stage) -> dict[str, str]:
    """Return the variables that the command needs."""
    needed = {name: text for name, text in stage.environment.items() if "RABBITMQ" in name}
    return needed | {"CKI_LOGGING_LEVEL": "WARNING", "CKI_LOGGING_FORMAT": "text"}


def operator_config(stage: Stage) -> OperatorConfig:
    """Read the configuration as the command does."""
    return read_operator_config(only_rabbitmq(stage))


def run(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``cki-notifier dead-letters`` to its end."""
    return stage.command("dead-letters", *arguments, environment=only_rabbitmq(stage))


def start(stage: Stage, *arguments: str) -> subprocess.Popen[str]:
    """Start ``cki-notifier dead-letters``."""
    return subprocess.Popen(
        [sys.executable, "-m", "cki_notifier", "dead-letters", *arguments],
        env=complete(only_rabbitmq(stage)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def midway(stage: Stage, process: subprocess.Popen[str], count: int) -> Iterator[None]:
    """Stop a retrying process once this many letters or more are back in the queue."""
    held = False

    def is_midway() -> bool:
        nonlocal held
        if held:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        held = True
        return stage.waiting(stage.queue) >= count

    eventually(is_midway, what="letters put back")
    yield
    process.send_signal(signal.SIGCONT)


def on_terminal(
    stage: Stage, *arguments: str, answer: str = "", columns: int = 80
) -> tuple[int, str]:
    """Run the command on a terminal with an answer; return the exit code and the screen."""
    command = [sys.executable, "-m", "cki_notifier", "dead-letters", *arguments]
    environment = complete(only_rabbitmq(stage))
    return run_on_terminal(command, environment, columns=columns, answer=answer)


def listed(stage: Stage, *arguments: str) -> list[dict[str, Any]]:
    """List letters as JSON."""
    result = run(stage, "list", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def declare(stage: Stage) -> None:
    """Declare the dead-letter queue as the daemon does, and a main queue without a consumer."""
    connection = connect(operator_config(stage).rabbitmq, "test")
    for name, arguments in retry_arguments(stage.queue).items():
        ensure_queue(connection, name, arguments)
    ensure_queue(connection, stage.queue, {})
    connection.close()


def dead_letter(
    stage: Stage,
    bodies: Sequence[bytes],
    error: NotifierError = Malformed("the body is no notification"),  # noqa: B008  # never changed
    *,
    began: datetime = BEGAN,
    **properties: Any,
) -> None:
    """Put bodies into the dead-letter queue with the headers the daemon gives them."""
    with stage.channel() as channel:
        channel.confirm_delivery()
        for number, body in enumerate(bodies):
            first_seen = began + timedelta(seconds=number)
            history = History(0, first_seen, stage.exchange, "datawarehouse.checkout.any")
            parked = destination_of(
                error,
                history,
                queue=stage.queue,
                retry_for=timedelta(hours=72),
                now=first_seen + timedelta(hours=1),
            )
            copy = copied_properties(pika.BasicProperties(**properties), parked.headers)
            channel.basic_publish("", parked.queue, body, copy, mandatory=True)


def bodies(stage: Stage, queue: str) -> list[bytes]:
    """Take all bodies out of a queue, without the reports to the daemons."""
    return [it for it in everything(stage, queue) if not taken_by(it)]


def everything(stage: Stage, queue: str) -> list[bytes]:
    """Take all bodies out of a queue."""
    return [letter.body for letter in stage.take(queue, stage.waiting(queue))]


def about(checkout_id: str, **more: Any) -> bytes:
    """Return a notification about a checkout."""
    body = {"object_type": "checkout", "status": "build_setups_finished", "id": checkout_id}
    return json.dumps(body | more).encode()


def invalid() -> InvalidDocument:
    """Return the other reason for a dead letter."""
    return InvalidDocument("datawarehouse: $.tree_name is no string")
