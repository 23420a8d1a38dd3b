"""Bad neighbours in the services: a host, an object, a response."""

import gzip
import json
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from tests.faults import kinds
from tests.faults.neighbours.company import Claim, Company, Neighbour, shows
from tests.faults.publisher import Expected
from tools.stand_ins import (
    Fault,
    Gitlab,
    Hang,
    Late,
    Paced,
    Services,
    Status,
    Swollen,
    Truncated,
    documents,
)
from tools.stand_ins.documents import Document

_FOR_EVER = 3600.0
_MIB = 1024 * 1024
#: More than fits into the daemon's memory limit, and few enough for a short run.
_LARGE_COUNT = 30
#: A bad object has failed by then, in seconds.
_FAILING_SECONDS = 8.0
#: Time until a host that hangs is noticed, in seconds. Its requests time out after 30 s.
_NOTICED_SECONDS = 45.0
#: Timeout with a request that hangs on after the repair of the host, in seconds.
_HANGING_PATIENCE = 150.0


def _host(gitlab: Gitlab) -> str:
    return urlsplit(gitlab.url).netloc


def _spread(company: Company, hosts: int, count: int) -> None:
    """Publish notifications with merge requests on the first other hosts, in turn."""
    turns = company.elsewhere[:hosts]

    def make(services: Services, checkout_id: str) -> Document:
        number = int(checkout_id.rpartition("-")[2])
        return kinds.with_merge_request(services, checkout_id, turns[number % hosts])

    company.bring(count, make)


def _refuse(hosts: int, count: int, company: Company) -> None:
    for gitlab in company.elsewhere[:hosts]:
        gitlab.down()
    _spread(company, hosts, count)


def _silence(hosts: int, count: int, company: Company) -> None:
    for gitlab in company.elsewhere[:hosts]:
        gitlab.answer("", Hang(_FOR_EVER))
    _spread(company, hosts, count)


def _listen_again(company: Company) -> None:
    for gitlab in company.elsewhere:
        gitlab.clear()
        gitlab.up()


def _one_is_down(hosts: int, company: Company) -> list[Claim]:
    claims = shows("gitlab", 1, host=_host(company.scene.services.gitlab), always=True)
    for gitlab in company.elsewhere[:hosts]:
        claims += shows("gitlab", 0, host=_host(gitlab))
    return claims


def _hosts() -> Iterator[Neighbour]:
    for name, come, hosts, count in (
        ("host refuses connections", _refuse, 1, 200),
        ("host hangs without a byte", _silence, 1, 200),
        ("host refuses connections", _refuse, 1, 1000),
        ("host hangs without a byte", _silence, 1, 1000),
        ("each of three hosts refuses connections", _refuse, 3, 300),
    ):
        hangs = come is _silence
        yield Neighbour(
            "GitLab",
            f"{name}, {count:,} notifications",
            partial(come, hosts, count),
            _listen_again,
            claims=partial(_one_is_down, hosts),
            told_within=_NOTICED_SECONDS if hangs else 10.0,
            patience=_HANGING_PATIENCE if hangs else 90.0,
        )


