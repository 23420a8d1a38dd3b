"""Generates the topic's AsyncAPI document, docs/asyncapi.yaml, from its template and the code."""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from cki_notifier.message.contract import CI, VERSION, schema
from cki_notifier.notification.models import Stage
from tools.documentation.examples import record

_TEMPLATE: Final = Path(__file__).with_name("asyncapi.template.yaml")
_HEAD: Final = f"# Made by `python -m tools.documentation` of {_TEMPLATE.name}: don't edit it.\n"
#: The name of each stage's message.
MESSAGES: Final = {Stage.PRE_TEST: "preTest", Stage.POST_TEST: "postTest"}


def page() -> str:
    """Return the document as YAML."""
    document = _template()
    components, ci = document["components"], CI()
    document["info"]["version"] = VERSION
    document["info"]["contact"] = {"name": ci.name, "url": ci.docs, "email": ci.email}
    for stage, name in MESSAGES.items():
        (example,) = components["messages"][name]["examples"]
        example["headers"] = record(stage).headers
        example["payload"] = json.loads(record(stage).value)
    components["schemas"] = _schemas() | components["schemas"]
    # The detour through JSON makes YAML repeat a shared part instead of using an anchor.
    text = json.dumps(document)
    return _HEAD + yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=100)


def headers() -> dict[str, dict[str, str]]:
    """Return the JSON Schema of each header, in the order of the record."""
    said: dict[str, dict[str, str]] = _template()["components"]["schemas"]["Headers"]["properties"]
    return said


def _template() -> Any:
    return yaml.safe_load(_TEMPLATE.read_text("utf-8"))


def _schemas() -> dict[str, Any]:
    """Return the schemas of the message and its parts, with AsyncAPI's references."""
    text = json.dumps(schema()).replace('"#/$defs/', '"#/components/schemas/')
    message = json.loads(text)
    parts = message.pop("$defs")
    del message["$schema"], message["$id"]
    return {"ReadyForTest": message, **parts}
