"""The doctor's findings about policies, with a stand-in for RabbitMQ's management interface."""

import base64
import http.server
import json
import shlex
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import trustme

from cki_notifier.configuration.settings import RabbitMQConfig, read_operator_config
from cki_notifier.doctor import policies
from cki_notifier.doctor.check import Finding, examine
from cki_notifier.rabbitmq.connection import of_quorum
from cki_notifier.rabbitmq.queues import main_arguments, retry_arguments
from tools.stand_ins import Answer, Fault, Garbage, Hang, Html, Redirect, Seen, Service, Status
from tools.stand_ins.server import json_answer

MAIN, DELAY, DEAD = (
    f"rabbitmq {what} policy" for what in ("queue", "delay queues", "dead-letter queue")
)
#: Only a failing test takes as long, in seconds.
PATIENCE = 30.0
Rows = dict[str, Finding]


class Management(Service):
    """RabbitMQ's management, as release 3.10 was seen to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: dict[str, dict[str, Any]] = {}

    def declare(self, name: str, arguments: dict[str, Any], kind: str = "quorum") -> None:
        """Have a queue, without policies."""
        self.queues[name] = {"name": name, "type": kind, "arguments": arguments} | {
            "policy": None,
            "operator_policy": None,
            "effective_policy_definition": {},
        }

    def set_policy(self, definition: Any, **names: str) -> None:
        """Have a policy for all queues."""
        for queue in self.queues.values():
            queue.update(names or {"policy": "theirs"}, effective_policy_definition=definition)

    def route(self, request: Seen) -> Answer:
        """Tell about a queue of the virtual host ``v/1``."""
        vhost, name = map(unquote, request.path.removeprefix("/root/api/queues/").split("/"))
        if vhost == "v/1" and name in self.queues:
            return json_answer(self.queues[name])
        return json_answer({"error": "Object Not Found", "reason": "Not Found"}, 404)


@pytest.fixture
def management() -> Iterator[Management]:
    """One that knows the queues as the daemon makes them."""
    service = Management()
    service.declare("q", of_quorum(main_arguments("q")))
    for name, arguments in retry_arguments("q").items():
        service.declare(name, of_quorum(arguments))
    service.up()
    yield service
    service.stop()


def config_of(url: str, **changes: str) -> RabbitMQConfig:
    """Return a configuration with a management, below a path."""
    usual = {
        "RABBITMQ_HOST": "rabbitmq.example",
        "RABBITMQ_VIRTUAL_HOST": "v/1",
        "RABBITMQ_USER": "notifier",
        "RABBITMQ_PASSWORD": "hush: ü",
        "RABBITMQ_QUEUE": "q",
        "RABBITMQ_MANAGEMENT_URL": f"{url}/root/",
    }
    return read_operator_config(usual | changes).rabbitmq


def look(service: Service, seconds: float = PATIENCE) -> Rows:
    """Return the rows by name; no secret is in them."""
    found = examine([policies.check(config_of(service.url))], seconds)
    assert not [it for it in found if "hush" in it.text + it.advice]
    rows = {it.name: it for it in found}
    assert len(rows) == len(found)
    return rows


def test_each_queue_is_asked_for_once_with_get_and_the_password(management: Management) -> None:
    """The login goes as basic authentication, in UTF-8; names are percent-encoded."""
    assert [(row.state, row.text) for row in look(management).values()] == [
        ("ok", "no policy harms 7 queues")
    ]
    assert [it.path.rpartition("/")[2] for it in management.requests] == list(management.queues)
    login = base64.b64encode("notifier:hush: ü".encode()).decode()
    assert {(it.method, it.headers["authorization"]) for it in management.requests} == {
        ("GET", f"Basic {login}")
    }
    assert management.requests[0].path == "/root/api/queues/v%2F1/q"


def test_without_the_variable_it_is_said_what_to_do() -> None:
    """The doctor sends no request, and skips the row."""
    config = read_operator_config({"RABBITMQ_HOST": "rabbitmq.example"}).rabbitmq
    (row,) = examine([policies.check(config)], PATIENCE)
    assert row.state == "skipped"
    assert row.text.startswith("AMQP does not show policies")
    assert row.advice.startswith("set RABBITMQ_MANAGEMENT_URL, or run rabbitmqctl list_queues")
    config = config_of("", RABBITMQ_MANAGEMENT_URL="", RABBITMQ_VIRTUAL_HOST="our own")
    (row,) = examine([policies.check(config)], PATIENCE)
    assert "list_queues --vhost 'our own' name policy" in row.advice


@pytest.mark.parametrize(
    ("definition", "row", "state", "text"),
    [
        ({"message-ttl": 86_400_000}, DEAD, "failed", "dead letters older than 1 d are dropped"),
        ({"message-ttl": 0}, DEAD, "failed", "dead letters older than 0 ms are dropped"),
        (
            {"message-ttl": 5_400_000, "dead-letter-exchange": "x"},
            DEAD,
            "failed",
            "dead letters older than 1.5 h go to the exchange 'x'",
        ),
        ({"max-length": 0}, DEAD, "failed", "beyond 0 messages, the oldest are dropped"),
        ({"max-length-bytes": 9}, DEAD, "failed", "beyond 9 bytes, the oldest are dropped"),
        (
            {"max-length": 5, "overflow": "reject-publish"},
            DEAD,
            "warning",
            "beyond 5 messages, RabbitMQ refuses new ones; failed notifications",
        ),
        ({"expires": 3_600_000}, DEAD, "failed", "after 1 h without a consumer"),
        ({"delivery-limit": 3}, DEAD, "failed", "dead letters read more than 3 times are dropped"),
        ({"expires": 60_000}, DELAY, "failed", "after 1 min without a consumer (and 4 more"),
        ({"max-length": 5}, DELAY, "warning", "beyond 5 messages, RabbitMQ refuses new ones"),
        (
            {"max-length": 5, "overflow": "drop-head"},
            DELAY,
            "warning",
            "beyond 5 messages, the oldest return at once",
        ),
        ({"overflow": "drop-head"}, DELAY, "warning", "after their delay may be lost"),
        ({"message-ttl": 10_000}, DELAY, "warning", "after 10 s instead of 30 s (and 3 more"),
        ({"expires": 60_000}, MAIN, "failed", "after 1 min without a consumer"),
        ({"message-ttl": 60_000}, MAIN, "warning", "longer than 1 min become dead letters"),
        (
            {"max-length": 5},
            MAIN,
            "failed",
            "beyond 5 messages, RabbitMQ refuses new ones; they are lost",
        ),
        (
            {"max-length": 5, "overflow": "drop-head"},
            MAIN,
            "warning",
            "beyond 5 messages, the oldest become dead letters",
        ),
        ({"delivery-limit": 1}, MAIN, "warning", "more than 1 time become dead letters"),
        ({"overflow": "drop-head"}, MAIN, "warning", "that RabbitMQ dead-letters may be lost"),
    ],
)
def test_what_a_policy_does_to_our_queues_is_said(
    management: Management, definition: dict[str, Any], row: str, state: str, text: str
) -> None:
    """Which queue, which policy, what it does, how bad that is, and what helps."""
    management.set_policy(definition)
    found = look(management)[row]
    assert (found.state, text in found.text) == (state, True), found.text
    assert " has the policy 'theirs'; " in found.text
    assert "rabbitmqctl set_policy --vhost v/1 --priority 1000 " in found.advice


@pytest.mark.parametrize(
    "definition",
    [
        {},
        [],
        {"delivery-limit": 1_000_000},
        {"delivery-limit": -1},
        {"overflow": "reject-publish"},
        {"dead-letter-exchange": "elsewhere", "dead-letter-routing-key": "x"},
        {"max-in-memory-length": 0},
        {"message-ttl": "soon", "max-length": True, "expires": None},
    ],
)
def test_what_does_no_harm_is_fine(management: Management, definition: Any) -> None:
    """Also what no RabbitMQ would tell."""
    management.set_policy(definition)
    assert [row.state for row in look(management).values()] == ["ok"]


def test_a_limit_that_is_the_queues_own_is_not_the_policys(management: Management) -> None:
    """Of two numbers the lower one counts."""
    management.declare("q.dead-letter", {"x-max-length": 5})
    management.set_policy({"max-length": 10})
    assert DEAD not in look(management)
    management.set_policy({"max-length": 4})
    assert "beyond 4 messages" in look(management)[DEAD].text


def test_on_a_classic_queue_arguments_win_and_no_deliveries_are_counted(
    management: Management,
) -> None:
    """Only a quorum queue heeds a policy's overflow before its own, and a delivery-limit."""
    own = main_arguments("q") | {"x-overflow": "reject-publish"}
    management.declare("q", own, "classic")
    management.declare("q.dead-letter", {}, "classic")
    management.set_policy({"overflow": "drop-head", "max-length": 5, "delivery-limit": 1})
    rows = look(management)
    assert "RabbitMQ refuses new ones" in rows[MAIN].text
    assert "delivery-limit" not in rows[MAIN].text + rows[DEAD].text