def _bomb(company: Company) -> None:
    """Answer with a small gzip body that unpacks to 64 MiB."""
    document = documents.merge_request("https://gitlab.com/a/b/-/merge_requests/1")
    numbers = ",".join(str(number % 997) for number in range(64 * _MIB // 4))
    body = json.dumps(document)[:-1] + f',"padding":[{numbers}]}}'
    packed = gzip.compress(body.encode(), 6)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    company.elsewhere[0].answer("/merge_requests/", Status(200, packed, headers))
    _spread(company, 1, 16)


def _everything_else_answers(company: Company) -> list[Claim]:
    return shows("gitlab", 1, host=_host(company.scene.services.gitlab), always=True)


def _warehouse_is_well(_company: Company) -> list[Claim]:
    return shows("datawarehouse", 1, always=True)


def _publish_same(company: Company, checkout_id: str, count: int) -> None:
    """Publish one notification about a tested checkout `count` times."""
    body = json.dumps(kinds.post_test(company.scene.services, checkout_id)).encode()
    company.bad.repeated.add(checkout_id)
    for _ in range(count):
        company.bad.publish(checkout_id, Expected.SENT, body)


_SLOW_ID, _UPDATED = "redhat:bad-slow", 63


def _slow(seconds: float, company: Company) -> None:
    company.scene.services.warehouse.answer("bad-slow/all", Late(seconds), times=1)


def _updated_behind(seconds: float, company: Company) -> None:
    """Publish many notifications to be ignored behind one about a slow checkout."""
    _slow(seconds, company)
    _publish_same(company, _SLOW_ID, 1)
    updated = documents.notification(documents.checkout(_SLOW_ID), "updated")
    for _ in range(_UPDATED):
        company.aside.publish(_SLOW_ID, Expected.IGNORED, json.dumps(updated).encode())


def _updated_are_settled(company: Company) -> list[Claim]:
    return [
        *_warehouse_is_well(company),
        Claim(
            f"the {_UPDATED} that are ignored unseen don't wait for the slow one",
            lambda _: (
                sum(line["status"] == "updated" for line in company.scene.daemon.settled())
                == _UPDATED
                and not any(
                    line["checkout"] == _SLOW_ID and line["outcome"] == "sent"
                    for line in company.scene.daemon.settled()
                )
            ),
        ),
    ]


def _same_behind(company: Company) -> None:
    _slow(25.0, company)
    _publish_same(company, _SLOW_ID, 100)


def _large_behind(company: Company) -> None:
    """Publish notifications of 15 MiB behind one about a slow checkout."""
    _slow(25.0, company)
    body = kinds.post_test(company.scene.services, _SLOW_ID)
    _publish_same(company, _SLOW_ID, 1)
    for number in range(_LARGE_COUNT):
        padded = {**body, "padding": f"{number:02}" + "x" * 15 * _MIB}
        company.bad.publish(_SLOW_ID, Expected.SENT, json.dumps(padded).encode())


_JIRA_GOOD = (
    (Expected.IGNORED, kinds.merged),
    (Expected.IGNORED, kinds.superseded),
    (Expected.IGNORED, kinds.merged),
    (Expected.SENT, kinds.pre_test),
)
_JIRA_COUNT = 10


def _hang_jira(company: Company) -> None:
    company.scene.services.jira.answer("", Hang(_FOR_EVER))
    company.bring(_JIRA_COUNT, kinds.with_merge_request)


def _heal_jira(company: Company) -> None:
    company.scene.services.jira.clear()


def _jira_is_missed_by_what_is_sent(_company: Company) -> list[Claim]:
    failures = 'cki_notifier_enrichment_failures_total{service="jira"}'
    return [
        *shows("jira", 0),
        Claim(
            f"{failures} counts the {_JIRA_COUNT} messages and nothing that is ignored",
            lambda seen: seen.metrics.get(failures) == _JIRA_COUNT,
        ),
    ]


def _bad_object(faults: Sequence[tuple[str, Fault]], company: Company) -> None:
    """Make some addresses of one checkout fail, and publish many notifications about it."""
    checkout_id = "redhat:bad-object"
    for part, fault in faults:
        company.scene.services.warehouse.answer(f"bad-object{part}", fault)
    for _ in range(10):
        _publish_same(company, checkout_id, 1)
        body = json.dumps(kinds.pre_test(company.scene.services, checkout_id)).encode()
        company.bad.publish(checkout_id, Expected.SENT, body)


def _heal_warehouse(company: Company) -> None:
    company.scene.services.warehouse.clear()


def _object(name: str, *faults: tuple[str, Fault]) -> Neighbour:
    return Neighbour(
        "DataWarehouse",
        f"one checkout {name}",
        partial(_bad_object, faults),
        _heal_warehouse,
        claims=_warehouse_is_well,
        stays=_FAILING_SECONDS,
    )


def _two_large(company: Company) -> None:
    """Send two large documents at once, slowly, from a server with a short write timeout."""
    services = company.scene.services
    for number in range(2):
        checkout_id = f"redhat:bad-large-{number}"
        services.warehouse.add(documents.large_all(checkout_id, 15_000))
        services.warehouse.answer(f"bad-large-{number}/all", Paced(8.0, patience=3.0))
    for number in range(2):
        checkout_id = f"redhat:bad-large-{number}"
        thin = documents.notification(None, "ready_to_report", checkout_id=checkout_id)
        company.bad.publish(checkout_id, Expected.SENT, json.dumps(thin).encode())


def _large_ones_are_sent(company: Company) -> list[Claim]:
    def both_sent(_: object) -> bool:
        sent = {
            line["checkout"] for line in company.scene.daemon.settled() if line["outcome"] == "sent"
        }
        return sent >= {"redhat:bad-large-0", "redhat:bad-large-1"}

    return [
        *_warehouse_is_well(company),
        Claim("both large ones get through at the first attempt", both_sent),
    ]


NEIGHBOURS = (
    *_hosts(),
    Neighbour(
        "GitLab",
        "host answers with gzip bombs, 16 at once",
        _bomb,
        _listen_again,
        claims=_everything_else_answers,
    ),
    Neighbour(
        "DataWarehouse",
        f"one answer takes 6 s, {_UPDATED} notifications to be ignored behind it",
        partial(_updated_behind, 6.0),
        claims=_updated_are_settled,
        told_within=0.5,
        short=True,
    ),
    Neighbour(
        "DataWarehouse",
        f"one answer takes 25 s, {_UPDATED} notifications to be ignored behind it",
        partial(_updated_behind, 25.0),
        claims=_updated_are_settled,
    ),
    Neighbour(
        "DataWarehouse",
        "one answer takes 25 s, 100 notifications of its checkout behind it",
        _same_behind,
        claims=_warehouse_is_well,
    ),
    Neighbour(
        "DataWarehouse",
        f"one answer takes 25 s, {_LARGE_COUNT} notifications of 15 MiB behind it",
        _large_behind,
        claims=_warehouse_is_well,
        # Each that comes back is looked up in the topic, twice within two seconds, and is alone
        # meanwhile. The others of the same half minute are delayed again.
        patience=600.0,
    ),
    _object("is over the limit: 300 MiB", ("/all", Swollen(300 * _MIB))),
    _object("answers 500 at its three addresses", ("", Status(500))),
    _object("answers 504", ("", Status(504))),
    _object("is truncated", ("", Truncated())),
    Neighbour(
        "DataWarehouse",
        "two documents of 30 MiB at once, from a server that gives up a slow reader after 3 s",
        _two_large,
        _heal_warehouse,
        claims=_large_ones_are_sent,
        told_within=45.0,
    ),
    Neighbour(
        "Jira",
        "hangs, among notifications to be ignored",
        _hang_jira,
        _heal_jira,
        good=_JIRA_GOOD,
        claims=_jira_is_missed_by_what_is_sent,
        short=True,
    ),
)
