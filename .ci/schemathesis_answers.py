"""schemathesis_answers.py DOCUMENT ANSWERS…: fails where the property tests were few, or went by an operation that never succeeded."""

import collections
import json
import pathlib
import sys

# Of each document, how many requests of each kind at least.
ENOUGH = {"fuzzing": 2_000, "stateful": 500}


def main(document, *reports):
    document, *reports = (json.loads(pathlib.Path(path).read_text()) for path in (document, *reports))
    totals, succeeded = collections.Counter(), collections.Counter()
    for asked, statuses in (item for report in reports for item in report.items()):
        phase, operation = asked.split(" ", 1)
        totals[phase] += sum(statuses.values())
        if phase in ENOUGH:
            succeeded[operation] += sum(count for status, count in statuses.items() if status.startswith("2"))
    print("requests:", ", ".join(f"{count} {phase}" for phase, count in sorted(totals.items())))
    operations = [f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item]
    missed = [f"never succeeded: {operation}" for operation in operations if not succeeded[operation]]
    few = [f"fewer than {enough} requests: {phase}" for phase, enough in ENOUGH.items() if totals[phase] < enough]
    print(*missed, *few, sep="\n", file=sys.stderr)
    return 1 if missed or few else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
