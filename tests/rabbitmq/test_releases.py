"""The documentation's facts about RabbitMQ's releases, checked with the installed one."""

import re

from tests.brokers.stage import Stage, eventually
from tools import PROJECT
from tools.brokers.rabbitmq import RELEASE, RabbitMQ

_COLUMN = {"3": 1, "4": 2}[RELEASE]


def said() -> dict[str, str]:
    """Return the facts of docs/delivery.md about this release, by the first column."""
    text = (PROJECT / "docs" / "delivery.md").read_text()
    section = text.partition("## RabbitMQ's releases")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    return {each[0]: each[_COLUMN] for each in cells}


def test_the_figures_are_those_of_the_broker(rabbitmq: RabbitMQ) -> None:
    """Its release, the largest message, and how long it waits for an acknowledgement."""
    facts = said()
    answer = rabbitmq.ctl(
        "eval",
        "{ok, Size} = application:get_env(rabbit, max_message_size), "
        "{ok, Timeout} = application:get_env(rabbit, consumer_timeout), "
        "{ok, Release} = application:get_key(rabbit, vsn), "
        'io:format("~p ~p ~s~n", [Size, Timeout, Release]).',
    )
    size, milliseconds, release = answer.split()[:3]
    assert facts["release"] == release
    assert facts["largest message"] == f"{int(size) // 2**20} MiB"
    assert facts["acknowledgement timeout"] == f"{int(milliseconds) // 60_000} min"


def test_the_delivery_limit_is_that_of_the_broker(stage: Stage) -> None:
    """A quorum queue delivers a message this often, and then drops or dead-letters it."""
    limit = said()["delivery limit of a quorum queue"]
    tries = 30 if limit == "none" else int(limit)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{stage.queue}.dead"}
    with stage.channel() as channel:
        channel.queue_declare(f"{stage.queue}.dead", durable=True)
        channel.queue_declare(
            stage.queue, durable=True, arguments={"x-queue-type": "quorum", **arguments}
        )
        channel.basic_publish("", stage.queue, b"{}")
        for _ in range(tries + 1):
            method = eventually(lambda: channel.basic_get(stage.queue)[0], what="the message")
            assert method is not None
            channel.basic_nack(method.delivery_tag or 0, requeue=True)
    given_up = limit != "none"
    eventually(lambda: stage.waiting(stage.queue) == (not given_up))
    assert stage.waiting(f"{stage.queue}.dead") == given_up
