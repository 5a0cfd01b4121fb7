"""``python -m tests.fuzz``: see ``scripts/fuzz``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from .run import Report, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20_000, help="files to try")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--start", type=int, default=0, help="number of the seed's first file")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="files that failed")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # The writer of the originals tells of each.
    options.keep.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def tell(done: int, report: Report) -> None:
        if done % 500 == 0:
            say(
                f"{options.start + done} files: {dict(report.verdicts)}, {len(report.failures)} failed"
            )

    report = fuzz(
        options.count, seed=options.seed, start=options.start, folder=options.keep, tell=tell
    )
    for path, how in report.failures.items():
        say(f"{path}: {how}")
    say(
        f"seed {options.seed}: {sum(report.verdicts.values())} files are fine, "
        f"{len(report.failures)} are not: {dict(report.verdicts)}"
    )
    return min(len(report.failures), 1)


if __name__ == "__main__":
    sys.exit(main())
