"""A stand-in for Sentry: keeps the envelopes that a project's clients send.

Source: Sentry's documentation of envelopes: lines of JSON, a header first, then a header and a
payload for each item.
"""

import gzip
import json
from itertools import pairwise

from tools.stand_ins.documents import Document

from .server import Answer, Seen, Service, json_answer

PROJECT = 42
KEY = "hush-sentry-key"
NO_ROUTE = json_answer({"detail": "not found"}, 404)
UNAUTHORIZED = json_answer({"detail": "bad sentry DSN public key"}, 401)


class Sentry(Service):
    """Keeps all reports with the right key."""

    def __init__(self) -> None:
        super().__init__()
        #: The DSN for clients.
        self.dsn = self.url.replace("://", f"://{KEY}@") + f"/{PROJECT}"

    def route(self, request: Seen) -> Answer:
        """Accept an envelope."""
        if request.path != f"/api/{PROJECT}/envelope/" or request.method != "POST":
            return NO_ROUTE
        if f"sentry_key={KEY}" not in request.headers.get("x-sentry-auth", ""):
            return UNAUTHORIZED
        return json_answer({"id": "0" * 32})

    def envelopes(self) -> list[str]:
        """Return the text of each envelope so far."""
        return [
            (gzip.decompress(it.body) if "content-encoding" in it.headers else it.body).decode()
            for it in list(self.requests)
        ]

    def events(self) -> list[Document]:
        """Return the events in all envelopes so far."""
        events = []
        for envelope in self.envelopes():
            _, *lines = (json.loads(line) for line in envelope.splitlines() if line)
            for header, payload in pairwise(lines):
                if header.get("type") == "event" and "event_id" not in header:
                    events.append(payload)
        return events
