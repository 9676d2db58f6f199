"""The compiled schemas say yes only where the official validator does, and to what is sent every day."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocpp.v16.enums import Action

from chargepoint.ocpp import quick_schema, schema

STRANGE = st.sampled_from([None, True, 0, -1, 1.5, 10**30, "", "x" * 600, [], {}, [{}], {"a": 1}, "2026-99-99T", b""])
DAILY = {
    ("request", "MeterValues"): {
        "connectorId": 1,
        "transactionId": 0,
        "meterValue": [
            {
                "timestamp": "2026-01-01T00:00:00.000Z",
                "sampledValue": [{"value": "1", "context": "Sample.Periodic", "phase": "L1-N", "unit": "V"}],
            }
        ],
    },
    ("request", "StartTransaction"): {
        "connectorId": 1,
        "idTag": "A",
        "meterStart": 0,
        "timestamp": "2026-01-01T00:00Z",
    },
    ("request", "StopTransaction"): {"meterStop": 1, "transactionId": 1, "timestamp": "2026-01-01T00:00:00Z"},
    ("response", "StartTransaction"): {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
    ("response", "MeterValues"): {},
}


def schema_of(direction: schema.Direction, action: str) -> dict[str, Any]:
    return schema._validator("1.6", direction, action).schema


def likely(rule: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Payloads that are mostly as the schema wants them."""
    if "$ref" in rule:
        rule = root["definitions"][rule["$ref"].rpartition("/")[2]]
    kind = rule.get("type")
    good: st.SearchStrategy[Any]
    if "enum" in rule:
        good = st.sampled_from(rule["enum"])
    elif rule.get("format") == "date-time":
        good = st.datetimes().map(lambda at: at.isoformat() + "Z")
    elif kind == "object":
        fields = {name: likely(value, root) for name, value in rule.get("properties", {}).items()}
        required = {name: fields.pop(name) for name in rule.get("required", ()) if name in fields}
        good = st.fixed_dictionaries(required, optional=fields)
    elif kind == "array":
        good = st.lists(likely(rule["items"], root), max_size=3)
    else:
        plain = {
            "integer": st.integers(),
            "boolean": st.booleans(),
            "number": st.floats(),
            "string": st.text(max_size=30),
        }
        good = plain[kind]
    return st.integers(0, 30).flatmap(lambda chance: STRANGE if chance == 0 else good)


@pytest.mark.parametrize("direction", ["request", "response"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_called_valid_is_valid(direction: schema.Direction, data: st.DataObject) -> None:
    action = data.draw(st.sampled_from([action.value for action in Action]))
    rule = schema_of(direction, action)
    check = quick_schema.compiled(rule)
    payload = data.draw(likely(rule, rule))
    if check is not None:
        assert check(payload) == (not list(schema._validator("1.6", direction, action).iter_errors(payload)))


@pytest.mark.parametrize(("direction", "action"), list(DAILY))
def test_everyday_messages_are_checked_quickly(direction: schema.Direction, action: str) -> None:
    check = quick_schema.compiled(schema_of(direction, action))
    assert check is not None
    payload = DAILY[direction, action]
    assert check(payload)
    assert not check({**payload, "unknown": 1})
    for field in schema_of(direction, action).get("required", ()):
        assert not check({name: value for name, value in payload.items() if name != field})


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "string", "pattern": "a"},
        {"type": ["string", "null"]},
        {"type": "object", "properties": {}, "oneOf": []},
        {"type": "array", "items": [{"type": "string"}]},
        {"$ref": "elsewhere"},
    ],
)
def test_a_rule_that_is_not_known_is_left_to_the_validator(rule: dict[str, Any]) -> None:
    assert quick_schema.compiled(rule) is None
