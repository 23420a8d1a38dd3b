"""Messages for consumers, checked by an independent validator."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.checkout.documents import Build
from cki_notifier.message.build import build_message
from cki_notifier.message.contract import ReadyForTest, encode
from cki_notifier.notification.models import Loaded, MergeRequest, Stage
from tests import factories

#: The text of the published schema.
PUBLISHED: Final = (files("cki_notifier.message") / "ready-for-test.schema.json").read_text("utf-8")
VALIDATOR: Final = Draft202012Validator(
    json.loads(PUBLISHED), format_checker=Draft202012Validator.FORMAT_CHECKER
)
#: The time of the messages.
NOW: Final = datetime(2026, 11, 20, 12, 30, 1, tzinfo=UTC)


def received(message: ReadyForTest) -> Any:
    """Return a message as a consumer reads it, checked against the schema."""
    document = json.loads(encode(message).decode("utf-8"))
    VALIDATOR.validate(document)
    return document


def sent(
    loaded: Loaded, merge_request: MergeRequest | None = None, stage: Stage = Stage.PRE_TEST
) -> Any:
    """Return the message about a loaded checkout, as a consumer reads it."""
    return received(build_message(loaded, merge_request, stage, NOW))


def about(*builds: Build, merge_request: MergeRequest | None = None, **changes: Any) -> Any:
    """Return the pre-test message about a changed checkout, with the given builds or one."""
    checkout = factories.checkout(**changes)
    return sent(Loaded(checkout=checkout, builds=builds or (factories.build(),)), merge_request)
