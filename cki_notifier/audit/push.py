"""Pushes an audit's sums to Prometheus' Pushgateway.

An audit is over before Prometheus would ask it. The gateway keeps what it pushed last, so that one
that no longer runs is seen by the age of its last success; docs/audit.md says why not a textfile.
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

#: The label ``job`` of all that an audit pushes.
JOB: Final = "cki-notifier-audit"
#: For all of it, from the look-up of the gateway's name to its answer.
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
    """Return the metrics of an audit; parameters as of :func:`push`."""
    made = CollectorRegistry()
    missing = sums.get(Verdict.MISSING, 0)
    values = {
        # None found by an audit that could not decide about everything does not mean none.
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
    """Push an audit's sums; where that fails, say so in a line on standard error.

    What the gateway has of an earlier audit stays where this one has nothing to put in its place.

    Args:
        url: the gateway's, as on the command line, perhaps with a user and a password.
        sums: how many there are of each verdict.
        succeeded_at: when the audit came to a decision about everything, in seconds since 1970;
            None when it did not.
        environment: of the configuration; it tells production's audit from staging's.
        seconds: after which it is given up.
    """
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    handler = _handler(parts.username, parts.password)
    labels = {"environment": environment or "none"}

    def send() -> None:
        pushadd_to_gateway(plain, JOB, registry(sums, succeeded_at), labels, seconds, handler)

    try:
        # In a thread, because the library's limit is for each step, and for none that looks up.
        beside("push", send).result(seconds)
    except (HTTPException, OSError, RuntimeError, ValueError) as error:
        show(
            f"cki-notifier: the audit's sums can't be pushed to {plain}: {_reason(error, seconds)}"
        )


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect, which would turn the request into one that pushes nothing."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def _handler(user: str | None, password: str | None) -> Callable[..., Callable[[], None]]:
    """Return what sends the library's request; its own follows redirects."""
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
