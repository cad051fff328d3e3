"""The cost budget of evaluating one event, counted in steps, so that the result is deterministic."""

MAX_STEPS = 100_000
"""Maximum steps for one event (values read, texts tried, choices of array elements): a tenth to two tenths of a second."""
MAX_VALUES = 1000
"""Values of one field that are looked at, those in arrays one by one: the first ones."""
_TEXT = 1024
"""Characters of a text that are one step to search."""


class TooCostly(ValueError):
    """An event takes more steps than it may: the patterns and its arrays are too large for each other."""

    def __init__(self) -> None:
        super().__init__(
            f"The event takes more than {MAX_STEPS:,} steps to be checked against the patterns: send shorter arrays, or write "
            "fewer conditions on them."
        )


class Budget:
    """The steps that are left for one event: of all rules, silences and meters together."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take steps; raise TooCostly when there are none left."""
        self.left -= steps
        if self.left < 0:
            raise TooCostly

    def search(self, text: str, times: int) -> None:
        """Spend the steps of searching a text several times."""
        self.spend(times * (1 + len(text) // _TEXT))
