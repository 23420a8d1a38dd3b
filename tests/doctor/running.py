"""The doctor on a stage: the command with its JSON, and all that it could have changed."""

import json
from typing import Any, NamedTuple

from confluent_kafka.admin import AdminClient

from cki_notifier.configuration.settings import read_operator_config
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.queues import MainQueue
from tests.brokers.stage import Stage

#: The properties of a queue. rabbitmqctl learns the number of messages too late.
_QUEUE = ("name", "type", "durable", "arguments", "policy")


class Row(NamedTuple):
    """One row of the report."""

    state: str
    text: str
    advice: str


class Report(NamedTuple):
    """The result of the command: its exit code, and its rows by name."""

    code: int
    rows: dict[str, Row]

    def failed(self) -> set[str]:
        """Return the names of what failed."""
        return {name for name, row in self.rows.items() if row.state == "failed"}


def doctor(stage: Stage, *arguments: str, **changes: str) -> Report:
    """Run the command with changes to the daemon's environment."""
    environment = stage.environment | {"CKI_LOGGING_LEVEL": "WARNING"} | changes
    result = stage.command("doctor", "--json", *arguments, environment=environment)
    assert result.stdout, result.stderr
    checks: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
    rows = {it["name"]: Row(it["state"], it["text"], it["advice"]) for it in checks}
    assert len(rows) == len(checks), "each name is there once"
    return Report(result.returncode, rows)


def declare(stage: Stage) -> None:
    """Declare exchange and queues as the daemon does, and consume nothing."""
    config = read_operator_config(stage.environment).rabbitmq
    connection = connect(config, "test")
    MainQueue(config, is_temporary=False).declare(connection)
    connection.close()


def everything(stage: Stage) -> list[str]:
    """Return what both brokers have: queues, exchanges, bindings, policies and topics."""
    held = [
        stage.rabbitmq.ctl("list_queues", *_QUEUE),
        stage.rabbitmq.ctl("list_exchanges", "name", "type", "durable", "arguments"),
        stage.rabbitmq.ctl("list_bindings", "source_name", "destination_name", "routing_key"),
        stage.rabbitmq.ctl("list_policies"),
    ]
    return [*("\n".join(sorted(text.splitlines())) for text in held), _topics(stage.bootstrap)]


def _topics(bootstrap: str) -> str:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = admin.list_topics(timeout=10).topics
    return "\n".join(sorted(f"{name} {len(topics[name].partitions)}" for name in topics))