def test_queues_without_a_way_back_lose_what_they_give_up(management: Management) -> None:
    """Where neither arguments nor policy say where it goes it is dropped."""
    for name in management.queues:
        management.declare(name, {}, "classic")
    management.set_policy({"message-ttl": 60_000, "max-length": 5})
    rows = look(management)
    assert {name: row.state for name, row in rows.items()} == dict.fromkeys(
        (MAIN, DELAY, DEAD), "failed"
    )
    assert "that wait longer than 1 min are dropped" in rows[DELAY].text
    assert "beyond 5 messages, the oldest are dropped" in rows[DELAY].text
    assert "that wait longer than 1 min are dropped" in rows[MAIN].text


def test_a_policy_that_leads_elsewhere_is_replaced_by_one_that_does_not(
    management: Management,
) -> None:
    """The advised policy keeps the other settings, and does no harm."""
    for name in management.queues:
        management.declare(name, {}, "classic")
    management.set_policy({"dead-letter-exchange": "x", "queue-mode": "lazy"})
    rows = look(management)
    assert rows.keys() == {MAIN, DELAY, policies.NAME}
    assert "the exchange 'x' with the key None instead of q.dead-letter" in rows[MAIN].text
    name, pattern, definition = shlex.split(rows[DELAY].advice.partition(": ")[2])[-3:]
    assert (name, pattern) == ("cki-notifier-retry", r"^q\.retry\.")
    assert json.loads(definition) == {
        "queue-mode": "lazy",
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "q",
        "overflow": "reject-publish",
    }


