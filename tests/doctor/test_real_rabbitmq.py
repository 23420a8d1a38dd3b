"""The doctor's findings about a real RabbitMQ in each state that an operator may find."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.brokers.stage import Stage
from tests.dead_letters.letters import about, dead_letter
from tests.doctor.running import Report, declare, doctor, everything
from tools.brokers.proxy import Proxy
from tools.brokers.rabbitmq import RELEASE

QUEUE, DEAD, DELAYS = "rabbitmq queue", "rabbitmq dead-letter queue", "rabbitmq delay queues"
EXCHANGE, LETTERS, CONSUMERS = "rabbitmq exchange", "rabbitmq dead letters", "rabbitmq consumers"
BINDINGS, ALL, WRITE = "rabbitmq bindings", "rabbitmq queues", "rabbitmq write"
NOTHING: dict[str, Any] = {}


def node(report: Report) -> tuple[str, str, str]:
    """Return the state, text and advice of the one node."""
    (row,) = [row for name, row in report.rows.items() if name.startswith("rabbitmq node ")]
    return row


def declare_queue(stage: Stage, name: str, arguments: dict[str, Any], **more: Any) -> None:
    """Declare a queue as somebody else might have."""
    with stage.channel() as channel:
        channel.queue_declare(name, **({"durable": True} | more), arguments=arguments)


@pytest.fixture
def limited(stage: Stage) -> Iterator[dict[str, str]]:
    """A user who may declare nothing, as variables."""
    user = f"user-{stage.queue}"
    stage.rabbitmq.ctl("add_user", user, "hush")
    stage.rabbitmq.ctl("set_permissions", user, "^$", ".*", ".*")
    yield {"RABBITMQ_USER": user, "RABBITMQ_PASSWORD": "hush"}
    stage.rabbitmq.ctl("delete_user", user)


def test_a_running_daemon_is_fine(stage: Stage) -> None:
    """Every row is fine, but for the bindings and policies, which can't be seen; exit code 0."""
    stage.daemon()
    report = doctor(stage)
    assert report.code == 0
    states = {name: row.state for name, row in report.rows.items() if name.startswith("rabbit")}
    assert states == {
        f"rabbitmq node {stage.rabbitmq.host}:{stage.rabbitmq.port}": "ok",
        EXCHANGE: "ok",
        QUEUE: "ok",
        CONSUMERS: "ok",
        BINDINGS: "skipped",
        DEAD: "ok",
        LETTERS: "ok",
        DELAYS: "ok",
        WRITE: "ok",
        "rabbitmq policies": "skipped",
    }
    assert report.rows[CONSUMERS].text == "1 consumer; 0 notifications waiting"
    assert "a quorum queue" in report.rows[QUEUE].text


@pytest.mark.parametrize("resource", ["memory", "disk"])
def test_a_broker_that_accepts_no_messages_fails(stage: Stage, resource: str) -> None:
    """The row names the resource. The other rows are there, and nothing is left behind."""
    declare(stage)
    with stage.rabbitmq.alarm(resource):
        before = everything(stage)
        report = doctor(stage)
        assert everything(stage) == before
    assert report.failed() == {WRITE}
    row = report.rows[WRITE]
    assert row.text == f"RabbitMQ accepts no messages: low on {resource}"
    assert "rabbitmq-diagnostics alarms" in row.advice
    assert report.rows[QUEUE].state == "ok"


def test_a_user_who_may_not_publish_fails(stage: Stage) -> None:
    """Copies go through the default exchange, whose name in permissions is amq.default."""
    declare(stage)
    user = f"user-{stage.queue}"
    stage.rabbitmq.ctl("add_user", user, "hush")
    stage.rabbitmq.ctl("set_permissions", user, ".*", "^queue.*", ".*")
    report = doctor(stage, RABBITMQ_USER=user, RABBITMQ_PASSWORD="hush")
    stage.rabbitmq.ctl("delete_user", user)
    assert report.rows[WRITE].state == "failed"
    assert f"access to exchange 'amq.default' in vhost '/' refused for user '{user}'" in (
        report.rows[WRITE].text
    )
    assert "amq.default" in report.rows[WRITE].advice


def test_the_command_for_the_bindings_shows_them(stage: Stage) -> None:
    """The command works as the advice has it."""
    declare(stage)
    advice = doctor(stage).rows[BINDINGS].advice
    program, *arguments = shlex.split(advice.partition(" shows them")[0])
    assert program == "rabbitmqctl"
    bindings = stage.rabbitmq.ctl(*arguments).splitlines()
    assert f"{stage.exchange}\t{stage.queue}\tdatawarehouse.#" in bindings


