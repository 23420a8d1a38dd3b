"""The AsyncAPI document of the topic, docs/asyncapi.yaml: its template, and what the code knows."""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from cki_notifier.message.contract import CI, VERSION, schema
from cki_notifier.notification.models import Stage
from tools.documentation.examples import record

_TEMPLATE: Final = Path(__file__).with_name("asyncapi.template.yaml")
_HEAD: Final = f"# Made by `python -m tools.documentation` of {_TEMPLATE.name}: don't edit it.\n"
#: What each stage's message is called.
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
    # By way of JSON, so that parts that occur twice are written twice, not as YAML's anchors.
    text = json.dumps(document)
    return _HEAD + yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=100)


def headers() -> dict[str, dict[str, str]]:
    """Return the JSON Schema of each header, in the order in which they are sent."""
    said: dict[str, dict[str, str]] = _template()["components"]["schemas"]["Headers"]["properties"]
    return said


def _template() -> Any:
    return yaml.safe_load(_TEMPLATE.read_text("utf-8"))


def _schemas() -> dict[str, Any]:
    """Return the message's schema and its parts', which refer to where AsyncAPI keeps schemas."""
    text = json.dumps(schema()).replace('"#/$defs/', '"#/components/schemas/')
    message = json.loads(text)
    parts = message.pop("$defs")
    del message["$schema"], message["$id"]
    return {"ReadyForTest": message, **parts}
