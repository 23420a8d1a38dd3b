"""Reports errors and bugs to Sentry. The only importer of sentry_sdk.

The import costs a quarter of a second and some megabytes, so it happens only if a DSN is set.

An event has the log message's template and arguments, and a bug's traceback: no local variables,
no bodies, no secrets. A repeated error is one event in five minutes. A thread of the library sends
events. While Sentry is down, it drops them, and no other thread waits.
"""

import logging
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import EventHandler
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.types import Event, Hint

from cki_notifier import __version__
from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import Config, secrets_of
from cki_notifier.configuration.shutdown import SENTRY_SECONDS
from cki_notifier.telemetry.log import ROOT
from cki_notifier.telemetry.throttle import Throttle

#: The seconds between two events of one kind of error, and the most kinds remembered.
_QUIET_SECONDS, _MOST_KINDS = 300.0, 500
#: The shortest secret that is masked. A shorter one also occurs in ordinary words.
_SHORTEST_SECRET = 6


def report_errors(config: Config, dsn: Secret) -> None:
    """Report our log records from ERROR on, and uncaught exceptions, from now on.

    Call it once per process. ``logging.shutdown`` sends the remaining events, within two seconds.
    """
    throttle = Throttle(_QUIET_SECONDS, _MOST_KINDS)
    texts = (secret.reveal() for secret in secrets_of(config))
    secrets = [text for text in texts if len(text) >= _SHORTEST_SECRET]

    def outgoing(event: Event, hint: Hint) -> Event | None:
        """Return the event without secrets, or None for an exception that was just reported."""
        bug = ("uncaught", *_bug(hint.get("exc_info")))
        if "log_record" not in hint and throttle.let_through(bug) is None:
            return None
        clean: Event = _without_secrets(event, secrets)
        return clean

    sentry_sdk.init(
        dsn=dsn.reveal(),
        release=__version__,
        environment=config.environment or "none",
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            # The default prints the number of remaining events to the terminal.
            AtexitIntegration(callback=lambda _pending, _timeout: None),
            ExcepthookIntegration(),
            ThreadingIntegration(propagate_scope=False),
        ],
        before_send=outgoing,
        shutdown_timeout=SENTRY_SECONDS,
        ca_certs=certificate_authorities(),
        include_local_variables=False,
        max_request_body_size="never",
        send_default_pii=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_metrics=False,
        propagate_traces=False,
        debug=False,
        spotlight=False,
    )
    logging.getLogger(ROOT).addHandler(_Handler(throttle))


class _Handler(EventHandler):
    """Makes an event of a record, unless one of its kind was just reported.

    The kind is logger and template, and for a bug also its place in the code.
    """

    def __init__(self, throttle: Throttle) -> None:
        super().__init__(logging.ERROR)
        self._throttle = throttle

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.name, str(record.msg), *_bug(record.exc_info)
        held_back = self._throttle.let_through(kind)
        if held_back is not None:
            record.held_back = held_back
            super().emit(record)

    def flush(self) -> None:
        sentry_sdk.flush(SENTRY_SECONDS)

    def close(self) -> None:
        """End the client, so that the interpreter does not wait for it again."""
        sentry_sdk.get_client().close(0)
        super().close()


def _without_secrets(value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, str(Secret("")))
        return value
    if isinstance(value, Mapping):
        return dict(_without_secrets(list(value.items()), secrets))
    if isinstance(value, list | tuple):
        return [_without_secrets(inner, secrets) for inner in value]
    return value


def _bug(
    exc_info: tuple[object, BaseException | None, TracebackType | None] | None,
) -> tuple[object, ...]:
    """Return an exception's type and the line that raised it, or an empty tuple."""
    _, error, trace = exc_info or (None, None, None)
    if error is None or trace is None:
        return ()
    while trace.tb_next is not None:
        trace = trace.tb_next
    return type(error), trace.tb_frame.f_code, trace.tb_lineno
