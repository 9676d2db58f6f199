"""The official JSON schemas as the two sides of Postel's rule: strict for what we send, liberal for what we get.

The schemas are those of the `ocpp` package. `normalise` removes from a received payload what a lenient reader
ignores (fields the schema does not know, nulls in place of absent fields, 3.0 where 3 is meant); `check`
names the first violation with the error code a CALLERROR carries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal

import jsonschema
from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft4Validator, extend
from ocpp.messages import get_validator

from chargepoint.ocpp import quick_schema
from chargepoint.ocpp.timestamps import from_text

Direction = Literal["request", "response"]
_MESSAGE_TYPE: Final[Mapping[Direction, int]] = {"request": 2, "response": 3}

TYPE = "TypeConstraintViolation"
PROPERTY = "PropertyConstraintViolation"
OCCURRENCE = "OccurenceConstraintViolation"
FORMATION = "FormationViolation"
PROTOCOL = "ProtocolError"

_CODE_OF_KEYWORD: Final[Mapping[str, str]] = {
    "type": TYPE,
    "format": TYPE,
    "required": PROTOCOL,
    "minItems": OCCURRENCE,
    "maxItems": OCCURRENCE,
    "minProperties": OCCURRENCE,
    "enum": PROPERTY,
    "maxLength": PROPERTY,
    "minLength": PROPERTY,
    "minimum": PROPERTY,
    "maximum": PROPERTY,
    "multipleOf": PROPERTY,
}
"""Which rule of a schema is which code of 1.6J table 7 (4.2.3), spelled as there."""

MAX_TEXT: Final = 255


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with a payload. `code` is an error code in the spelling of 1.6J."""

    code: str
    text: str
    keyword: str


def _multiple_of(validator: Any, divisor: Decimal, instance: Any, schema: Any) -> Any:
    """21.4 is a multiple of 0.1, whatever binary fractions say."""
    if not validator.is_type(instance, "number"):
        return
    quotient = float(instance) / float(divisor)
    if abs(quotient - round(quotient)) > 1e-6 * max(1.0, abs(quotient)):
        yield ValidationError(f"{instance} is not a multiple of {divisor}")


_FORMATS: Final = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date_time(value: object) -> bool:
    if isinstance(value, str):
        from_text(value)
    return True


_Validator: Final = extend(Draft4Validator, {"multipleOf": _multiple_of})


@lru_cache(maxsize=256)
def _validator(version: str, direction: Direction, action: str) -> Any:
    # The package keeps what it has loaded, and itself wants decimals where a message has fractions.
    loaded = get_validator(_MESSAGE_TYPE[direction], action, version, parse_float=Decimal)
    return _Validator(loaded.schema, format_checker=_FORMATS)


@lru_cache(maxsize=256)
def _quick(version: str, direction: Direction, action: str) -> quick_schema.Check | None:
    return quick_schema.compiled(_validator(version, direction, action).schema)


def check(version: str, direction: Direction, action: str, payload: Any) -> Violation | None:
    """The first violation of the schema of a known action's message, or None. Structural ones come first."""
    quick = _quick(version, direction, action)
    if quick is not None and quick(payload):
        return None
    found: Violation | None = None
    for error in _validator(version, direction, action).iter_errors(payload):
        place = ".".join(str(part) for part in error.absolute_path)
        text = f"{place}: {error.message}" if place else str(error.message)
        violation = Violation(_CODE_OF_KEYWORD.get(error.validator, FORMATION), text[:MAX_TEXT], error.validator)
        if violation.code in (PROTOCOL, TYPE):
            return violation
        found = found or violation
    return found


def normalise(version: str, direction: Direction, action: str, payload: Any) -> Any:
    """A copy of a received payload without what a lenient reader ignores."""
    root = _validator(version, direction, action).schema
    return _normalise(payload, root, root)


def _normalise(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        return _normalise_object(value, schema, root)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [_normalise(item, schema["items"], root) for item in value]
    if isinstance(value, float) and schema.get("type") == "integer" and value.is_integer():
        return int(value)
    return value


def _normalise_object(value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    open_ended = schema.get("additionalProperties", True) is not False
    result = {}
    for name, item in value.items():
        if name not in properties:
            if open_ended:
                result[name] = item
        elif item is not None or name in required:
            result[name] = _normalise(item, properties[name], root)
    return result
