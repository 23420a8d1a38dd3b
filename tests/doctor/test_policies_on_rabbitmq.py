"""The doctor's findings about policies, on a real RabbitMQ with its management plugin."""

import base64
import json
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from cki_notifier.configuration.settings import RabbitMQConfig, read_operator_config
from cki_notifier.doctor import policies
from cki_notifier.doctor.check import Finding, examine
from cki_notifier.rabbitmq.connection import BlockingConnection, close, connect, ensure_queue
from cki_notifier.rabbitmq.queues import MainQueue, dead_letter_queue, retry_arguments
from tests.brokers.stage import PATIENCE, eventually
from tests.factories.environment import environment
from tools import PROJECT
from tools.brokers.rabbitmq import RabbitMQ

RUNBOOK = PROJECT / "docs" / "runbook.md"
MAIN, DELAY, DEAD = (
    f"rabbitmq {what} policy" for what in ("queue", "delay queues", "dead-letter queue")
)
TTL = {"message-ttl": 86_400_000}
Rows = dict[str, Finding]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ with its management, which the policies of a test concern alone."""
    with RabbitMQ(tmp_path_factory.mktemp("managed"), management=True) as broker:
        yield broker


@pytest.fixture
def config(node: RabbitMQ) -> RabbitMQConfig:
    """A main queue with a name that has to be encoded and escaped, not declared yet."""
    return configured(node)


def configured(node: RabbitMQ, **changes: str) -> RabbitMQConfig:
    """Return a configuration with a queue of its own."""
    usual = {
        "RABBITMQ_HOST": node.host,
        "RABBITMQ_PORT": str(node.port),
        "RABBITMQ_QUEUE": f"a/b.c+{uuid4().hex[:8]}",
        "RABBITMQ_MANAGEMENT_URL": f"{node.management_url}/",
    }
    return read_operator_config(usual | changes).rabbitmq


@pytest.fixture
def broker(config: RabbitMQConfig) -> Iterator[BlockingConnection]:
    """A connection."""
    connection = connect(config, "test")
    yield connection
    close(connection)


@pytest.fixture
def declared(config: RabbitMQConfig, broker: BlockingConnection) -> RabbitMQConfig:
    """The queues as the daemon makes them."""
    MainQueue(config, is_temporary=False).declare(broker)
    return config


@pytest.fixture
def policy(node: RabbitMQ) -> Iterator[Callable[..., None]]:
    """Set a policy on all queues, as somebody who shares the broker does."""
    made: list[str] = []

    def make(definition: Mapping[str, Any], kind: str = "policies") -> None:
        what = {"pattern": ".*", "apply-to": "queues", "definition": definition}
        ask(node, "PUT", kind, what)
        made.append(kind)

    yield make
    for kind in set(made):
        ask(node, "DELETE", kind)


def ask(node: RabbitMQ, method: str, kind: str, what: Mapping[str, Any] | None = None) -> None:
    """Have the management change a policy: it is quicker than rabbitmqctl."""
    login = base64.b64encode(f"{node.user}:{node.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310  # a node of our own
        f"{node.management_url}/api/{kind}/%2F/theirs",
        json.dumps(what).encode() if what else None,
        {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        method=method,
    )
    urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310  # likewise


def look(config: RabbitMQConfig) -> Rows:
    """Return the rows by name."""
    found = examine([policies.check(config)], PATIENCE)
    rows = {it.name: it for it in found}
    assert len(rows) == len(found)
    return rows


def told(config: RabbitMQConfig, *wanted: str, of: str = "theirs") -> Rows:
    """Return the rows as soon as all queues are known, with this policy if there is any.

    The management learns of a policy one queue after the other, so the rows that are wanted have
    to be there.
    """

    def known() -> Rows:
        rows = look(config)
        text = "".join(row.text for row in rows.values())
        settled = "unknown for" not in text and (not of or repr(of) in text)
        settled = settled and rows.keys() >= set(wanted)
        return rows if settled and look(config) == rows else {}

    return eventually(known)


def obey(node: RabbitMQ, advice: str) -> str:
    """Run the rabbitmqctl command of an advice; return the policy's name."""
    program, *arguments = shlex.split(advice.partition(": ")[2])
    assert program == "rabbitmqctl"
    node.ctl(*arguments)
    return arguments[-3]


def test_without_policies_all_is_fine(declared: RabbitMQConfig) -> None:
    """One row for all seven queues, and nothing in it to be done."""
    rows = told(declared, of="")
    assert {name: (row.state, row.text) for name, row in rows.items()} == {
        policies.NAME: ("ok", "no policy harms 7 queues")
    }


def test_queues_that_are_not_there_yet_are_named(config: RabbitMQConfig) -> None:
    """Before the first start there is nothing to be told, and nothing fails."""
    (row,) = look(config).values()
    assert row.state == "skipped"
    assert f"unknown for {config.queue}, {config.queue}.dead-letter, " in row.text


