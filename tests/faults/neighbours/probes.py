"""Probe the daemon's HTTP endpoints, once or repeatedly."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Timeout for a response, in seconds.
TIME_LIMIT = 2.0
_PERIOD_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at all endpoints. Status 0 means no response in time.

    `metrics` has the values by series, `page` the connections of the status page by id.
    """

    live: int = 0
    ready: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    page: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Probes:
    """Sends requests to the daemon on a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.port = port

    def is_ready(self) -> bool:
        """Whether the daemon is ready."""
        return self.status("/ready") == http.HTTPStatus.OK

    def status(self, path: str) -> int:
        """Return the status of a response, 0 for none in time."""
        return self._get(path)[0]

    def look(self) -> Seen:
        """Request all endpoints."""
        _, page = self._get("/outcomes.json?after=999999999")
        _, metrics = self._get("/metrics")
        shown = json.loads(page)["connections"] if page else []
        return Seen(
            live=self.status("/live"),
            ready=self.status("/ready"),
            metrics=dict(_values(metrics.decode())),
            page={each["id"]: each for each in shown},
        )

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[Seen]]:
        """Look repeatedly, in a thread, while the context lasts; append each look."""
        looks: list[Seen] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_PERIOD_SECONDS):
                looks.append(self.look())

        thread = threading.Thread(target=watch, name="probes")
        thread.start()
        try:
            yield looks
        finally:
            over.set()
            thread.join()

    def _get(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body of a response; 0 and nothing for none in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIME_LIMIT)
        started = time.monotonic()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()
        return (response.status, body) if time.monotonic() - started < TIME_LIMIT else (0, b"")


def _values(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            yield series, float(value)
