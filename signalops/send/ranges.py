"""Ranges of Liquid, bounded when they are evaluated: `(1..N) contains 1.5` is one call into C, which nothing interrupts."""

from collections.abc import Iterable, Iterator

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import LiquidValueError
from liquid.expression import Expression

MAX_NUMBERS = 10_000


class BoundedRange(RangeLiteral):
    """A range that is an error when it has more than 10,000 numbers."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        numbers = super().evaluate(context)
        if numbers.stop - numbers.start > MAX_NUMBERS:
            raise LiquidValueError(f"a range has more than {MAX_NUMBERS} numbers", token=None)
        return numbers


def bound_ranges(template: BoundTemplate) -> None:
    """Bound every range of a compiled template. The parser makes them itself, and has no place for another class."""
    for found in parts_of(template):
        if type(found) is RangeLiteral:
            found.__class__ = BoundedRange


def parts_of(template: BoundTemplate) -> Iterator[Node | Expression]:
    """Yield all that a compiled template is made of."""
    context = RenderContext(template)
    waiting: list[Node | Expression] = list(template.nodes)
    while waiting:
        found = waiting.pop()
        yield found
        waiting += _within(found, context)


def _within(found: Node | Expression, context: RenderContext) -> Iterable[Node | Expression]:
    if isinstance(found, Expression):
        return found.children()
    return [*found.children(context), *found.expressions()]