def test_what_makes_dead_letters_vanish_fails_and_the_advice_helps(
    declared: RabbitMQConfig, node: RabbitMQ, policy: Callable[..., None]
) -> None:
    """A message-ttl for all queues: RabbitMQ applies it, and no longer after the advice."""
    policy(TTL)
    rows = told(declared, MAIN, DEAD)
    assert rows.pop(policies.NAME).text == "no policy harms 5 queues"
    assert rows[DEAD].state == "failed"
    assert rows[DEAD].text == (
        f"{declared.queue}.dead-letter has the policy 'theirs'; "
        "message-ttl: dead letters older than 1 d are dropped"
    )
    assert rows[MAIN].state == "warning"
    assert (
        "message-ttl: notifications that wait longer than 1 d become dead letters"
        in rows[MAIN].text
    )
    assert DELAY not in rows, "the lower number counts"
    names = [obey(node, row.advice) for row in rows.values()]
    eventually(lambda: look(declared).keys() == {policies.NAME})
    assert look(declared)[policies.NAME].state == "ok"
    for name in names:
        node.ctl("clear_policy", name)


def test_the_policy_is_one_that_loses_letters(
    declared: RabbitMQConfig,
    node: RabbitMQ,
    broker: BlockingConnection,
    policy: Callable[..., None],
) -> None:
    """The finding is true: a dead letter vanishes without the advice, and stays with it."""
    policy({"max-length": 1, "message-ttl": 300})
    dead = dead_letter_queue(declared.queue)
    channel = broker.channel()
    channel.confirm_delivery()

    def letters() -> int:
        return channel.queue_declare(dead, passive=True).method.message_count or 0

    channel.basic_publish("", dead, b"letter")
    eventually(lambda: not letters())
    name = obey(node, told(declared, DEAD)[DEAD].advice)
    eventually(lambda: DEAD not in look(declared))
    for _ in range(2):
        channel.basic_publish("", dead, b"letter")
    broker.sleep(1.0)
    assert letters() == 2
    node.ctl("clear_policy", name)


def test_an_operator_policy_is_told_apart(
    declared: RabbitMQConfig, policy: Callable[..., None]
) -> None:
    """No policy of ours helps against one; its owner must change it."""
    policy({"max-length": 9}, "operator-policies")
    row = told(declared, DEAD)[DEAD]
    assert "has the operator policy 'theirs'" in row.text
    assert row.advice == (
        "ask the owner of the operator policy to change it; "
        "to see it, run rabbitmqctl list_operator_policies --vhost /"
    )
    policy({"max-length": 4})
    eventually(lambda: "and the operator policy" in told(declared, DEAD)[DEAD].text)
    row = told(declared, DEAD)[DEAD]
    assert "has the policy 'theirs' and the operator policy 'theirs'" in row.text
    assert "beyond 4 messages" in row.text
    assert "set_policy" in row.advice
    assert "list_operator_policies" in row.advice


def test_a_queue_without_arguments_of_its_own_goes_where_the_policy_says(
    config: RabbitMQConfig,
    node: RabbitMQ,
    broker: BlockingConnection,
    policy: Callable[..., None],
) -> None:
    """Somebody else's queues, classic ones: the policy's dead-letter-exchange counts there."""
    channel = broker.channel()
    for name in (config.queue, *retry_arguments(config.queue)):
        channel.queue_declare(name, durable=True)
    policy({"dead-letter-exchange": "", "dead-letter-routing-key": "nowhere", **TTL})
    rows = told(config, MAIN, DELAY, DEAD)
    assert {name: row.state for name, row in rows.items()} == {
        MAIN: "failed",
        DELAY: "failed",
        DEAD: "failed",
    }
    text = "that RabbitMQ dead-letters go to the exchange '' with the key 'nowhere' instead of "
    assert f"{text}{config.queue}.dead-letter" in rows[MAIN].text
    assert f"instead of {config.queue}; " in rows[DELAY].text
    names = [obey(node, row.advice) for row in rows.values()]
    eventually(lambda: look(config).keys() == {policies.NAME})
    channel.confirm_delivery()
    channel.basic_publish("", config.queue, b"given up")
    method, _, _ = channel.basic_get(config.queue)
    assert method is not None
    channel.basic_nack(method.delivery_tag or 0, requeue=False)
    dead = dead_letter_queue(config.queue)
    eventually(lambda: channel.queue_declare(dead, passive=True).method.message_count == 1)
    for name in names:
        node.ctl("clear_policy", name)


def test_arguments_that_are_lower_are_not_blamed_on_the_policy(
    config: RabbitMQConfig, broker: BlockingConnection, policy: Callable[..., None]
) -> None:
    """Of two numbers the lower one counts: this one is no policy's."""
    ensure_queue(broker, dead_letter_queue(config.queue), {"x-max-length": 1})
    MainQueue(config, is_temporary=False).declare(broker)
    policy({"max-length": 4})
    rows = told(config, MAIN)
    assert DEAD not in rows
    assert rows[MAIN].state == "failed"


