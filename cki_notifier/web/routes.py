"""Which address shows what."""

import re
from collections.abc import Callable
from http import HTTPStatus

from cki_notifier.web.answer import Answer, Request, json, text
from cki_notifier.web.health import Health
from cki_notifier.web.metrics import Metrics
from cki_notifier.web.page import Page, asset
from cki_notifier.web.status import Status

_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE
#: Whoever runs the process asks these, and ends it when they are not answered.
PROBES = ("/live", "/ready")
#: A number of an outcome; longer ones there are none.
_NUMBER = re.compile("[0-9]{1,18}")


class Routes:
    """Answers requests; in any thread.

    Args:
        health: of the process.
        metrics: all of them.
        status: what the page shows.
    """

    def __init__(self, health: Health, metrics: Metrics, status: Status) -> None:
        self._health = health
        self._metrics = metrics
        self._status = status
        self._page = Page()
        script = Answer(asset("page.js"), "text/javascript; charset=utf-8")
        style = Answer(asset("page.css"), "text/css; charset=utf-8")
        self._routes: dict[str, Callable[[Request], Answer]] = {
            "/": self._show_page,
            "/page.js": lambda _: script,
            "/page.css": lambda _: style,
            "/outcomes.json": self._show_outcomes,
            "/metrics": self._show_metrics,
            "/live": self._show_liveness,
            "/ready": self._show_readiness,
        }

    def answer(self, request: Request) -> Answer:
        """Return what an address shows, 404 for one that shows nothing."""
        route = self._routes.get(request.path)
        return route(request) if route else text("404 there is nothing here", HTTPStatus.NOT_FOUND)

    def _show_page(self, request: Request) -> Answer:
        body = self._page.filled(self._status.now(), request.query)
        return Answer(body.encode(errors="replace"), "text/html; charset=utf-8")

    def _show_outcomes(self, request: Request) -> Answer:
        after = "".join(request.query.get("after", ()))
        return json(self._status.now(int(after) if _NUMBER.fullmatch(after) else 0))

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
