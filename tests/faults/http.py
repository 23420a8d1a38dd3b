"""Faults of the services."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.scene import Fault, Scene
from tools.stand_ins import (
    Drip,
    Gitlab,
    Hang,
    Html,
    Jira,
    NoBackend,
    RedirectLoop,
    Reset,
    Status,
    Truncated,
    Warehouse,
)
from tools.stand_ins import Fault as Answer

_SECONDS = 5.0
_FOR_EVER = 3600.0
_SERVICES: dict[str, Callable[[Scene], Warehouse | Gitlab | Jira]] = {
    "DataWarehouse": lambda scene: scene.services.warehouse,
    "GitLab": lambda scene: scene.services.gitlab,
    "Jira": lambda scene: scene.services.jira,
}
#: A request that is open at the end of the fault keeps its bad response.
_ANSWERS: dict[str, Answer] = {
    "hangs": Hang(_FOR_EVER),
    "500": Status(500),
    "502": Status(502, b"<html>Bad gateway</html>"),
    "503": Status(503),
    "429, Retry-After: 86400": Status(429, headers={"Retry-After": "86400"}),
    "reset in the body": Reset(),
    "truncated": Truncated(),
    "1 byte/s": Drip(1),
    "200 with HTML": Html(),
    "redirect loop": RedirectLoop(),
    "404, then found": Status(404),
    "404 with HTML, then found": NoBackend(),
}
_SLOW = frozenset({"hangs", "1 byte/s", "429, Retry-After: 86400"})
_SHORT = frozenset({("DataWarehouse", "503")})


def _requests(service: str, scene: Scene) -> int:
    return len(_SERVICES[service](scene).requests)


def _answer(service: str, answer: Answer, scene: Scene) -> None:
    it = _SERVICES[service](scene)
    it.answer("", answer)
    time.sleep(_SECONDS)
    it.clear()


def _refuse(service: str, scene: Scene) -> None:
    it = _SERVICES[service](scene)
    it.down()
    time.sleep(_SECONDS)
    it.up()


def _change_token(service: str, scene: Scene) -> None:
    it = _SERVICES[service](scene)
    token = it.token
    it.token = "another"
    time.sleep(_SECONDS)
    it.token = token


def _faults() -> Iterator[Fault]:
    for service in _SERVICES:
        # Refused connections cannot be counted.
        yield Fault(service, "refused", partial(_refuse, service))
        for name, answer in _ANSWERS.items():
            yield Fault(
                service,
                name,
                partial(_answer, service, answer),
                tries=partial(_requests, service),
                short=(service, name) in _SHORT,
                patience=120.0 if name in _SLOW else 60.0,
                swift=name not in _SLOW,
            )
        yield Fault(
            service,
            "401, then a good token",
            partial(_change_token, service),
            tries=partial(_requests, service),
        )


FAULTS = tuple(_faults())
