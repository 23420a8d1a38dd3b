"""Benthos 4.27, the Go bridge that the daemon is compared with.

Its binary is not part of this project. It can be built from the Go module
``github.com/benthosdev/benthos/v4`` at v4.27.0: a ``main`` that calls ``service.RunCLI`` and
imports ``amqp09``, ``io``, ``kafka`` and ``pure`` from ``public/components/`` is all that
``benthos.yaml`` needs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.benchmarks.programs import Program, Task

CONFIGURATION: Final = Path(__file__).resolve().parent / "benthos.yaml"


def benthos(binary: Path) -> Program:
    """Return the program; ``binary`` is where it is."""
    return Program("Benthos", (str(binary), "-c", str(CONFIGURATION)), _environment)


def _environment(task: Task) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LOGGING_LEVEL": task.logging_level,
        "IN_FLIGHT": str(task.in_flight),
        "RABBITMQ_PORT": str(task.rabbitmq_port),
        "RABBITMQ_QUEUE": task.queue,
        "WAREHOUSE": task.warehouse,
        "WAREHOUSE_TOKEN": task.warehouse_token,
        "GITLAB_TOKEN": task.gitlab_token,
        "KAFKA_BOOTSTRAP_SERVERS": task.bootstrap,
        "KAFKA_TOPIC": task.topic,
    }
