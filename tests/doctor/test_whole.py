"""The doctor as a whole: the table, the terminal, and that it changes nothing."""

import sys
from urllib.parse import urlsplit
from uuid import uuid4

from tests.brokers.stage import Stage
from tests.dead_letters.letters import about, dead_letter
from tests.doctor.running import declare, doctor, everything
from tests.factories.terminal import run_on_terminal
from tools.notifier import complete
from tools.stand_ins import documents


def gitlab_token(stage: Stage) -> dict[str, str]:
    """Have GitLab ask for a token; return the variables that hold it."""
    stage.services.gitlab.token = "hush-gitlab"
    host = urlsplit(stage.services.gitlab.url).netloc
    return {"GITLAB_TOKENS": f'{{"{host}": "TOKEN"}}', "TOKEN": "hush-gitlab"}


def test_the_table_has_a_row_for_everything(stage: Stage) -> None:
    """State, name and text; the counts go to standard error; the exit code is 0."""
    stage.daemon()
    environment = stage.environment | gitlab_token(stage) | {"CKI_LOGGING_LEVEL": "WARNING"}
    result = stage.command("doctor", environment=environment)
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    rows = [line.split()[:2] for line in lines if not line.startswith(" ")]
    assert [name for state, name in rows if state == "ok"] == [
        *("configuration", "environment"),
        *["rabbitmq"] * 8,
        *["kafka"] * 4,
        *("datawarehouse", "gitlab", "gitlab", "jira"),
    ]
    assert result.stderr == "18 ok, 7 skipped\n"
    assert "hush" not in result.stdout


def test_a_terminal_gets_lines_it_has_room_for(stage: Stage) -> None:
    """No line is broken by the terminal itself."""
    environment = complete(stage.environment | {"RABBITMQ_PASSWORD": "wrong"})
    environment |= {"NO_COLOR": "1", "CKI_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "cki_notifier", "doctor"]
    code, seen = run_on_terminal(command, environment, columns=100)
    assert code == 1
    lines = seen.splitlines()
    assert any("check RABBITMQ_USER and RABBITMQ_PASSWORD" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_nothing_is_changed(stage: Stage) -> None:
    """Queues, exchanges, bindings, topics, notifications and dead letters are as they were."""
    declare(stage)
    with stage.channel() as channel:
        channel.queue_declare(f"{stage.queue}.other", durable=True)
    stage.publish(about("redhat:1"))
    dead_letter(stage, [about("redhat:2")])
    missing = f"missing.{uuid4().hex[:8]}"
    before = everything(stage)
    doctor(stage, **gitlab_token(stage))
    doctor(stage, RABBITMQ_QUEUE=missing, WEBHOOK_RECEIVER_EXCHANGE=missing, KAFKA_TOPIC=missing)
    doctor(stage, RABBITMQ_QUEUE=f"{stage.queue}.other")
    doctor(stage, CKI_DEPLOYMENT_ENVIRONMENT="development")
    assert everything(stage) == before
    assert stage.waiting(stage.queue) == stage.waiting(f"{stage.queue}.dead-letter") == 1
    for service in (stage.services.warehouse, stage.services.gitlab, stage.services.jira):
        assert {request.method for request in service.requests} == {"GET"}
    with stage.channel() as channel:
        for queue in (stage.queue, f"{stage.queue}.dead-letter"):
            method, properties, _ = channel.basic_get(queue)
            assert method is not None
            assert properties is not None
            assert not method.redelivered, "nobody has taken it and given it back"
            assert not (properties.headers or {}).get("x-delivery-count")


def test_a_daemon_at_work_is_not_disturbed(stage: Stage) -> None:
    """The doctor may run beside it. The daemon handles notifications meanwhile."""
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    daemon = stage.daemon()
    stage.publish(documents.notification(checkout, "build_setups_finished"))
    assert doctor(stage).code == 0
    stage.publish(documents.notification(checkout, "ready_to_report"))
    assert len(stage.records(2)) == 2
    stage.finish(daemon)
    assert "reconnect" not in daemon.text()
