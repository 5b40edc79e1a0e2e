"""schemathesis_answers.py ANSWERS DOCUMENT: fails where the property tests went by an operation without ever seeing it succeed."""

import collections
import json
import pathlib
import sys

PHASES = ("fuzzing", "stateful")
ENOUGH = 2_000


def main(answers, document):
    answers, document = (json.loads(pathlib.Path(path).read_text()) for path in (answers, document))
    totals, succeeded = collections.Counter(), collections.Counter()
    for asked, statuses in answers.items():
        phase, operation = asked.split(" ", 1)
        totals[phase] += sum(statuses.values())
        succeeded[operation] += sum(count for status, count in statuses.items() if phase in PHASES and status.startswith("2"))
    operations = [f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item]
    print("requests:", ", ".join(f"{count} {phase}" for phase, count in sorted(totals.items())))
    missed = [operation for operation in operations if not succeeded[operation]]
    few = [phase for phase in PHASES if totals[phase] < ENOUGH]
    if missed:
        print("never succeeded:", *missed, sep="\n  ", file=sys.stderr)
    if few:
        print(f"fewer than {ENOUGH} requests: {', '.join(few)}", file=sys.stderr)
    return 1 if missed or few else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