@pytest.mark.parametrize(
    ("changes", "text", "variable"),
    [
        (
            {"RABBITMQ_PASSWORD": "wrong"},
            "RabbitMQ refuses the login as 'guest'",
            "RABBITMQ_PASSWORD",
        ),
        ({"RABBITMQ_USER": "nobody"}, "RabbitMQ refuses the login as 'nobody'", "RABBITMQ_USER"),
        (
            {"RABBITMQ_VIRTUAL_HOST": "nowhere"},
            "'guest' has no access to the virtual host 'nowhere'",
            "RABBITMQ_VIRTUAL_HOST",
        ),
        ({"RABBITMQ_PORT": "1"}, "can't be reached", "RABBITMQ_PORT"),
        ({"RABBITMQ_HOST": "nowhere.invalid"}, "can't be reached", "RABBITMQ_HOST"),
    ],
)
def test_what_keeps_us_from_a_node_is_told_apart(
    stage: Stage, changes: dict[str, str], text: str, variable: str
) -> None:
    """Login, virtual host, network; the advice names the variable, and no password is shown."""
    report = doctor(stage, **changes)
    state, told, advice = node(report)
    assert (report.code, state) == (1, "failed")
    assert told.startswith(text)
    assert variable in advice
    assert "wrong" not in told + advice
    assert report.rows[ALL].state == "skipped"


def test_what_does_not_speak_amqp_is_told(stage: Stage) -> None:
    """A port of another service is not a network that fails."""
    port = stage.bootstrap.rpartition(":")[2]
    state, text, advice = node(doctor(stage, RABBITMQ_PORT=port))
    assert (state, text.partition(":")[0]) == ("failed", "the port does not speak AMQP")
    assert "RABBITMQ_PORT" in advice


def test_each_node_has_a_row_and_one_is_enough_for_the_rest(stage: Stage) -> None:
    """A node that is down has failed, and the queues are looked at all the same."""
    declare(stage)
    with Proxy(stage.rabbitmq.port, host="127.0.0.9", port=stage.rabbitmq.port):
        report = doctor(stage, RABBITMQ_HOST="127.0.0.8 127.0.0.9 127.0.0.1")
    nodes = {
        name.split()[2].partition(":")[0]: row.state
        for name, row in report.rows.items()
        if name.startswith("rabbitmq node ")
    }
    assert nodes == {"127.0.0.8": "failed", "127.0.0.9": "ok", "127.0.0.1": "ok"}
    assert report.rows[QUEUE].state == "ok"
    assert report.code == 1


def test_a_node_that_hangs_does_not_hold_up_the_report(stage: Stage) -> None:
    """It takes the connection and says nothing; the time is over, and everything else is there."""
    with Proxy(stage.rabbitmq.port) as proxy:
        proxy.swallow()
        report = doctor(stage, "--timeout", "3", RABBITMQ_PORT=str(proxy.port))
    assert node(report)[:2] == ("failed", "no answer within 3 s")
    assert report.rows[ALL].state != "ok"
    assert report.rows["datawarehouse"].state == "ok"


def test_a_first_start_is_announced(stage: Stage) -> None:
    """Neither exchange nor queues are there yet: the daemon will make them, nothing failed."""
    with stage.channel() as channel:
        channel.exchange_delete(stage.exchange)
    report = doctor(stage)
    assert report.code == 0
    for name in (EXCHANGE, QUEUE, DEAD, DELAYS):
        assert report.rows[name].state == "warning"
        assert "the daemon declares it when it starts" in report.rows[name].text
    assert report.rows[DELAYS].text.endswith("(and 4 more like it)")


def test_what_the_user_may_not_make_fails(stage: Stage, limited: dict[str, str]) -> None:
    """The doctor asks the broker about the permission, and creates nothing."""
    with stage.channel() as channel:
        channel.exchange_delete(stage.exchange)
    report = doctor(stage, **limited)
    assert {EXCHANGE, QUEUE, DEAD, DELAYS} <= report.failed()
    for name in (EXCHANGE, QUEUE, DEAD, DELAYS):
        assert "and the user may not declare it" in report.rows[name].text


def test_what_the_user_may_not_declare_can_still_be_used(
    stage: Stage, limited: dict[str, str]
) -> None:
    """The daemon need not declare an existing queue. Only its arguments are unknown."""
    declare(stage)
    report = doctor(stage, **limited)
    assert report.code == 0
    for name in (EXCHANGE, QUEUE, DEAD, DELAYS):
        assert report.rows[name].state == "skipped"
        assert "unknown, because the user may not declare it" in report.rows[name].text
    assert report.rows[LETTERS].state == "ok"


