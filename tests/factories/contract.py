"""The contract as its consumers have it: messages, checked by a validator that is not ours."""

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

#: The text of the schema that is published with the project.
PUBLISHED: Final = (files("cki_notifier.message") / "ready-for-test.schema.json").read_text("utf-8")
VALIDATOR: Final = Draft202012Validator(
    json.loads(PUBLISHED), format_checker=Draft202012Validator.FORMAT_CHECKER
)
#: When the messages built here are made.
NOW: Final = datetime(2026, 11, 20, 12, 30, 1, tzinfo=UTC)


def received(message: ReadyForTest) -> Any:
    """Return a message as a consumer reads it, after making sure that it matches the schema."""
    document = json.loads(encode(message).decode("utf-8"))
    VALIDATOR.validate(document)
    return document


def sent(
    loaded: Loaded, merge_request: MergeRequest | None = None, stage: Stage = Stage.PRE_TEST
) -> Any:
    """Return the message about what was loaded, as a consumer reads it."""
    return received(build_message(loaded, merge_request, stage, NOW))


def about(*builds: Build, merge_request: MergeRequest | None = None, **changes: Any) -> Any:
    """Return the pre-test message about a checkout with changes, and builds or just one."""
    checkout = factories.checkout(**changes)
    return sent(Loaded(checkout=checkout, builds=builds or (factories.build(),)), merge_request)
