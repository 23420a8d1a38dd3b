"""What a scene of the demo is: something happens at CKI, and the warehouse tells of it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tools.demo.kernels import Kernel
from tools.stand_ins import documents


@dataclass(frozen=True, slots=True)
class Decision:
    """What the daemon decides about a notification.

    `outcome` and `reason` are the daemon's own words; `status` is the one that the message tells.
    """

    outcome: str
    reason: str
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A notification, with the story behind it and the decision that it should lead to.

    `checkout` and `status` are what the daemon's log knows it by, None for what can't be read.
    `later` is how it ends when it is to be delayed first.
    """

    story: str
    body: bytes
    tree: str
    checkout: str | None
    status: str | None
    expected: Decision
    later: Decision | None = None


def pre_test() -> Decision:
    """Return the decision to send a pre-test message."""
    return Decision("sent", "pre-test")


def post_test(status: str) -> Decision:
    """Return the decision to send a post-test message with this overall status."""
    return Decision("sent", "post-test", status)


def ignored(reason: str) -> Decision:
    """Return the decision of the rule that has this name."""
    return Decision("ignored", reason)


def scene(
    story: str,
    kernel: Kernel,
    status: str,
    expected: Decision,
    *,
    later: Decision | None = None,
    thin: bool = False,
    **changes: Any,
) -> Scene:
    """Return a scene with a notification of right now, which carries `changes`.

    A `thin` one tells nothing of the checkout but its id.
    """
    body = documents.notification(
        None if thin else kernel.checkout,
        status,
        checkout_id=kernel.id,
        timestamp=datetime.now(UTC).isoformat(),
        **changes,
    )
    return Scene(
        story=story,
        body=json.dumps(body).encode(),
        tree=kernel.tree.name,
        checkout=str(body["id"]),
        status=status,
        expected=expected,
        later=later,
    )
