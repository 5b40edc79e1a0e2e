"""Fails on an incompatible change of the OpenAPI document that spec/breaking.md doesn't list.

Redocly finds the changes (REDOCLY, default: redocly on the PATH); this says against which document, and holds them against the list.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SPEC = "spec/openapi.json"
LIST = "spec/breaking.md"
CONFIG = pathlib.Path(__file__).resolve().parent.parent / "spec/redocly.yaml"


class CannotCompare(Exception):
    """There is nothing to compare with, though there ought to be."""


def incompatible_changes(base, revision):
    """What an incompatible change from one document to another is called in the list."""
    redocly = os.environ.get("REDOCLY", "redocly")
    with tempfile.TemporaryDirectory() as directory:
        names = {"base.json": base, "revision.json": revision}
        for name, text in names.items():
            pathlib.Path(directory, name).write_text(text)
        command = [redocly, "diff", "--config", CONFIG, "--format", "json", "--output", "report.json", "--fail-on", "none", *names]
        run = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        report = pathlib.Path(directory, "report.json")
        if run.returncode != 0 or not report.exists():
            raise CannotCompare(f"redocly diff failed:\n{run.stdout}{run.stderr}")
        changes = json.loads(report.read_text())["changes"]
    named = (f"{place(change['path'])}: {said(change)}" for change in changes if change["impact"] == "major")
    return list(dict.fromkeys(named))


def said(change):
    verdicts = [verdict for verdict in change["verdicts"] if verdict["impact"] == "major"]
    return " ".join(f"{verdict['message']} ({verdict['ruleId']})" for verdict in verdicts) or f"{change['kind']}."


def place(pointer):
    """The operation that a JSON pointer leads into, or what else it leads to."""
    segments = [segment.replace("~1", "/").replace("~0", "~") for segment in pointer.removeprefix("#/").split("/")]
    if segments[0] != "paths":
        return "/".join(segments)
    path, *method = segments[1:3]
    return " ".join([*(word.upper() for word in method), path])


def entries(text):
    return collections.Counter(line.removeprefix("- ").strip() for line in text.splitlines() if line.startswith("- "))


def unlisted(base, revision, base_list, revision_list):
    """The incompatible changes that the list doesn't name, or named before they were made."""
    new = [named(entry) for entry in entries(revision_list) - entries(base_list)]
    return [change for change in incompatible_changes(base, revision) if not any(entry.fullmatch(change) for entry in new)]


def named(entry):
    """What an entry stands for: `…` in it is anything."""
    return re.compile(".*".join(re.escape(part) for part in entry.split("…")))


def git(*arguments):
    run = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def base_commit():
    """What to compare with, and why that.

    On a branch, where it left main. On main itself, what clients have: the last release; before the first one, the document as it was
    when the list began. BREAKING_BASE overrides it all.
    """
    if named := os.environ.get("BREAKING_BASE"):
        commit = git("rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
        if not commit:
            raise CannotCompare(f"BREAKING_BASE={named} is no commit here")
        return commit, "BREAKING_BASE"
    head = git("rev-parse", "HEAD")
    if not head:
        raise CannotCompare("this is no git checkout, so there is no older document")
    fork = git("merge-base", "HEAD", "origin/main")
    if fork and fork != head:
        return fork, "where this branch left origin/main"
    release = git("describe", "--tags", "--abbrev=0", "HEAD~1")
    if release:
        return git("rev-parse", f"{release}^{{commit}}"), f"the release {release}"
    if git("rev-parse", "--is-shallow-repository") == "true":
        git("fetch", "--quiet", "--unshallow")
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise CannotCompare("this clone is shallow, so its history doesn't tell what to compare with: fetch it all, or set BREAKING_BASE")
    beginnings = (git("log", "--diff-filter=A", "--format=%H", "--", LIST) or "").split()
    if not beginnings:
        raise CannotCompare(f"{LIST} isn't committed")
    return beginnings[-1], "where the list begins"


def main():
    commit, reason = base_commit()
    base = git("show", f"{commit}:{SPEC}")
    print(f"compared with {commit[:12]} ({reason})")
    if base is None:
        print(f"there is no {SPEC} yet: nothing can be incompatible")
        return 0
    read = lambda path: pathlib.Path(path).read_text()
    found = unlisted(base, read(SPEC), git("show", f"{commit}:{LIST}") or "", read(LIST))
    if found:
        print(f"incompatible, and not listed in {LIST} by the same change:", file=sys.stderr)
        print("\n".join(f"- {change}" for change in found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotCompare as error:
        print(f"can't look for incompatible changes: {error}", file=sys.stderr)
        sys.exit(1)
