"""The fields of an event that a set of patterns asks for.

A tree of the patterns' field steps guides one walk over the event, so that the cost follows the event's own keys and
never the number of patterns. `{"a.b": 1}` and `{"a": {"b": 1}}` are the same field, in patterns and in events.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field

from signalops.patterns.budget import MAX_VALUES, Budget


def _path(text: str) -> str:
    if not all(text.split(".")) or len(text.split(".")) > 64 or not text.isprintable():
        raise ValueError("must be the path of a field, such as payload.userId")
    return text


FieldPath = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_path), Field(examples=["payload.userId"])]
GroupBy = Annotated[list[FieldPath], Field(max_length=5, description="Counted apart for each value of these fields.")]

_OWN = ("type", "source", "occurredAt", "payload")


def flattened(event: Mapping[str, Any], attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an event with the attributes of a CloudEvent, such as its own id.

    An attribute can't take the place of what every event has.
    """
    return event if attributes is None else {**attributes, **{name: event[name] for name in _OWN}}


_SCANNED = 8
"""Elements of a plain array that are passed in the time of a step."""
Place = tuple[int, int]  # (which array of the event, index of the element)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One value of a field, and the elements of arrays it lies in, outermost first.

    A scalar directly in an array lies in no element: ["x", "y"] puts no bond on other fields.
    """

    value: object
    places: tuple[Place, ...] = ()


class MultiValue(list[object]):
    """The values of a field that has several, or that stands in an array."""


class _Node(NamedTuple):
    path: str | None
    below: "Tree"


Tree = dict[str, _Node]


def grow_tree(paths: Iterable[str]) -> Tree:
    """The tree of the given field paths."""
    tree: Tree = {}
    for path in paths:
        *parents, last = path.split(".")
        level = tree
        for step in parents:
            level = level.setdefault(step, _Node(None, {})).below
        level[last] = _Node(path, level[last].below if last in level else {})
    return tree


def scan(tree: Tree, event: Mapping[str, object], found: dict[str, object], budget: Budget) -> bool:
    """Collect the values of plain events into `found`: path to a scalar, or to MultiValue.

    Returns False, with `found` half filled, when an array of objects makes it matter which element a value lies in:
    then only `collect` is exact.
    """
    for step, value in event.items():
        node = tree.get(step)
        if node is None and ("." not in step or (node := _descend(tree, step)) is None):
            continue
        path, below = node
        if isinstance(value, dict):
            if below and not scan(below, value, found, budget):
                return False
        elif isinstance(value, list):
            if not _scan_list(node, value, found, budget):
                return False
        elif path is not None:
            if path in found:
                _add(found, path, value)
            else:
                found[path] = value
    return True


def _scan_list(node: _Node, values: list[object], found: dict[str, object], budget: Budget) -> bool:
    waiting = [values]
    while waiting:
        taken = waiting.pop()
        budget.spend(1 + len(taken) // _SCANNED)
        for value in taken:
            if isinstance(value, dict):
                if node.below:
                    return False
            elif isinstance(value, list):
                waiting.append(value)
            elif node.path is not None:
                _add(found, node.path, value)
    return True


def _add(found: dict[str, object], path: str, value: object) -> None:
    earlier = found.get(path, MultiValue())
    many = earlier if isinstance(earlier, MultiValue) else MultiValue([earlier])
    if len(many) < MAX_VALUES:
        many.append(value)
    found[path] = many


def collect(tree: Tree, event: Mapping[str, object], budget: Budget) -> dict[str, list[Occurrence]]:
    """The first values of the fields asked for, with their places in arrays, in the order of a breadth-first walk.

    Arrays at one field are one array, also where it is written in two ways: as two they would multiply the choices of elements.
    """
    found: dict[str, list[Occurrence]] = {}
    arrays: dict[tuple[int, tuple[Place, ...]], tuple[int, int]] = {}
    waiting: deque[tuple[_Node, object, tuple[Place, ...]]] = deque(_children(tree, event, ()))
    while waiting:
        node, value, places = waiting.popleft()
        budget.spend(1)
        if isinstance(value, dict):
            waiting.extend(_children(node.below, value, places))
        elif isinstance(value, list):
            array, first = arrays.get((id(node), places), (len(arrays), 0))
            arrays[id(node), places] = array, first + len(value)
            for index, element in enumerate(value, first):
                nested = isinstance(element, dict | list)
                waiting.append((node, element, (*places, (array, index)) if nested else places))
        elif node.path is not None:
            occurrences = found.setdefault(node.path, [])
            if len(occurrences) < MAX_VALUES:
                occurrences.append(Occurrence(value, places))
    return found


def _children(
    tree: Tree, event: Mapping[str, object], places: tuple[Place, ...]
) -> Iterable[tuple[_Node, object, tuple[Place, ...]]]:
    for step, value in event.items():
        node = tree.get(step) or _descend(tree, step)
        if node is not None:
            yield node, value, places


def _descend(tree: Tree, dotted: str) -> _Node | None:
    node = _Node(None, tree)
    for step in dotted.split("."):
        following = node.below.get(step)
        if following is None:
            return None
        node = following
    return node
