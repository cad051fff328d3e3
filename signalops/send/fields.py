"""Which fields of an event a template uses, by static analysis."""

from collections.abc import Iterator, Mapping

from liquid import Node, RenderContext
from liquid.builtin.expressions import LoopExpression, Path
from liquid.expression import Expression

from signalops.send import engine

_FIELDS = ("type", "source", "occurredAt", "payload")
# Liquid's own properties of lists and texts; the name of a field no less often, so below a field nothing is claimed of them.
_PROPERTIES = ("size", "first", "last")

_Scope = Mapping[str, str | None]
"""What a name stands for: the event's field, or (None) something else."""


def fields_of(template: Mapping[str, str]) -> frozenset[str]:
    """Return the fields of the event that a checked template refers to, dotted, such as `payload.email`.

    A loop's items are those of its list: `payload.items.sku`. An index is left out, as is what follows a computed name.
    What the template assigns or captures is not followed.
    """
    found: set[str] = set()
    for source in template.values():
        parsed = engine.parsed(source)
        static = RenderContext(parsed)
        scope: dict[str, str | None] = {name: name for name in _FIELDS}
        for node in parsed.nodes:
            found.update(_of_node(node, scope, static))
    return frozenset(found)


def _of_node(node: Node, scope: dict[str, str | None], static: RenderContext) -> Iterator[str]:
    loops = dict.fromkeys(map(str, node.block_scope()))
    for expression in node.expressions():
        yield from _of_expression(expression, scope)
        if isinstance(expression, LoopExpression) and isinstance(expression.iterable, Path):
            loops[expression.identifier] = _field(expression.iterable, scope)
    inner = {**scope, **loops} if loops else scope
    for child in node.children(static):
        yield from _of_node(child, inner, static)
    scope.update(dict.fromkeys(map(str, node.template_scope())))


def _of_expression(expression: Expression, scope: _Scope) -> Iterator[str]:
    if isinstance(expression, Path) and (field := _field(expression, scope)):
        yield field
    for child in expression.children():
        yield from _of_expression(child, scope)


def _field(path: Path, scope: _Scope) -> str | None:
    root, *rest = path.path
    field = scope.get(root) if isinstance(root, str) else None
    if field is None:
        return None
    for segment in rest:
        if isinstance(segment, int):
            continue
        if not isinstance(segment, str) or (segment in _PROPERTIES and "." in field):
            break
        field = f"{field}.{segment}"
    return field
