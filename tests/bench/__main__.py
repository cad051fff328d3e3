"""`python -m tests.bench`: prints what this machine does, as medians of rounds. Figures are not judged; correctness is.

Exit codes: 0 measured; 1 something was lost or refused; 2 a tool is missing.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path

from signalops import db
from signalops.config import Settings
from signalops.errors import Unusable
from tests.bench import report, wrk
from tests.bench.installation import Server, Wrong, track_commits
from tests.bench.scenarios import SCENARIOS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="seconds of a round under load (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts (default: 3)")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=SCENARIOS, help=f"one of {', '.join(SCENARIOS)}; repeatable"
    )
    return parser.parse_args()


def settings() -> Settings:
    """Return settings for DATABASE_URL (a superuser's), or for an embedded server in a folder of its own."""
    settings = Settings()
    if settings.database_url is None:
        settings = settings.model_copy(update={"data": Path(".data/bench")})
        track_commits(settings)
    return settings


def _measure(server: Server, options: argparse.Namespace) -> None:
    print("\n".join(report.machine(server)))
    print(f"median of {options.rounds} rounds of {options.seconds} s, after a warm-up; every round in brackets")
    seeded = server.seed()
    for name in options.only or SCENARIOS:
        scenario = SCENARIOS[name]
        print(f"\n{name}: {scenario.about}", flush=True)
        template = scenario.prepare(server, seeded)
        rounds = []
        for _ in range(options.rounds):
            with server.clone(template) as home:
                rounds.append(scenario.run(home, options.seconds))
        print("\n".join(report.scenario(rounds)), flush=True)


def main() -> None:
    options = _options()
    wrk.require()
    try:
        with closing(Server(settings())) as server:
            _measure(server, options)
    except Wrong as wrong:
        sys.exit(f"\nWRONG: {wrong}.")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; what was started is stopped, what was made is dropped.")
    except (Unusable, *db.OUTAGE) as error:
        sys.exit(f"PostgreSQL gave up, or can't be reached ({error}): see its log, or correct DATABASE_URL.")


if __name__ == "__main__":
    main()