@pytest.mark.parametrize(
    ("arguments", "state", "text"),
    [
        (NOTHING, "warning", "a classic queue without dead-lettering"),
        ({"x-queue-type": "quorum"}, "warning", "a quorum queue without dead-lettering"),
        (
            {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "{queue}.dead-letter"},
            "ok",
            "a classic queue with dead-lettering to",
        ),
        (
            {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "elsewhere"},
            "warning",
            "but current is 'elsewhere'",
        ),
        ({"x-max-length": 100}, "warning", "differs from the daemon's declaration"),
        (
            {
                "x-queue-type": "quorum",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "{queue}.dead-letter",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
            "ok" if RELEASE == "3" else "warning",
            "a quorum queue with dead-lettering to",
        ),
    ],
)
def test_a_queue_that_somebody_else_declared_is_compared(
    stage: Stage, arguments: dict[str, Any], state: str, text: str
) -> None:
    """The row has its type, and says whether it has dead-lettering."""
    filled = {
        name: value.format(queue=stage.queue) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    declare_queue(stage, stage.queue, filled)
    row = doctor(stage).rows[QUEUE]
    assert row.state == state
    assert text in row.text


def test_the_policy_that_is_advised_saves_what_is_given_up(stage: Stage) -> None:
    """The command works as it stands there: what the queue gives up is a dead letter then."""
    declare(stage)
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
    declare_queue(stage, stage.queue, NOTHING)
    advice = doctor(stage).rows[QUEUE].advice
    program, *arguments = shlex.split(advice.partition(": ")[2])
    assert program == "rabbitmqctl"
    stage.rabbitmq.ctl(*arguments)
    with stage.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish("", stage.queue, b"given up", mandatory=True)
        method, _, _ = channel.basic_get(stage.queue)
        assert method is not None
        channel.basic_nack(method.delivery_tag or 0, requeue=False)
    assert [letter.body for letter in stage.dead_letters()] == [b"given up"]
    stage.rabbitmq.ctl("clear_policy", "cki-notifier")


def test_a_queue_that_a_restart_takes_away_is_a_warning(stage: Stage) -> None:
    """The broker's own words tell that it is not durable."""
    declare_queue(stage, stage.queue, NOTHING, durable=False)
    row = doctor(stage).rows[QUEUE]
    assert row.state == "warning"
    assert "inequivalent arg 'durable'" in row.text


def test_a_queue_that_belongs_to_another_connection_fails(stage: Stage) -> None:
    """Nobody else can use an exclusive queue."""
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, exclusive=True)
        report = doctor(stage)
    assert QUEUE in report.failed()
    assert "RESOURCE_LOCKED" in report.rows[QUEUE].text


def test_a_queue_that_nobody_consumes_is_a_warning(stage: Stage) -> None:
    """The row counts what waits there."""
    declare(stage)
    stage.publish(about("redhat:1"), about("redhat:2"))
    row = doctor(stage).rows[CONSUMERS]
    assert (row.state, row.text) == (
        "warning",
        "the queue has no consumer; 2 notifications waiting",
    )


def test_dead_letters_are_a_warning(stage: Stage) -> None:
    """The advice says how to see them."""
    declare(stage)
    dead_letter(stage, [about("redhat:1"), about("redhat:2"), about("redhat:3")])
    row = doctor(stage).rows[LETTERS]
    assert row.state == "warning"
    assert row.text == f"3 dead letters in {stage.queue}.dead-letter"
    assert "cki-notifier dead-letters list" in row.advice


def test_a_dead_letter_queue_that_may_drop_letters_is_a_warning(stage: Stage) -> None:
    """A quorum queue without a limit of its own has RabbitMQ's."""
    declare_queue(stage, f"{stage.queue}.dead-letter", {"x-queue-type": "quorum"})
    row = doctor(stage).rows[DEAD]
    assert row.state == "warning"
    assert "x-delivery-limit" in row.text
    assert "docs/dead-letters.md" in row.advice


def test_a_delay_queue_that_gives_nothing_back_is_a_warning(stage: Stage) -> None:
    """Delayed notifications would stay there for ever."""
    declare_queue(stage, f"{stage.queue}.retry.30s", NOTHING)
    declare(stage)
    row = doctor(stage).rows[DELAYS]
    assert row.state == "warning"
    assert f"{stage.queue}.retry.30s differs from the daemon's declaration" in row.text


@pytest.mark.parametrize(
    ("declared", "state", "text"),
    [
        ({"exchange_type": "fanout", "durable": True}, "failed", "is not a topic exchange"),
        ({"exchange_type": "topic", "durable": False}, "warning", "inequivalent arg 'durable'"),
        (
            {"exchange_type": "topic", "durable": True, "arguments": {"alternate-exchange": "x"}},
            "ok",
            "a durable topic exchange",
        ),
    ],
)
def test_an_exchange_that_somebody_else_declared_is_compared(
    stage: Stage, declared: dict[str, Any], state: str, text: str
) -> None:
    """Routing keys select only in a topic exchange; where else it leads does not matter to us."""
    with stage.channel() as channel:
        channel.exchange_delete(stage.exchange)
        channel.exchange_declare(stage.exchange, **declared)
    report = doctor(stage)
    assert report.rows[EXCHANGE].state == state
    assert text in report.rows[EXCHANGE].text


def test_where_nothing_is_sent_the_queue_is_not_looked_at(stage: Stage) -> None:
    """The daemon would have a temporary one of its own, and Kafka is left alone, too."""
    report = doctor(stage, CKI_DEPLOYMENT_ENVIRONMENT="development")
    assert report.code == 0
    assert report.rows[ALL].state == "skipped"
    assert report.rows["kafka"].state == "skipped"
    assert report.rows[EXCHANGE].state == "ok"
    assert report.rows["environment"].state == "warning"
