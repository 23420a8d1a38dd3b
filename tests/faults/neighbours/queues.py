"""Bad neighbours in RabbitMQ: a full queue, an exchange without its bindings."""

import json

from cki_notifier.rabbitmq.queues import dead_letter_queue, delay_queue
from tests.faults import kinds
from tests.faults.neighbours.company import Claim, Company, Neighbour
from tests.faults.publisher import Expected
from tools.stand_ins import documents

_COUNT = 80
#: Timeout for the exchange's new binding, in seconds.
_BOUND_SECONDS = 65.0
_USER = "without-rights"


def _dead_letters(company: Company) -> str:
    return dead_letter_queue(company.scene.stage.queue)


def _short_delay(company: Company) -> str:
    return delay_queue(company.scene.stage.queue, 5)


def _fill(queue: str, company: Company) -> None:
    """Limit a queue to one message, so that it refuses all others."""
    definition = {"max-length": 1, "overflow": "reject-publish"}
    company.scene.stage.rabbitmq.ctl(
        "set_policy", queue, f"^{queue}$", json.dumps(definition), "--apply-to", "queues"
    )


def _empty(queue: str, company: Company) -> None:
    company.scene.stage.rabbitmq.ctl("clear_policy", queue)


def _bring_malformed(company: Company) -> None:
    for number in range(_COUNT):
        checkout_id = f"redhat:bad-malformed-{number}"
        body = json.dumps({"id": checkout_id}).encode()
        company.bad.publish(checkout_id, Expected.MALFORMED, body)


def _fill_dead_letters(company: Company) -> None:
    _fill(_dead_letters(company), company)
    _bring_malformed(company)


def _empty_dead_letters(company: Company) -> None:
    _empty(_dead_letters(company), company)


def _fill_short_delay(company: Company) -> None:
    """Publish notifications about checkouts that DataWarehouse does not have yet."""
    _fill(_short_delay(company), company)
    for number in range(_COUNT):
        checkout_id = f"redhat:bad-early-{number}"
        early = documents.notification(None, "unknown", checkout_id=checkout_id)
        company.bad.publish(checkout_id, Expected.SENT, json.dumps(early).encode())


def _empty_short_delay(company: Company) -> None:
    _empty(_short_delay(company), company)
    for each in company.bad.published:
        kinds.thin(company.scene.services, each.checkout_id)


def _take_rights_away(company: Company) -> None:
    """Add a user with all rights except to configure the existing dead-letter queue."""
    broker, queue = company.scene.stage.rabbitmq, _dead_letters(company)
    broker.ctl("add_user", _USER, _USER)
    broker.ctl("set_permissions", _USER, f"^(?!{queue}$).*", ".*", ".*")
    _declare_dead_letters(company)


def _declare_dead_letters(company: Company) -> None:
    with company.scene.stage.channel() as channel:
        channel.queue_declare(_dead_letters(company), durable=True)


def _delete_dead_letters(company: Company) -> None:
    with company.scene.stage.channel() as channel:
        channel.queue_delete(_dead_letters(company))
    _bring_malformed(company)


def _give_dead_letters_back(company: Company) -> None:
    _declare_dead_letters(company)


def _held(queue: str) -> list[Claim]:
    series = f'cki_notifier_parking_held{{queue="{queue}"}}'
    return [
        Claim(f"{series} is above 0", lambda seen: seen.metrics.get(series, 0.0) > 0),
        Claim(
            f"the page has a problem with {queue}",
            lambda seen: any(queue in each["problem"] for each in seen.page.values()),
        ),
    ]


def _dead_letters_are_held(company: Company) -> list[Claim]:
    return _held(_dead_letters(company))


def _delays_are_held(company: Company) -> list[Claim]:
    return _held(_short_delay(company))


def _make_exchange_again(company: Company) -> None:
    """Delete and recreate the exchange, as DataWarehouse does; wait for a binding."""
    stage = company.scene.stage
    with stage.channel() as channel:
        channel.exchange_delete(stage.exchange)
        channel.exchange_declare(stage.exchange, "topic", durable=True)
    company.bad.patience = _BOUND_SECONDS
    company.bring(1, kinds.pre_test, name="first")


NEIGHBOURS = (
    Neighbour(
        "RabbitMQ",
        f"the dead-letter queue is full, {_COUNT} malformed notifications",
        _fill_dead_letters,
        _empty_dead_letters,
        claims=_dead_letters_are_held,
    ),
    Neighbour(
        "RabbitMQ",
        f"the retry queue of 5 s is full, {_COUNT} notifications of unknown checkouts",
        _fill_short_delay,
        _empty_short_delay,
        claims=_delays_are_held,
    ),
    Neighbour(
        "RabbitMQ",
        f"no dead-letter queue and no right to declare one, {_COUNT} malformed notifications",
        _delete_dead_letters,
        _give_dead_letters_back,
        _take_rights_away,
        settings={"RABBITMQ_USER": _USER, "RABBITMQ_PASSWORD": _USER},
        claims=_dead_letters_are_held,
    ),
    Neighbour("RabbitMQ", "the exchange is deleted and recreated", _make_exchange_again),
)
