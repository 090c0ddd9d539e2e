"""Runs the benchmarks, prints a table, writes JSON. Exit status 1 if a bound that must hold was missed."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Final

from bench.result import Result, format_table, write_json

BENCHMARKS: Final = ("connect_start", "idle", "relay", "session", "kill")
RESULTS: Final = Path(__file__).resolve().parent / "results" / "latest.json"


def main() -> int:
    """Parse the arguments and run what they name."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to run, of {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="few and short rounds, for a first look")
    parser.add_argument(
        "--json", type=Path, default=RESULTS, metavar="FILE", help="where the figures go (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    results: list[Result] = []
    for name in arguments.names or BENCHMARKS:
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        results += importlib.import_module(f"bench.{name}").run(quick=arguments.quick)
    print(format_table(results))
    write_json(results, arguments.json)
    print(f"bench: figures are in {arguments.json}", file=sys.stderr)
    return int(any(result.kept is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
