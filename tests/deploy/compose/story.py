"""The expected outcomes of the demo's notifications, with the addresses of compose.yaml."""

import contextlib

from cki_notifier.configuration.settings import read_config
from tests.deploy.compose import project
from tools.demo.scenario import Decision, Scene, scenario
from tools.stand_ins.configured import configured


def scenes() -> list[Scene]:
    """Return the demo's scenes."""
    variables = project.environment("publish")
    config = read_config(variables, needs_rabbitmq=False, needs_kafka=False)
    with contextlib.closing(configured(config)) as services:
        return list(scenario(services))


def decision(scene: Scene) -> Decision:
    """Return a notification's outcome while all services are up, as at the demo's end."""
    return scene.later or scene.expected
