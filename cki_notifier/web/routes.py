"""Which address shows what."""

import re
from collections.abc import Callable
from http import HTTPStatus

from cki_notifier.web.answer import Answer, Request, json, text
from cki_notifier.web.checkout import Histories, History
from cki_notifier.web.checkout_page import CheckoutPage
from cki_notifier.web.health import Health
from cki_notifier.web.letters import Letters
from cki_notifier.web.letters_page import LettersPage
from cki_notifier.web.markup import asset
from cki_notifier.web.metrics import Metrics
from cki_notifier.web.page import Page
from cki_notifier.web.status import Status
from cki_notifier.web.waiting_page import WaitingPage

_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE
#: Whoever runs the process asks these, and ends it when they are not answered.
PROBES = ("/live", "/ready")
#: A number of an outcome; longer ones there are none.
_NUMBER = re.compile("[0-9]{1,18}")
#: No outcome has a number above that.
_NOTHING_AFTER = 10**18


class Routes:
    """Answers requests; in any thread.

    Args:
        health: of the process.
        metrics: all of them.
        status: what the page shows.
        histories: what the page of a checkout shows.
        letters: what the page of dead letters shows.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        status: Status,
        histories: Histories,
        letters: Letters,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._status = status
        self._histories = histories
        self._letters = letters
        self._page = Page()
        self._waiting_page = WaitingPage()
        self._checkout_page = CheckoutPage()
        self._letters_page = LettersPage()
        script = Answer(asset("page.js"), "text/javascript; charset=utf-8")
        style = Answer(asset("page.css"), "text/css; charset=utf-8")
        self._routes: dict[str, Callable[[Request], Answer]] = {
            "/": self._show_page,
            "/page.js": lambda _: script,
            "/page.css": lambda _: style,
            "/outcomes.json": self._show_outcomes,
            "/waiting": self._show_waiting,
            "/checkout": self._show_checkout,
            "/checkout.json": self._show_checkout_json,
            "/dead-letters": self._show_letters,
            "/metrics": self._show_metrics,
            "/live": self._show_liveness,
            "/ready": self._show_readiness,
        }

    def answer(self, request: Request) -> Answer:
        """Return what an address shows, 404 for one that shows nothing."""
        route = self._routes.get(request.path)
        return route(request) if route else text("404 there is nothing here", HTTPStatus.NOT_FOUND)

    def _show_page(self, request: Request) -> Answer:
        before = _number(request, "before")
        return _html(self._page.filled(self._status.now(), request.query, before))

    def _show_outcomes(self, request: Request) -> Answer:
        return json(self._status.now(_number(request, "after")))

    def _show_waiting(self, _request: Request) -> Answer:
        return _html(self._waiting_page.filled(self._status.now(_NOTHING_AFTER)))

    def _show_checkout(self, request: Request) -> Answer:
        history = self._histories.of(_text(request, "id"))
        return _html(self._checkout_page.filled(history, self._status.process), _found(history))

    def _show_checkout_json(self, request: Request) -> Answer:
        history = self._histories.of(_text(request, "id"))
        return json(history, _found(history))

    def _show_letters(self, request: Request) -> Answer:
        page = max(1, _number(request, "page"))
        look = self._letters.look()
        return _html(self._letters_page.filled(look, self._status.process, request.query, page))

    def _show_metrics(self, request: Request) -> Answer:
        _ = self._health.kafka  # asks, so that the metric of the connection is true
        return self._metrics.answer(request)

    def _show_liveness(self, _request: Request) -> Answer:
        if self._health.lives:
            return text("the loop that talks to RabbitMQ goes round")
        return text("the loop that talks to RabbitMQ hangs", _UNAVAILABLE)

    def _show_readiness(self, _request: Request) -> Answer:
        missing = self._health.missing()
        code = _UNAVAILABLE if missing else HTTPStatus.OK
        return json({"ready": not missing, "missing": missing}, code)


def _html(page: str, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(page.encode(errors="replace"), "text/html; charset=utf-8", code)


def _found(history: History) -> HTTPStatus:
    return HTTPStatus.OK if history.is_known else HTTPStatus.NOT_FOUND


def _text(request: Request, name: str) -> str:
    return "".join(request.query.get(name, ())[:1])


def _number(request: Request, name: str) -> int:
    """Return a parameter that is a number, 0 for one that is none."""
    text = "".join(request.query.get(name, ()))
    return int(text) if _NUMBER.fullmatch(text) else 0
