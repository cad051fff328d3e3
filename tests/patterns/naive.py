"""A second matcher, simple and slow, that shares nothing with the product: every choice of values is tried.

It reads the pattern's JSON itself and is meant for small patterns and events without hostile shapes.
"""

import ipaddress
import re
from fractions import Fraction
from itertools import product
from typing import Any

Placed = tuple[Any, dict[int, int]]


def naive_match(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    fields = _flatten(event)
    return any(_branch_matches(branch, fields) for branch in _branches(pattern, "", [{}]))


def _branches(pattern: dict[str, Any], prefix: str, so_far: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for name, inner in pattern.items():
        if name == "$or":
            so_far = [done for alternative in inner for done in _branches(alternative, prefix, so_far)]
        elif isinstance(inner, dict):
            so_far = _branches(inner, f"{prefix}{name}.", so_far)
        else:
            so_far = [{**one, f"{prefix}{name}": inner} for one in so_far]
    return so_far


def _flatten(event: dict[str, Any]) -> dict[str, list[Placed]]:
    fields: dict[str, list[Placed]] = {}
    arrays = 0

    def walk(value: Any, path: str, places: dict[int, int]) -> None:
        nonlocal arrays
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, f"{path}.{name}" if path else name, places)
        elif isinstance(value, list):
            arrays += 1
            number = arrays
            for index, element in enumerate(value):
                walk(element, path, {**places, number: index} if isinstance(element, dict | list) else places)
        else:
            fields.setdefault(path, []).append((value, places))

    walk(event, "", {})
    return fields


def _branch_matches(branch: dict[str, Any], fields: dict[str, list[Placed]]) -> bool:
    paths = sorted(branch)
    choices = [[*fields.get(path, []), None] for path in paths]
    return any(_choice_fits(branch, paths, choice, fields) for choice in product(*choices))


def _choice_fits(branch: dict[str, Any], paths: list[str], choice: Any, fields: dict[str, list[Placed]]) -> bool:
    settled: dict[int, int] = {}
    for path, placed in zip(paths, choice, strict=True):
        if placed is None:
            absent = {"exists": False} in branch[path]
            if not absent or any(_agree(settled, places) for _, places in fields.get(path, [])):
                return False
            continue
        value, places = placed
        if not _agree(settled, places) or not any(_satisfies(value, condition) for condition in branch[path]):
            return False
        settled = {**settled, **places}
    return True


def _agree(settled: dict[int, int], places: dict[int, int]) -> bool:
    return all(settled.get(array, index) == index for array, index in places.items())


def _satisfies(value: Any, condition: Any) -> bool:  # noqa: PLR0911
    if not isinstance(condition, dict):
        return _same_address(value, condition) if _address(condition) else _equal(value, condition)
    ((name, operand),) = condition.items()
    if name == "exists":
        return bool(operand)
    if name == "anything-but":
        excluded = operand if not isinstance(operand, dict) else next(iter(operand.values()))
        kind = "exactly" if not isinstance(operand, dict) else next(iter(operand))
        listed = excluded if isinstance(excluded, list) else [excluded]
        return not any(_satisfies(value, {kind: one}) for one in listed)
    if name == "exactly":
        return _equal(value, operand)
    if name == "numeric":
        return (
            _is_number(value)
            and float(value) == value
            and all(
                _compare(Fraction(value), sign, Fraction(bound)) for sign, bound in zip(operand[::2], operand[1::2], strict=True)
            )
        )
    if name == "cidr":
        network, address = ipaddress.ip_network(operand, strict=False), _address(value)
        return address is not None and address.version == network.version and address in network
    return isinstance(value, str) and re.fullmatch(_regex(name, operand), value, re.DOTALL) is not None


def _regex(name: str, operand: Any) -> str:
    if isinstance(operand, dict):
        text = _cases(operand["equals-ignore-case"])
        return f"{text}.*" if name == "prefix" else f".*{text}"
    match name:
        case "prefix":
            return f"{re.escape(operand)}.*"
        case "suffix":
            return f".*{re.escape(operand)}"
        case "equals-ignore-case":
            return _cases(operand)
    parts = re.findall(r"\\.|[^\\]", operand, re.DOTALL)
    return "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)


def _cases(text: str) -> str:
    return "".join(f"(?:{re.escape(char.lower())}|{re.escape(char.upper())})" for char in text)


def _equal(value: Any, other: Any) -> bool:
    if _is_number(value) and _is_number(other):
        return Fraction(value) == Fraction(other)
    return type(value) is type(other) and value == other


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compare(value: Fraction, sign: str, bound: Fraction) -> bool:
    return {"=": value == bound, "<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[sign]


def _address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _same_address(value: Any, literal: Any) -> bool:
    address = _address(value)
    return address is not None and address == _address(literal)
