"""Check a report of `coverage json` against the least coverage that is accepted; end with 1 if it is not reached."""

import argparse
import json
from pathlib import Path
import sys


def percent_by_file(report: Path) -> dict[str, float]:
    """Return the covered part of each file's statements in percent."""
    files = json.loads(report.read_text())["files"]
    return {name: float(file["summary"]["percent_covered"]) for name, file in files.items()}


def main() -> int:
    """Print each file below its limit, and the total; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="what `coverage json` wrote")
    parser.add_argument("--total", type=float, default=0, metavar="PERCENT", help="least for all files together")
    parser.add_argument("--each", type=float, default=0, metavar="PERCENT", help="least for each file")
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="NAME=PERCENT",
        help="least for the files of this name; repeatable",
    )
    arguments = parser.parse_args()
    exceptions = {name: float(percent) for name, _, percent in (rule.partition("=") for rule in arguments.file)}
    total = float(json.loads(arguments.report.read_text())["totals"]["percent_covered"])
    found = percent_by_file(arguments.report)

    failures = [f"no file is named {name}" for name in exceptions if name not in {Path(path).name for path in found}]
    for path, percent in sorted(found.items(), key=lambda item: item[1]):
        least = exceptions.get(Path(path).name, arguments.each)
        if percent < least:
            failures.append(f"{path}: {percent:.2f} % covered, at least {least:g} % wanted")
    if total < arguments.total:
        failures.append(f"all files: {total:.2f} % covered, at least {arguments.total:g} % wanted")
    print("\n".join([*failures, f"{total:.1f} % of {len(found)} files covered"]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
