"""What a scrape tells, read with Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import Client

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """The samples of one answer, by name and labels."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value for family in self.families for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """Return the value of a series; 0 where there is none."""
        return self._samples.get((f"signalops_{name}", frozenset(labels.items())), 0.0)

    def has(self, name: str) -> bool:
        """Tell whether any series has a name."""
        return any(known == f"signalops_{name}" for known, _ in self._samples)


async def scrape(client: Client, **headers: str) -> Scrape:
    """Ask a running API, which must answer."""
    answer = await client.request("GET", "/metrics", headers=headers)
    assert (answer.status, answer.media_type) == (200, "text/plain"), answer
    return Scrape(answer.body.decode())
