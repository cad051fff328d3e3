"""The operators of the EventBridge event-pattern language: from their JSON to a condition, or a PatternError."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from signalops.patterns.address import read_address
from signalops.patterns.conditions import (
    Absent,
    AnythingBut,
    Condition,
    Equals,
    Exists,
    IgnoringCase,
    Network,
    Prefix,
    Range,
    Suffix,
    Wildcard,
)
from signalops.patterns.errors import PatternError, unknown_operator
from signalops.patterns.text import comparable

MAX_STARS = 64

Reader = Callable[[object, str], Condition]


def read_condition(item: object, path: str) -> Condition:
    """One item of a leaf's list: a literal, or an object with exactly one operator."""
    if isinstance(item, Mapping):
        name, operand = _only_entry(item, path)
        reader = OPERATORS.get(name)
        if reader is None:
            raise unknown_operator(path, name, OPERATORS)
        return reader(operand, f"{path}.{name}")
    return _literal(item, path)


def _literal(item: object, path: str) -> Condition:
    if isinstance(item, str):
        address = read_address(item)
        return Equals(item) if address is None else Network(address.bits, address.value, address.value)
    if isinstance(item, float) and comparable(item) is None:
        raise PatternError(path, "the number is not finite", "write a JSON number")
    if item is None or isinstance(item, bool | int | float | Decimal):
        return Equals(item)
    raise PatternError(path, "a list inside the list", "write the values side by side in one list")


def _only_entry(item: Mapping[str, object], path: str) -> tuple[str, object]:
    if len(item) != 1:
        raise PatternError(path, f"{len(item)} operators in one object", "write one object for each operator")
    return next(iter(item.items()))


def _text(operand: object, path: str) -> str:
    if not isinstance(operand, str):
        raise PatternError(path, "the operand is not a string", "write a string in quotes")
    return operand


def _exactly(operand: object, path: str) -> Condition:
    return Equals(_text(operand, path))


def _prefix(operand: object, path: str) -> Condition:
    if isinstance(operand, Mapping):
        return IgnoringCase(_inside(operand, path), "head")
    return Prefix(_text(operand, path))


def _suffix(operand: object, path: str) -> Condition:
    if isinstance(operand, Mapping):
        return IgnoringCase(_inside(operand, path), "tail")
    return Suffix(_text(operand, path))


def _inside(operand: Mapping[str, object], path: str) -> str:
    name, text = _only_entry(operand, path)
    if name != "equals-ignore-case":
        raise unknown_operator(path, name, ["equals-ignore-case"])
    return _text(text, f"{path}.{name}")


def _equals_ignore_case(operand: object, path: str) -> Condition:
    return IgnoringCase(_text(operand, path))


def _wildcard(operand: object, path: str) -> Condition:
    text = _text(operand, path)
    signs = re.findall(r"\\[*\\]|.", text, re.DOTALL)
    pieces = [""]
    for position, sign in enumerate(signs):
        if sign == "\\":
            raise PatternError(path, "a backslash that escapes neither * nor \\", "write \\\\ for a backslash")
        if sign == "*" and signs[position + 1 : position + 2] == ["*"]:
            raise PatternError(path, "two stars side by side", "write one star: it stands for any text")
        if sign == "*":
            pieces.append("")
        else:
            pieces[-1] += sign[-1]
    if len(pieces) > MAX_STARS + 1:
        raise PatternError(path, f"{len(pieces) - 1} stars", f"use at most {MAX_STARS} stars in one wildcard")
    return Wildcard(tuple(pieces))


def _exists(operand: object, path: str) -> Condition:
    if not isinstance(operand, bool):
        raise PatternError(path, "the operand is neither true nor false", "write true or false")
    return Exists() if operand else Absent()


def _cidr(operand: object, path: str) -> Condition:
    parts = re.fullmatch(r"([^/]*)/\+?([0-9]{1,9})", _text(operand, path))
    address = read_address(parts[1]) if parts else None
    if parts is None or address is None:
        raise PatternError(path, "not a network", "write an address and the bits of its mask, as in 10.0.0.0/8")
    mask_bits = int(parts[2])
    if mask_bits >= address.bits:
        remedy = f"write 0 to {address.bits - 1}; for one address write it as a literal"
        raise PatternError(path, f"{mask_bits} mask bits", remedy)
    hosts = (1 << (address.bits - mask_bits)) - 1
    return Network(address.bits, address.value & ~hosts, address.value | hosts)


def _numeric(operand: object, path: str) -> Condition:
    if not isinstance(operand, list | tuple):
        raise PatternError(path, "the operand is not a list", 'write a list such as [">", 0, "<=", 5]')
    if len(operand) not in (2, 4):
        raise PatternError(path, f"{len(operand)} elements", 'write one comparison, or two as in [">", 0, "<=", 5]')
    sign, number = operand[0], _number(operand[1], path)
    if len(operand) == 4:
        return _between(sign, number, operand[2], _number(operand[3], path), path)
    match sign:
        case "=":
            return Equals(number)
        case ">" | ">=":
            return Range(low=number, low_open=sign == ">")
        case "<" | "<=":
            return Range(high=number, high_open=sign == "<")
    raise unknown_operator(path, sign, ["=", "<", "<=", ">", ">="])


def _between(below: object, low: float, above: object, high: float, path: str) -> Condition:
    if below not in (">", ">=") or above not in ("<", "<="):
        raise PatternError(path, "not a range", "write the lower bound first, with > or >=, then the upper, with < or <=")
    if low >= high:
        raise PatternError(path, "the lower bound is not below the upper", 'swap them, or write ["=", number]')
    return Range(low, high, below == ">", above == "<")


def _number(operand: object, path: str) -> float:
    if isinstance(operand, str):
        raise PatternError(path, f"a bound is a string, {operand[:20]!r}", "write a number without quotes, such as 100")
    number = comparable(operand)
    if number is None:
        raise PatternError(path, "a bound is not a number that a double represents exactly", "write a smaller JSON number")
    return number


def _anything_but(operand: object, path: str) -> Condition:
    if isinstance(operand, Mapping):
        name, inner = _only_entry(operand, path)
        reader = _EXCLUDABLE.get(name)
        if reader is None:
            raise unknown_operator(path, name, _EXCLUDABLE)
        return AnythingBut(tuple(reader(text, f"{path}.{name}") for text in _values(inner, path)))
    values = _values(operand, path)
    if all(isinstance(value, str) for value in values):
        return AnythingBut(tuple(Equals(value) for value in values if isinstance(value, str)))
    if any(isinstance(value, str) for value in values):
        raise PatternError(path, "strings and numbers mixed", "write two rules, or values of one type")
    return AnythingBut(tuple(Equals(_number(value, path)) for value in values))


def _values(operand: object, path: str) -> list[object]:
    values = list(operand) if isinstance(operand, list | tuple) else [operand]
    if not values:
        raise PatternError(path, "an empty list", "name at least one value, or remove the condition")
    return values


def _excluded_prefix(operand: object, path: str) -> Condition:
    return Prefix(_nonempty(operand, path))


def _excluded_suffix(operand: object, path: str) -> Condition:
    return Suffix(_nonempty(operand, path))


def _nonempty(operand: object, path: str) -> str:
    text = _text(operand, path)
    if not text:
        raise PatternError(path, "an empty string, which would exclude every string", "write at least one character")
    return text


OPERATORS: dict[str, Reader] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
}

_EXCLUDABLE: dict[str, Reader] = {
    "prefix": _excluded_prefix,
    "suffix": _excluded_suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
}