@pytest.mark.parametrize("tags", [[], ["management"]])
def test_who_may_ask_needs_a_tag(node: RabbitMQ, tags: list[str]) -> None:
    """Without one the row says what is missing; no password is in it."""
    user = f"user-{uuid4().hex[:8]}"
    node.ctl("add_user", user, "hush")
    node.ctl("set_permissions", user, "", "", "")
    node.ctl("set_user_tags", user, *tags)
    config = configured(node, RABBITMQ_USER=user, RABBITMQ_PASSWORD="hush")
    (row,) = look(config).values()
    node.ctl("delete_user", user)
    if tags:
        assert row.state == "skipped", row.text
    else:
        assert row.state == "warning"
        assert row.text.startswith(
            f"can't be read: the management interface refuses the user '{user}' (401: "
        )
        assert "the tag management" in row.advice
    assert "hush" not in row.text + row.advice


@pytest.mark.parametrize(
    "changes", [{"RABBITMQ_PASSWORD": "wrong"}, {"RABBITMQ_VIRTUAL_HOST": "nowhere"}]
)
def test_a_wrong_login_or_virtual_host_is_said(node: RabbitMQ, changes: dict[str, str]) -> None:
    """A wrong password is refused; a virtual host that is none has no queues."""
    (row,) = look(configured(node, **changes)).values()
    assert row.state == ("warning" if "RABBITMQ_PASSWORD" in changes else "skipped")
    assert "wrong" not in row.text + row.advice


def test_the_whole_command_shows_it_and_no_password(
    declared: RabbitMQConfig, node: RabbitMQ, policy: Callable[..., None]
) -> None:
    """Its row is there beside the others, also as JSON, and its exit code is 1."""
    policy(TTL)
    told(declared, DEAD)
    user = f"user-{uuid4().hex[:8]}"
    node.ctl("add_user", user, "hush-hush")
    node.ctl("set_permissions", user, ".*", ".*", ".*")
    node.ctl("set_user_tags", user, "management")
    nowhere = {"DATAWAREHOUSE_URL": "http://127.0.0.1:1", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    result = subprocess.run(
        [sys.executable, "-m", "cki_notifier", "doctor", "--json", "--timeout", "20"],
        cwd=PROJECT,
        env=environment(
            **nowhere,
            RABBITMQ_HOST=node.host,
            RABBITMQ_PORT=str(node.port),
            RABBITMQ_QUEUE=declared.queue,
            RABBITMQ_USER=user,
            RABBITMQ_PASSWORD="hush-hush",
            RABBITMQ_MANAGEMENT_URL=node.management_url,
            CKI_LOGGING_LEVEL="DEBUG",
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    node.ctl("delete_user", user)
    assert result.returncode == 1
    states = {it["name"]: it["state"] for it in json.loads(result.stdout)["checks"]}
    assert states[DEAD] == "failed"
    assert states["rabbitmq dead-letter queue"] == "ok", "AMQP shows nothing of it"
    assert "hush" not in result.stdout + result.stderr
    login = base64.b64encode(f"{user}:hush-hush".encode()).decode()
    assert login not in result.stdout + result.stderr


def test_the_commands_for_those_without_management_work(
    declared: RabbitMQConfig, node: RabbitMQ, policy: Callable[..., None]
) -> None:
    """As they stand in the row that is skipped without the variable."""
    policy(TTL)
    (row,) = look(configured(node, RABBITMQ_MANAGEMENT_URL="")).values()
    assert row.state == "skipped"
    queues, _, found = row.advice.partition("run rabbitmqctl ")[2].partition(" and rabbitmqctl ")
    assert f"{declared.queue}.dead-letter\ttheirs" in node.ctl(*shlex.split(queues)).splitlines()
    assert '"message-ttl"' in node.ctl(*shlex.split(found))


def test_the_commands_of_the_runbook_help_the_queues_with_the_usual_names(
    node: RabbitMQ, broker: BlockingConnection, policy: Callable[..., None]
) -> None:
    """As they stand there: against a policy and an operator policy for all queues."""
    config = configured(node, RABBITMQ_QUEUE="cki.queue.webhooks.cki_notifier")
    MainQueue(config, is_temporary=False).declare(broker)
    section = RUNBOOK.read_text().partition("\n## CKINotifierDeadLettersVanished")[2]
    lines = map(str.strip, section.partition("\n## ")[0].splitlines())
    commands = [shlex.split(it)[1:] for it in lines if it.startswith("rabbitmqctl ")]
    assert [it[0] for it in commands] == [
        *("list_queues", "list_policies", "list_operator_policies"),
        *("set_policy", "set_operator_policy"),
    ]
    policy({**TTL, "max-length": 5})
    assert told(config, MAIN, DELAY, DEAD).keys() == {MAIN, DELAY, DEAD}
    *looks, ours, operators = commands
    for command in looks:
        node.ctl(*command)
    node.ctl(*ours)
    eventually(lambda: look(config).keys() == {policies.NAME})
    policy({"message-ttl": 300}, "operator-policies")
    eventually(lambda: DEAD in look(config))
    node.ctl(*operators)
    eventually(lambda: DEAD not in look(config))
    node.ctl("clear_policy", ours[-3])
    node.ctl("clear_operator_policy", operators[-3])
