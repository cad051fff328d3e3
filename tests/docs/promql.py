"""Checks PromQL against the table of metrics: which labels does a query answer with, and is there what it asks for?"""

from collections.abc import Iterable
from functools import reduce, singledispatch

import promql_parser as promql

from signalops.watch.metrics.definitions import METRICS

_TARGET = frozenset({"job", "instance"})
"""The labels that Prometheus adds to whatever it scrapes."""
_ITS_OWN = {"up": _TARGET, "ALERTS": frozenset({"alertname", "alertstate", "severity"})}
_KEPT = {"topk", "bottomk", "limitk"}


def labels_of(query: str) -> frozenset[str]:
    """Return the labels of what a query answers; AssertionError when it asks for a metric or a label that there isn't."""
    return _labels(_parse(query))


def selectors_of(query: str) -> list[tuple[str, dict[str, str]]]:
    """Return the metrics that a query reads, named as in the table of metrics, each with the values asked for, by label."""
    found: list[promql.VectorSelector] = []

    def note(expr: promql.Expr) -> None:
        if isinstance(expr, promql.MatrixSelector):
            found.append(expr.vector_selector)
        if isinstance(expr, promql.VectorSelector):
            found.append(expr)

    promql.walk(_parse(query), note)
    return [(_named(one), {matcher.name: matcher.value for matcher in one.matchers.matchers}) for one in found]


def _parse(query: str) -> promql.Expr:
    return promql.parse(query.replace("$__rate_interval", "5m"))


@singledispatch
def _labels(expr: object) -> frozenset[str]:
    raise AssertionError(f"what is {expr!r}?")


@_labels.register(promql.NumberLiteral)
@_labels.register(promql.StringLiteral)
def _of_literal(_: object) -> frozenset[str]:
    return frozenset()


@_labels.register(promql.ParenExpr)
@_labels.register(promql.UnaryExpr)
@_labels.register(promql.SubqueryExpr)
def _of_wrapped(expr: promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr) -> frozenset[str]:
    return _labels(expr.expr)


@_labels.register
def _of_matrix(expr: promql.MatrixSelector) -> frozenset[str]:
    return _labels(expr.vector_selector)


@_labels.register
def _of_selector(selector: promql.VectorSelector) -> frozenset[str]:
    name = _named(selector)
    if name in _ITS_OWN:
        labels = _ITS_OWN[name]
    else:
        assert name in METRICS, f"there is no metric {name}"
        assert (METRICS[name].kind == "histogram") == (selector.name != name), f"{selector.name} is never exposed"
        labels = _TARGET.union(METRICS[name].labels, {"le"} if str(selector.name).endswith("_bucket") else ())
    _require(labels, (matcher.name for matcher in selector.matchers.matchers), name)
    return labels


@_labels.register
def _of_aggregate(expr: promql.AggregateExpr) -> frozenset[str]:
    labels = _labels(expr.expr)
    if expr.modifier is None:
        return labels if str(expr.op) in _KEPT else frozenset()
    named = frozenset(expr.modifier.labels)
    _require(labels, named, expr.prettify())
    return named if expr.modifier.type == promql.AggModifierType.By else labels - named


@_labels.register
def _of_binary(expr: promql.BinaryExpr) -> frozenset[str]:
    left, right = _labels(expr.lhs), _labels(expr.rhs)
    matching = expr.modifier.matching if expr.modifier else None
    if matching is not None:
        _require(left & right, matching.labels, expr.prettify())
    elif left and right:
        assert left == right, f"no pair is found: {expr.prettify()}"
    return left


@_labels.register
def _of_call(expr: promql.Call) -> frozenset[str]:
    if expr.func.name == "absent":
        return frozenset()
    labels = reduce(frozenset.union, map(_labels, expr.args), frozenset[str]())
    if expr.func.name == "histogram_quantile":
        _require(labels, {"le"}, expr.prettify())
        return labels - {"le"}
    return labels


def _named(selector: promql.VectorSelector) -> str:
    assert selector.name, "a query names its metric"
    base, _, part = selector.name.rpartition("_")
    is_part = base in METRICS and METRICS[base].kind == "histogram" and part in {"bucket", "sum", "count"}
    return base if is_part else selector.name


def _require(labels: frozenset[str], names: Iterable[str], where: str) -> None:
    unknown = set(names) - labels
    assert not unknown, f"{where} has no label {', '.join(sorted(unknown))}"
