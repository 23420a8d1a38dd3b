"""docs/compose.md: its commands work, and its numbers and addresses are right."""

import re
from itertools import dropwhile

from tests.deploy.compose import project
from tests.deploy.compose.story import decision, scenes
from tests.deploy.monitoring.files import alerts
from tools import PROJECT

_PAGE = (PROJECT / "docs" / "compose.md").read_text()


def commands() -> list[list[str]]:
    """Return the page's commands as words, without `docker compose`."""
    blocks = re.findall(r"```sh\n(.*?)```", _PAGE, re.DOTALL)
    lines = [line.split() for block in blocks for line in block.strip().splitlines()]
    assert all(words[:2] == ["docker", "compose"] for words in lines)
    return [words[2:] for words in lines]


def arguments(subcommand: str) -> list[list[str]]:
    """Return the service and its command, which follow a subcommand and its options."""
    return [
        list(dropwhile(lambda word: word.startswith("--"), words))
        for name, *words in commands()
        if name == subcommand
    ]


def test_every_command_is_about_services_that_there_are() -> None:
    """`run` names only tools. `exec`, `logs`, `start` and `stop` name only other services."""
    tools = {
        name for name, service in project.services().items() if service.get("profiles") == ["tools"]
    }
    assert {service for service, *_ in arguments("run")} == tools
    for subcommand in ("exec", "logs", "start", "stop"):
        named = {service for service, *_ in arguments(subcommand)}
        assert named
        assert named <= project.services().keys() - tools


def test_every_checkout_is_one_of_the_demo() -> None:
    """The stand-ins know only the demo's checkouts."""
    named = set(re.findall(r"--checkout-id (\S+)", _PAGE))
    assert named
    assert named <= {scene.checkout for scene in scenes()}


def test_the_addresses_are_those_that_are_published() -> None:
    """The page names each published port, and no other."""
    named = set(re.findall(r"\b(127\.0\.0\.1):(\d+)", _PAGE))
    assert named == {(port.host, str(port.published)) for port in project.ports()}


def test_the_page_counts_right() -> None:
    """The numbers of notifications and messages and the names of topic and alerts are right."""
    sent = [scene for scene in scenes() if decision(scene).outcome == "sent"]
    assert f"the {len(scenes())} notifications of the demo" in _PAGE
    assert f"Of these, {len(sent)} lead to a message" in _PAGE
    pipeline = (PROJECT / ".gitlab-ci.yml").read_text()
    assert f"--max-messages={len(sent)} " in pipeline
    assert f'build/messages)" -eq {len(sent)}\n' in pipeline
    assert f"`{project.environment('cki-notifier')['KAFKA_TOPIC']}`" in _PAGE
    named = set(re.findall(r"`(CKINotifier\w+)`", _PAGE))
    assert named
    assert named <= {alert["alert"] for alert in alerts()}
