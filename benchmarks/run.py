"""``make bench``: measures the package, its floor and its peers in one go, and writes docs/performance.md.

    python benchmarks/run.py             everything, about a quarter of an hour
    python benchmarks/run.py --quick     a first impression in about a minute; writes nothing
    python benchmarks/run.py --only logs one experiment; writes nothing

Exit code 0 when the run is complete, 1 when something could not be measured (with ``--check`` also when a
target is missed), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environments
import report
from experiments import Run
from measuring import Effort, Progress
from systems import REPOSITORY, requirements

FULL = Effort(generations=3, rounds=10, budget=0.1)
QUICK = Effort(generations=1, rounds=5, budget=0.03)
EXPERIMENTS = ("spans", "logs", "otlp", "held", "coverage", "instructions", "startup", "chunks")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; docs are not written")
    parser.add_argument(
        "--only", choices=EXPERIMENTS, action="append", help="run this experiment (repeatable)"
    )
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md after a quick run too"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(arguments)
    if options.write and options.only:
        parser.error("--write needs all experiments: it does not go with --only")
    progress = Progress()
    effort = QUICK if options.quick else FULL
    started = time.monotonic()

    run = Run(effort, progress, quick=options.quick)
    run.prepare()
    names = options.only or EXPERIMENTS
    for index, name in enumerate(names, 1):
        experiment = getattr(run, name)
        minutes = (time.monotonic() - started) / 60
        progress(f"[{index}/{len(names)}, {minutes:.1f} min] {name}: {experiment.__doc__.splitlines()[0]}")
        experiment()
    progress(f"done in {(time.monotonic() - started) / 60:.1f} min")

    results = run.results
    measured = report.rows(results)
    print(report.target_table(measured))
    print()
    print(report.systems_table(results))
    if results.coverage:
        print()
        print(report.coverage_table(results))
    for what, why in results.failures.items():
        print(f"not measured: {what}: {why}", file=sys.stderr)
    if options.write or not (options.quick or options.only):
        documents = REPOSITORY / "docs"
        described = (
            f"{effort.generations} processes of each configuration, {effort.rounds} rounds in each "
            "(OTLP and streams: at most 2 and 6)"
        )
        (documents / "performance.md").write_text(
            report.page(results, _versions(run.unavailable), described), encoding="utf-8"
        )
        (documents / "performance.svg").write_text(report.plot(results), encoding="utf-8")
        progress("written: docs/performance.md, docs/performance.svg")
    missed = options.check and any(row.met is False for row in measured)
    return 1 if results.failures or missed else 0


def _versions(unavailable: set[str]) -> dict[str, str]:
    """What the figures are of: the first requirement of each environment, and the SDK it runs on."""
    found = {}
    for environment, wanted in requirements().items():
        if environment in unavailable:
            continue
        installed = environments.installed(environment)
        name = "otel-zdr" if environment == "zdr" else wanted[0].split("==")[0]
        found[name] = f"{installed.get(name, '?')} (SDK {installed['opentelemetry-sdk']})"
    return found


if __name__ == "__main__":
    sys.exit(main())
