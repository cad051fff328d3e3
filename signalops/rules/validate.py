"""Validates a rule before it is stored: errors, and warnings about probable mistakes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, Protocol, TypedDict

from signalops.errors import Invalid
from signalops.patterns import Pattern, PatternError, compile_pattern, upgrade
from signalops.rules.rule_models import RuleDraft
from signalops.types import ChannelKind, TenantId


class Fault(TypedDict):
    """What makes a rule impossible: where, what, and often what to do about it."""

    path: str
    message: str
    remedy: NotRequired[str]


class RenderContext(NamedTuple):
    """The variables of a template, as signalops.send reads them."""

    event: Mapping[str, Any]
    rule: Mapping[str, Any]
    kind: Literal["event", "digest", "absence"]
    window: Mapping[str, Any] | None
    listed: Sequence[Mapping[str, Any]]
    time_zone: str = "UTC"


class Message(Protocol):
    """A message as a person reads it."""

    @property
    def subject(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def html(self) -> str | None: ...


class Templates(Protocol):
    """What `send` knows of templates. Packages don't import one another, so the composition root passes it in."""

    def check(self, template: Mapping[str, str]) -> None:
        """Refuse (Invalid) a template that could never be rendered."""

    def fields_of(self, template: Mapping[str, str]) -> frozenset[str]:
        """Return the fields of the event that a template reads, such as payload.email."""

    async def render(
        self, tenant: TenantId, channel: ChannelKind, template: Mapping[str, str], context: RenderContext
    ) -> Message:
        """Return the message as a kind of channel sends it; Invalid if that fails."""


def faults_of(draft: RuleDraft, templates: Templates) -> list[Fault]:
    """Return everything in a rule that makes it impossible; nothing is looked up."""
    return [*pattern_faults(draft.grammar, draft.pattern), *_template_faults(draft.template, templates)]


def pattern_faults(grammar: int, pattern: Mapping[str, Any]) -> list[Fault]:
    """Return what makes a pattern impossible."""
    try:
        compiled(grammar, pattern)
    except PatternError as error:
        path = ".".join(filter(None, ("pattern", error.path)))
        return [Fault(path=path, message=error.reason, remedy=error.remedy)]
    return []


def compiled(grammar: int, pattern: Mapping[str, Any]) -> Pattern:
    """Return the pattern of any grammar, compiled; PatternError."""
    return compile_pattern(upgrade(grammar, pattern))


def refuse(faults: list[Fault]) -> None:
    """Raise Invalid with all the faults, the first of them in its sentence; do nothing if there are none."""
    if faults:
        first = faults[0]
        sentence = f"{first['path']}: {first['message']}"
        raise Invalid(f"{sentence}; {first['remedy']}." if "remedy" in first else f"{sentence}.", errors=faults)


def pinned_types(pattern: Pattern) -> frozenset[str] | None:
    """Return the event types that a pattern asks for by name; None if it can match others."""
    pinned = [next((leaf.written for leaf in branch if leaf.path == "type"), None) for branch in pattern.branches]
    if any(written is None for written in pinned):
        return None
    names = [_literal(item) for written in pinned if written for item in written]
    return frozenset(name for name in names if name) if all(names) else None


def never_seen(draft: RuleDraft, pattern: Pattern, fields: frozenset[str], templates: Templates) -> list[tuple[str, str]]:
    """Return (path in the rule, field of the payload) for what a rule reads and no event of its types ever had.

    fields: the paths that they had, their steps joined by dots.
    """
    steps = [path.split(".") for path in fields]
    known = {".".join(path[:length]) for path in steps for length in range(1, len(path) + 1)}
    paths = {leaf.path: None for branch in pattern.branches for leaf in branch if not leaf.allows_absence}
    read = {part: sorted(templates.fields_of({part: text})) for part, text in draft.template.items()}
    in_pattern = [(f"pattern.{path}", path) for path in paths if _is_new(path, known)]
    return in_pattern + [(f"template.{part}", path) for part in read for path in read[part] if _is_new(path, known)]


def _is_new(path: str, known: set[str]) -> bool:
    # The catalogue of event types looks eight levels deep.
    return path.startswith("payload.") and path not in known and path.count(".") <= 8


def _literal(item: object) -> str | None:
    value = item.get("exactly") if isinstance(item, Mapping) and len(item) == 1 else item
    return value if isinstance(value, str) else None


def _template_faults(template: Mapping[str, str], templates: Templates) -> Iterator[Fault]:
    for part, text in template.items():
        try:
            templates.check({part: text})
        except Invalid as error:
            yield Fault(path=f"template.{part}", message=error.detail.removesuffix("."))