def test_an_operator_policy_is_for_others_to_change(management: Management) -> None:
    """No policy helps against it; with both, both are named."""
    management.set_policy({"max-length": 9}, operator_policy="site")
    row = look(management)[DEAD]
    assert row.text.startswith("q.dead-letter has the operator policy 'site'; ")
    assert row.advice == (
        "ask the owner of the operator policy to change it; "
        "to see it, run rabbitmqctl list_operator_policies --vhost v/1"
    )
    management.set_policy({"max-length": 9}, operator_policy="site", policy="theirs")
    row = look(management)[DEAD]
    assert "has the policy 'theirs' and the operator policy 'site'; " in row.text
    assert "set_policy" in row.advice
    assert "list_operator_policies" in row.advice


def test_what_is_not_known_is_not_called_fine(management: Management) -> None:
    """A queue that is missing, and one whose statistics there are none of (yet)."""
    del management.queues["q.dead-letter"]
    for field in ("policy", "operator_policy", "effective_policy_definition"):
        del management.queues["q.retry.1h"][field]
    (row,) = look(management).values()
    assert row.state == "skipped"
    assert row.text.startswith("unknown for q.dead-letter, q.retry.1h: ")


@pytest.mark.parametrize(
    ("fault", "text", "advice"),
    [
        (
            Status(401, b'{"error":"not_authorised","reason":"Not management user"}'),
            "refuses the user 'notifier' (401: Not management user)",
            "the tag management",
        ),
        (Status(403), "refuses the user 'notifier' (403)", "RABBITMQ_PASSWORD"),
        (Status(404), "answers 404 to GET /api/queues/", "RABBITMQ_MANAGEMENT_URL"),
        (Status(404, b"[" * 100_000), "answers 404", "RABBITMQ_MANAGEMENT_URL"),
        (Status(503), "answers 503", "RABBITMQ_MANAGEMENT_URL"),
        (Html(), "answers 200", "RABBITMQ_MANAGEMENT_URL"),
        (Garbage(b"{}"), "unlike RabbitMQ's management interface", "RABBITMQ_MANAGEMENT_URL"),
        (Garbage(b'{"name":"q","arguments":5}'), "answers 200", "RABBITMQ_MANAGEMENT_URL"),
        (Garbage(b'{"name":"other","arguments":{}}'), "answers 200", "RABBITMQ_MANAGEMENT_URL"),
        (Garbage(b"\xff"), "answers 200", "RABBITMQ_MANAGEMENT_URL"),
        (Redirect("https://elsewhere.example/"), "answers 302", "RABBITMQ_MANAGEMENT_URL"),
        (Hang(PATIENCE), "no answer from http://127.0.0.1", "RABBITMQ_MANAGEMENT_URL"),
    ],
)
def test_an_answer_that_tells_nothing_is_a_warning(
    management: Management, fault: Fault, text: str, advice: str
) -> None:
    """It is said what came instead, and asked no further; the daemon does without it."""
    management.answer("", fault)
    (row,) = look(management, 1.0 if text.startswith("no answer") else PATIENCE).values()
    assert row.state == "warning"
    assert row.text.startswith("can't be read: ")
    assert text in row.text
    assert advice in row.advice
    assert len(management.requests) == 1


def test_a_management_that_is_down_is_a_warning(management: Management) -> None:
    """As where the plugin is not enabled."""
    management.down()
    (row,) = look(management).values()
    assert row.state == "warning"
    assert row.text.startswith(f"can't be read: no answer from {management.url}/root: ")


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    """A certificate authority of these tests' own, and its file."""
    found = trustme.CA()
    file = str(tmp_path / "authority.pem")
    found.cert_pem.write_to_path(file)
    return found, file


@pytest.fixture
def secure_url(authority: tuple[trustme.CA, str]) -> Iterator[str]:
    """A server whose certificate it signed, which knows no GET."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_management_proves_who_it_is_before_it_gets_the_password(
    authority: tuple[trustme.CA, str], secure_url: str
) -> None:
    """RABBITMQ_CAFILE counts, as it does for AMQP; without it the authority is unknown."""
    trusting = replace(config_of(secure_url), ca_file=authority[1])
    (row,) = examine([policies.check(trusting)], PATIENCE)
    assert "answers 501" in row.text
    (row,) = examine([policies.check(config_of(secure_url))], PATIENCE)
    assert "no answer" in row.text
    assert "certificate" in row.text
    assert "RABBITMQ_CAFILE" in row.advice
