"""Pushes an audit's sums to a Prometheus Pushgateway.

An audit ends before Prometheus could scrape it. The gateway keeps the last push, so an alert sees
the age of the last success. The node exporter's textfiles are no alternative: pods and CI jobs have
no folder of a node.
"""

import base64
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

from cki_notifier.audit.stages import Verdict
from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.telemetry.terminal import show
from cki_notifier.workers.threads import beside

#: The label ``job`` of all pushed metrics.
JOB: Final = "cki-notifier-audit"
#: For the whole push, from the DNS lookup to the answer.
_SECONDS: Final = 10.0
_MEANINGS: Final = {
    "missing": "Stages that a checkout reached in the audit's time span, but whose message is "
    "missing.",
    "undecided": "Stages in the audit's time span that the audit could not decide about.",
    "compared": "All stages that checkouts reached in the audit's time span.",
    "last_success_timestamp_seconds": "When an audit last decided about all stages, even if some "
    "were missing. Seconds since 1970, absent before the first such audit.",
}


def registry(sums: Mapping[str, int], succeeded_at: float | None) -> CollectorRegistry:
    """Return an audit's metrics; for the parameters see :func:`push`."""
    made = CollectorRegistry()
    missing = sums.get(Verdict.MISSING, 0)
    values = {
        # Undecided stages may be missing, so a sum of 0 would be wrong.
        "missing": None if succeeded_at is None and not missing else missing,
        "undecided": sums.get(Verdict.UNDECIDED, 0),
        "compared": sum(sums.values()),
        "last_success_timestamp_seconds": succeeded_at,
    }
    for name, value in values.items():
        if value is not None:
            Gauge(f"cki_notifier_audit_{name}", _MEANINGS[name], registry=made).set(value)
    return made


def push(
    url: str,
    sums: Mapping[str, int],
    succeeded_at: float | None,
    *,
    environment: str = "",
    seconds: float = _SECONDS,
) -> None:
    """Push an audit's sums; report a failure in a line on standard error.

    The gateway keeps an earlier audit's value of each metric that this one does not push.

    Args:
        url: the gateway's, perhaps with a user and a password.
        sums: the number of stages by verdict.
        succeeded_at: when the audit decided about all stages, in seconds since 1970; None if some
            are undecided.
        environment: the label that distinguishes production from staging.
        seconds: the time limit.
    """
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    handler = _handler(parts.username, parts.password)
    labels = {"environment": environment or "none"}

    def send() -> None:
        pushadd_to_gateway(plain, JOB, registry(sums, succeeded_at), labels, seconds, handler)

    try:
        # In a thread: the library limits each step, but not the whole, nor the DNS lookup.
        beside("push", send).result(seconds)
    except (HTTPException, OSError, RuntimeError, ValueError) as error:
        show(
            f"cki-notifier: the audit's sums can't be pushed to {plain}: {_reason(error, seconds)}"
        )


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect, which would turn the push into a GET."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def _handler(user: str | None, password: str | None) -> Callable[..., Callable[[], None]]:
    """Return a handler for the library that follows no redirects."""
    context = ssl.create_default_context(cafile=certificate_authorities())
    opener = build_opener(_NoRedirect, HTTPSHandler(context=context))

    def handler(
        url: str, method: str, timeout: float, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        request = Request(url, data, dict(headers), method=method)  # noqa: S310  # gateway() checks
        if user is not None:
            login = f"{unquote(user)}:{unquote(password or '')}".encode()
            request.add_header("Authorization", f"Basic {base64.b64encode(login).decode()}")
        return lambda: opener.open(request, timeout=timeout).close()

    return handler


def _reason(error: Exception, seconds: float) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(error, HTTPError):
        error.close()
        return f"it answers {error.code}"
    if isinstance(cause, TimeoutError):
        return f"no answer within {seconds:g} s"
    return str(cause) or type(cause).__name__
