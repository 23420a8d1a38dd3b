"""Secrets and bodies appear in no log, in any failure and at any level."""

import json
import re
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.brokers.stage import Stage, eventually
from tools.processes import free_port
from tools.stand_ins import Fault, Garbage, Html, Redirect, Sentry, Status, documents

#: The beginnings of every secret and of every body.
SECRET, BODY = "hush-", "BODY-"
#: The faults of a service, one after the other.
FAULTS: Final[tuple[Fault, ...]] = (
    Status(401, b'{"detail": "BODY-401"}', {"X-Error": "BODY-header"}),
    Status(500, b"BODY-500"),
    Status(200, b'{"id": BODY-garbage'),
    Garbage(b'{"id": ["BODY-type"], "state": ["BODY-type"]}'),
    Html(b"<html>BODY-login</html>"),
    Redirect("https://127.0.0.1:1/BODY-redirect"),
)
PAGES = (
    *("", "outcomes.json", "metrics", "ready", "live", "waiting"),
    *("checkout?id=redhat:gitlab-00", "checkout.json?id=redhat:jira-00"),
)


@pytest.fixture
def secrets(stage: Stage, sentry: Sentry) -> dict[str, str]:
    """The environment with a secret in every variable that can hold one."""
    gitlab = urlsplit(stage.services.gitlab.url).netloc
    stage.services.warehouse.token = f"{SECRET}warehouse"
    stage.services.gitlab.token = f"{SECRET}gitlab"
    stage.services.jira.token = f"{SECRET}jira"
    file = stage.folder / "kafka.properties"
    file.write_text(f"ssl.keystore.password={SECRET}keystore\n")
    return stage.environment | {
        "CKI_LOGGING_LEVEL": "DEBUG",
        "DATAWAREHOUSE_TOKEN": f"{SECRET}warehouse",
        "GITLAB_TOKENS": json.dumps({gitlab: "MY_TOKEN", "gitlab.invalid": "OTHER_TOKEN"}),
        "MY_TOKEN": f"{SECRET}gitlab",
        "OTHER_TOKEN": f"{SECRET}other",
        "JIRA_TOKEN_AUTH": f"{SECRET}jira",
        "KAFKA_SASL_PASSWORD": f"{SECRET}sasl",
        "KAFKA_SSL_KEY_PASSWORD": f"{SECRET}key",
        "KAFKA_CONFIG_FILE": str(file),
        "SENTRY_DSN": sentry.dsn.replace("://", f"://{SECRET}"),
    }


def fill(stage: Stage) -> list[dict[str, object]]:
    """Put a checkout for each fault of each service into them; return their notifications."""
    told = []
    for number, fault in enumerate(FAULTS):
        for service in (stage.services.warehouse, stage.services.gitlab, stage.services.jira):
            name = f"{type(service).__name__.lower()}-{number:02}"
            url = stage.services.gitlab.merge_request_url(f"group/{name}", 1)
            checkout = documents.checkout(f"redhat:{name}", merge_request=url)
            stage.services.warehouse.add(
                documents.everything(checkout, [documents.build(checkout)])
            )
            description = f"BODY-description\nJIRA: https://x.example/browse/{name.upper()}"
            stage.services.gitlab.add_merge_request(
                documents.merge_request(url, description=description), []
            )
            service.answer(name.upper() if "jira" in name else name, fault)
            told.append(thin(f"redhat:{name}") | {"object": {"note": "BODY-notification"}})
    return told


def thin(checkout_id: str) -> dict[str, object]:
    """Return a notification."""
    return {"object_type": "checkout", "status": "build_setups_finished", "id": checkout_id}


def shown(port: int, *pages: str) -> str:
    """Return what pages of the HTTP port show."""
    texts = []
    for page in pages:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}") as answer:
                texts.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            texts.append(error.read().decode())
            error.close()
    return "\n".join(texts)


def test_no_secret_is_in_any_output_and_no_body_where_it_does_not_belong(
    stage: Stage, sentry: Sentry, secrets: dict[str, str]
) -> None:
    """Log, metrics, status page, dead letters' headers, Sentry, doctor, manual run and operator.

    Each at the DEBUG level, with every kind of failure of every service. Bodies are in the
    dead-letter queue alone, where an operator may look at them.
    """
    port = str(free_port())
    notifications = fill(stage)
    daemon = stage.daemon(
        secrets,
        CKI_NOTIFIER_RETRY_HOURS="0.000001",
        CKI_METRICS_ENABLED="true",
        CKI_METRICS_PORT=port,
    )
    stage.publish(b"no json, BODY-malformed", *notifications)
    eventually(lambda: len(daemon.settled()) == len(notifications) + 1, seconds=120)
    assert len([it for it in daemon.settled() if it["outcome"] == "sent"]) == len(FAULTS)
    told = {"the HTTP port": shown(int(port), *PAGES)}
    letters_page = shown(int(port), "dead-letters")
    assert "BODY-malformed" in letters_page, "where it belongs"
    told["the dead letters' page"] = letters_page.replace("BODY-", "")
    operator = stage.command("dead-letters", "list", environment=secrets)
    told["dead-letters list"] = operator.stdout + operator.stderr
    letters = stage.dead_letters(2 * len(FAULTS) + 1)
    told["the dead letters' headers"] = str([letter.headers for letter in letters])
    assert all("BODY-" in letter.body.decode() for letter in letters)
    assert daemon.stop() == 0
    told["the log"] = daemon.text()
    eventually(sentry.events)
    told["Sentry"] = str(sentry.events())
    told["a log of refusals"] = refused(stage, secrets)
    by_hand = ("--checkout-id=redhat:warehouse-00", "--dry-run", "--json")
    for arguments in (("doctor", "--timeout", "3"), by_hand):
        result = stage.command(*arguments, environment=secrets | {"KAFKA_SECURITY_PROTOCOL": "SSL"})
        told[arguments[0]] = result.stdout + result.stderr
    for where, text in told.items():
        assert len(text) > 100, where
        assert not re.findall(f".{{0,80}}{SECRET}.{{0,20}}", text), where
        assert not re.findall(f".{{0,80}}{BODY}.{{0,20}}", text), where


def refused(stage: Stage, secrets: dict[str, str]) -> str:
    """Have RabbitMQ and Kafka refuse a daemon's passwords; return what it logs about it."""
    daemon = stage.daemon(
        secrets,
        waits=False,
        RABBITMQ_PASSWORD=f"{SECRET}rabbitmq",
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_MECHANISM="PLAIN",
        KAFKA_SASL_USERNAME="notifier",
    )
    eventually(lambda: "ACCESS_REFUSED" in daemon.text() and "SASL" in daemon.text().upper())
    daemon.stop()
    return daemon.text()
