"""Amounts of money: format and rounding."""

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Annotated

from babel.numbers import get_currency_precision, list_currencies
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

EXACT = Context(prec=60)
"""More digits than any amount has: 15 before the point and 12 behind it, times a quantity of as many."""
_DECIMAL = re.compile(r"\d{1,15}(?:\.\d{1,12})?", re.ASCII)


def _exact(value: object) -> object:
    """Read a decimal from a text or a whole number; a float of JSON is refused, since 0.1 is none of its values."""
    text = value if isinstance(value, str) else format(value, "f") if isinstance(value, Decimal) else repr(value)
    if isinstance(value, float) or not _DECIMAL.fullmatch(text):
        raise ValueError('must be a decimal as a string, such as "49.00": at most 15 digits, and 12 behind the point')
    return Decimal(text)


Exact = Annotated[Decimal, PlainSerializer(lambda number: format(number, "f"), return_type=str, when_used="json")]
"""A decimal that is a string in JSON, without an exponent."""
Number = Annotated[Exact, BeforeValidator(_exact, json_schema_input_type=str | int)]
"""A decimal of 0 or more that is read from a string, or from a whole number."""
PositiveNumber = Annotated[Number, Field(gt=0)]


@cache
def known_currencies() -> frozenset[str]:
    """Return the codes (ISO 4217) of all currencies there are or were: what was agreed upon stays readable."""
    return frozenset(list_currencies())


def _known(code: str) -> str:
    if code not in known_currencies():
        raise ValueError("is no currency; write a code of ISO 4217, such as EUR or USD")
    return code


Currency = Annotated[str, AfterValidator(_known), Field(description="ISO 4217.", examples=["EUR"])]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round an amount half up (away from zero) to the minor unit of a currency, as CLDR has it: 0.01 USD, 1 JPY, 0.001 BHD."""
    return amount.quantize(Decimal(1).scaleb(-get_currency_precision(currency)), ROUND_HALF_UP, EXACT)
