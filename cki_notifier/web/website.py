"""The daemon's HTTP port: its addresses and their answers."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

from cki_notifier.configuration.settings import Config
from cki_notifier.configuration.shutdown import QUEUE_LENGTHS_SECONDS
from cki_notifier.kafka.publish import Publisher
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.outcomes import Outcomes
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.checkout import checkout_page, history_of
from cki_notifier.web.health import Health
from cki_notifier.web.letters import Letters, Read, letters_page
from cki_notifier.web.markup import asset
from cki_notifier.web.metrics import Metrics
from cki_notifier.web.request import Answer, Request, html, json, text
from cki_notifier.web.server import Server
from cki_notifier.web.status import Known, snapshot, status_page
from cki_notifier.web.waiting import waiting_page
from cki_notifier.web.watch import AcceptanceWatch, QueueLengths, Watch

#: The platform asks these, and restarts the process when they fail.
PROBES = ("/live", "/ready")


class Website:
    """Holds the port from the start, so that an unusable port is found before connecting.

    Args:
        port: its number.

    Raises:
        ConfigurationError: the port is taken, or the process may not use it.
    """

    def __init__(self, port: int) -> None:
        self._server = Server(port, PROBES)
        self._watches: list[Watch] = []

    def open(  # noqa: PLR0913  # all that the pages show
        self,
        config: Config,
        liveness: Liveness,
        outcomes: Outcomes,
        unsettled: Unsettled,
        publisher: Publisher | None,
        *,
        letters: Read | None,
    ) -> None:
        """Answer requests.

        Args:
            config: of the process.
            liveness: of the loop that talks to RabbitMQ.
            outcomes: the last ones.
            unsettled: the notifications without an outcome.
            publisher: checks Kafka; None where no messages are sent.
            letters: reads dead letters when their page is loaded; None where this process must not
                read them.
        """
        metrics.introduce(config.environment, config.in_flight)
        counts: Callable[[], Mapping[str, int]] = dict
        if config.rabbitmq is not None and config.sends:
            ask = partial(connect, config.rabbitmq, "queue lengths")
            lengths = QueueLengths(ask, config.rabbitmq.queue)
            counts = lengths.counts
            acceptance = AcceptanceWatch(partial(connect, config.rabbitmq, "acceptance"))
            self._watches = [lengths, acceptance]
        health = Health(liveness, publisher.check if publisher else None)
        known = Known(config, health, outcomes, unsettled, counts)
        self._server.start(Site(known, letters).answer)

    def close(self) -> None:
        """Give the port back and end all threads."""
        end = time.monotonic() + QUEUE_LENGTHS_SECONDS
        for watch in self._watches:
            watch.stop()
        for watch in self._watches:
            watch.join(end - time.monotonic())
        self._server.close()


class Site:
    """Answers requests, in any thread.

    Args:
        known: the state to show.
        letters: reads dead letters; None where this process must not read them.
    """

    def __init__(self, known: Known, letters: Read | None) -> None:
        self._known = known
        self._letters = Letters(letters)
        self._metrics = Metrics(known.counts, known.unsettled)
        script = Answer(asset("page.js").encode(), "text/javascript; charset=utf-8")
        style = Answer(asset("page.css").encode(), "text/css; charset=utf-8")
        self._routes: dict[str, Callable[[Request], Answer]] = {
            "/": lambda it: html(status_page(known, it)),
            "/page.js": lambda _: script,
            "/page.css": lambda _: style,
            "/outcomes.json": lambda it: json(snapshot(known, it.number("after"))),
            "/waiting": lambda _: html(waiting_page(snapshot(known))),
            "/checkout": self._show_checkout,
            "/checkout.json": self._show_checkout,
            "/dead-letters": self._show_letters,
            "/metrics": self._show_metrics,
            "/live": self._show_liveness,
            "/ready": self._show_readiness,
        }

    def answer(self, request: Request) -> Answer:
        """Return the answer for an address, 404 for an unknown one."""
        route = self._routes.get(request.path)
        return route(request) if route else text("404 no such page", HTTPStatus.NOT_FOUND)

    def _show_checkout(self, request: Request) -> Answer:
        history = history_of(self._known, request.first("id"))
        code = HTTPStatus.OK if history.is_known else HTTPStatus.NOT_FOUND
        if request.path.endswith(".json"):
            return json(history, code)
        return html(checkout_page(self._known, history), code)

    def _show_letters(self, request: Request) -> Answer:
        look = self._letters.look()
        return html(letters_page(look, self._known.process, request))

    def _show_metrics(self, request: Request) -> Answer:
        _ = self._known.health.kafka  # asks Kafka, so that the connection's metric is current
        return self._metrics.answer(request)

    def _show_liveness(self, _request: Request) -> Answer:
        if self._known.health.lives:
            return text("alive: the RabbitMQ consumer does not hang")
        hung = "not alive: the RabbitMQ consumer hangs. Save the log and restart the process."
        return text(hung, HTTPStatus.SERVICE_UNAVAILABLE)

    def _show_readiness(self, _request: Request) -> Answer:
        missing = self._known.health.missing()
        code = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        return json({"ready": not missing, "missing": missing}, code)
