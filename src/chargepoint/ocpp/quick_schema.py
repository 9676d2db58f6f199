"""A schema compiled to plain functions that say "certainly valid", many times as fast as `jsonschema`.

What the charge point sends is checked before it leaves, and after a week offline that is tens of thousands of
messages. A compiled check only ever says yes: anything else, also a rule it does not know, is left to `jsonschema`,
which finds out what is wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from chargepoint.ocpp.timestamps import from_text

Check = Callable[[Any], bool]
"""True: valid. False: perhaps not."""
Schema = Mapping[str, Any]

_UNCONSTRAINED: Final = frozenset({"$schema", "id", "$id", "title", "description", "comment", "definitions"})
_OF_OTHERS: Final = frozenset({"properties", "required", "additionalProperties", "additionalItems"})
"""Rules for objects and tuples, without effect where the official schemas have them elsewhere."""
_TYPES: Final[Mapping[str, Check]] = {
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) is int or type(value) is float,
    "boolean": lambda value: type(value) is bool,
}


class _UnknownRule(Exception):
    """A keyword or a use of one that is not compiled here."""


def compiled(schema: Schema) -> Check | None:
    """The check of a whole message's schema, or None when it has a rule that is not compiled here."""
    try:
        return _compile(schema, schema)
    except _UnknownRule:
        return None


def _compile(schema: Schema, root: Schema) -> Check:
    if "$ref" in schema:
        start, _, name = schema["$ref"].rpartition("/")
        if start != "#/definitions":
            raise _UnknownRule(schema["$ref"])
        return _compile(root["definitions"][name], root)
    rules = {word: value for word, value in schema.items() if word not in _UNCONSTRAINED}
    kind = rules.pop("type", None)
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _UnknownRule(f"type {kind}")
    if kind == "object":
        return _object(rules, root)
    if kind == "array":
        return _array(rules, root)
    of_type = _TYPES[kind]
    checks = [_plain(kind, word, value) for word, value in rules.items() if word not in _OF_OTHERS]
    if not checks:
        return of_type
    first = checks[0]
    if len(checks) == 1:
        return lambda value: of_type(value) and first(value)
    return lambda value: of_type(value) and all(check(value) for check in checks)


def _object(rules: dict[str, Any], root: Schema) -> Check:
    properties = {name: _compile(schema, root) for name, schema in rules.pop("properties", {}).items()}
    required = frozenset(rules.pop("required", ()))
    closed = rules.pop("additionalProperties", True) is False
    if rules or not closed:
        raise _UnknownRule(f"an open object, or {', '.join(rules)}")

    def check(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys():
            return False
        for name, item in value.items():
            known = properties.get(name)
            if known is None or not known(item):
                return False
        return True

    return check


def _array(rules: dict[str, Any], root: Schema) -> Check:
    items = rules.pop("items", None)
    least, most = rules.pop("minItems", 0), rules.pop("maxItems", float("inf"))
    if not rules.keys() <= _OF_OTHERS or not isinstance(items, dict):
        raise _UnknownRule(f"an array of anything, or {', '.join(rules)}")
    item = _compile(items, root)
    return lambda value: type(value) is list and least <= len(value) <= most and all(map(item, value))


def _plain(kind: str, word: str, limit: Any) -> Check:
    """A rule for a string or a number, whose type is already known to be right."""
    if kind == "string" and word == "maxLength":
        return lambda value: len(value) <= limit
    if kind == "string" and word == "enum":
        return frozenset(limit).__contains__
    if kind == "string" and word == "format" and limit == "date-time":
        return _is_date_time
    if kind == "string" and word == "format" and limit == "uri":
        return lambda value: True  # `jsonschema` is not asked to check this one either
    raise _UnknownRule(word)


def _is_date_time(text: str) -> bool:
    try:
        from_text(text)
    except ValueError:
        return False
    return True
