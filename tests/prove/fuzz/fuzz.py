"""Requests generated from the OpenAPI document by schemathesis, valid and invalid; answers are validated against the document."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as conformance
from schemathesis.specs.openapi import schemas

_LOADED_HERE = schemas
"""In the main thread: loaded at first use, in the thread that asks, it was parsed beside another module now and then, which
Python 3.11 does not survive (AST constructor recursion depth mismatch)."""
_CHECKS = [
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]


@dataclass
class Fuzz:
    """What is asked: as whom, how often each operation and from which seed, about which object sometimes.

    It holds at the end how often which status was answered.
    """

    url: str
    headers: Mapping[str, str]
    examples: int
    seed: int
    thing: str
    statuses: Counter[int] = field(default_factory=Counter)
    hear: Callable[[Response], None] = lambda _: None

    def run(self, document: dict[str, Any], is_tested: Callable[[str], bool] = lambda _: True) -> None:
        """Test the operations whose names are selected; raise the faults of all together."""
        faults: list[BaseException] = []
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            if not is_tested(operation.definition.raw["operationId"]):
                continue
            for mode in GenerationMode:
                try:
                    self._ask(operation, mode)
                except hypothesis.errors.Unsatisfiable:
                    pass  # nothing is wrong for an operation that takes everything
                except (Exception, BaseExceptionGroup) as fault:  # what schemathesis raises is a group
                    fault.add_note(f"{operation.label}, {mode.value}")
                    faults.append(fault)
        if faults:
            raise BaseExceptionGroup(f"seed {self.seed}", faults)

    def _ask(self, operation: Any, mode: GenerationMode) -> None:
        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=self.examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(operation.as_strategy(generation_mode=mode), strategies.booleans())
        def check_answer(case: schemathesis.Case[Any], is_real: bool) -> None:
            if is_real and "id" in (case.path_parameters or {}):
                case.path_parameters["id"] = self.thing
            answer = case.call(base_url=self.url, headers=dict(self.headers))
            self.statuses[answer.status_code] += 1
            self.hear(answer)
            case.validate_response(answer, checks=_CHECKS)
            media = answer.headers.get("content-type", [""])[0]
            assert answer.status_code < 400 or media == "application/problem+json", (answer.status_code, media)

        check_answer()
