"""The AsyncAPI document of the topic, made from the message's types: docs/asyncapi.yaml.

Source: the AsyncAPI specification 3.0.0, and its Kafka bindings 0.5.0.
"""

import json
from typing import Any, Final

import msgspec
import yaml

from cki_notifier.message.contract import CI, VERSION, schema
from cki_notifier.notification.models import Stage
from tools.documentation.examples import record
from tools.documentation.headers import HEADERS

TOPIC: Final = "kafka.tx.cki.ready-for-test"

_HEAD: Final = (
    "# Made by `python -m tools.documentation` from the code's own types: don't edit it.\n"
)
_BINDINGS: Final = "0.5.0"
#: By stage: what the message and the operation are called, and what they are about.
_NAMES: Final = {
    Stage.PRE_TEST: (
        "preTest",
        "announceBuilds",
        "The builds of a checkout are ready: outside testing can begin.",
    ),
    Stage.POST_TEST: (
        "postTest",
        "announceOutcome",
        "CKI's own testing of a checkout is over, or its outcome changed.",
    ),
}
#: What the message's JSON Schema has and an AsyncAPI schema does not.
_NOT_OURS: Final = ("$schema", "$id", "$defs")


def page() -> str:
    """Return the document as YAML."""
    # By way of JSON, so that parts that occur twice are written twice, not as YAML's anchors.
    text = json.dumps(_document())
    return _HEAD + yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=100)


def _document() -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {"readyForTest": _channel()},
        "operations": {_NAMES[stage][1]: _operation(stage) for stage in Stage},
        "components": {
            "messages": {_NAMES[stage][0]: _message(stage) for stage in Stage},
            "schemas": _schemas(),
        },
    }


def _info() -> dict[str, Any]:
    ci = CI()
    return {
        "title": "Kernels that are ready for outside tests",
        "version": VERSION,
        "description": (
            "What cki-notifier tells outside testers over Kafka. Delivery is at least once: drop "
            "records whose ce_id was seen before. The messages only ever grow by additions: ignore "
            "fields you don't know. The rest is in contract.md, beside this document."
        ),
        "contact": {"name": ci.name, "url": ci.docs, "email": ci.email},
        "license": {
            "name": "GPL-3.0-or-later",
            "url": "https://www.gnu.org/licenses/gpl-3.0.html",
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{host}:{port}",
        "protocol": "kafka-secure",
        "description": "The cluster that whoever runs cki-notifier told you of.",
        "variables": {
            "host": {"description": "One of its bootstrap servers."},
            "port": {"description": "Its port.", "default": "9093"},
        },
    }


def _channel() -> dict[str, Any]:
    return {
        "address": TOPIC,
        "title": "Kernels that are ready for test",
        "description": "All records about one checkout have its id as key, so they are in order.",
        "messages": {name: _reference("messages", name) for name, _, _ in _NAMES.values()},
        "bindings": {"kafka": {"topic": TOPIC, "bindingVersion": _BINDINGS}},
    }


def _operation(stage: Stage) -> dict[str, Any]:
    name, _, summary = _NAMES[stage]
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/readyForTest"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/readyForTest/messages/{name}"}],
    }


def _message(stage: Stage) -> dict[str, Any]:
    """Return a message; what tells its stage apart from the other are constants."""
    name, _, summary = _NAMES[stage]
    example = record(stage)
    finished = stage is Stage.POST_TEST
    kind = {"const": example.headers["ce_type"]}
    return {
        "name": name,
        "title": f"{stage.capitalize()} message",
        "summary": summary,
        "contentType": "application/json",
        "headers": {"allOf": [_reference("schemas", "Headers"), {"properties": {"ce_type": kind}}]},
        "payload": {
            "allOf": [
                _reference("schemas", "ReadyForTest"),
                {"properties": {"cki_finished": {"const": finished}}},
            ]
        },
        "bindings": {"kafka": {"key": _key(), "bindingVersion": _BINDINGS}},
        "examples": [
            {
                "name": name,
                "summary": "About a merge request's checkout.",
                "headers": example.headers,
                "payload": msgspec.json.decode(example.value),
            }
        ],
    }


def _key() -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": "The checkout's id, in UTF-8."}


def _schemas() -> dict[str, Any]:
    document = schema()
    definitions = {"ReadyForTest": document} | document["$defs"]
    for keyword in _NOT_OURS:
        del document[keyword]
    return {name: _relocated(part) for name, part in definitions.items()} | {"Headers": _headers()}


def _headers() -> dict[str, Any]:
    return {
        "title": "Headers",
        "description": "CloudEvents 1.0, Kafka protocol binding, binary content mode.",
        "type": "object",
        "properties": {
            name: {**header.schema, "description": header.meaning}
            for name, header in HEADERS.items()
        },
        "required": list(HEADERS),
    }


def _relocated(part: Any) -> Any:
    """Return a part of the schema with its references to where AsyncAPI keeps schemas."""
    if isinstance(part, list):
        return [_relocated(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _reference("schemas", part["$ref"].removeprefix("#/$defs/"))
    return {name: _relocated(each) for name, each in part.items()}


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
