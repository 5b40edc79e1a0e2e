"""The check for incompatible changes, checked: it finds what it must, and lets pass what it may."""

import copy
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import breaking

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = json.loads((ROOT / breaking.SPEC).read_text())
TOKENS = "/accounts/{account_id}/core/v1/users/{user_id}/tokens"


def schema(document, name):
    return document["components"]["schemas"][name]


def remove_operation(document):
    del document["paths"][TOKENS + "/{token_id}"]["delete"]


def remove_answer(document):
    del document["paths"][TOKENS]["post"]["responses"]["201"]


def remove_media_type(document):
    del document["paths"][TOKENS]["post"]["responses"]["201"]["content"]["application/json"]


def require_new_request_field(document):
    schema(document, "NewToken")["properties"]["colour"] = {"type": "string"}
    schema(document, "NewToken")["required"].append("colour")


def require_request_field(document):
    schema(document, "NewUser")["required"].append("firstName")


def remove_enum_value(document):
    schema(document, "AuthProvider")["enum"].remove("ldap")


def remove_response_field(document):
    schema(document, "Token")["required"].remove("name")
    del schema(document, "Token")["properties"]["name"]


def require_parameter(document):
    document["paths"][TOKENS]["get"]["parameters"].append({"name": "of", "in": "query", "required": True, "schema": {"type": "string"}})


def add_fields(document):
    for name in ["NewToken", "Token"]:
        schema(document, name)["properties"]["colour"] = {"type": "string"}


def add_operation(document):
    document["paths"]["/colours"] = {"get": copy.deepcopy(document["paths"]["/healthz"]["get"])}
    document["paths"]["/colours"]["get"]["operationId"] = "list_colours"


INCOMPATIBLE = [
    remove_operation,
    remove_answer,
    remove_media_type,
    require_new_request_field,
    require_request_field,
    remove_enum_value,
    remove_response_field,
    require_parameter,
]


def unlisted(mutate, base_list="", revision_list=""):
    revision = copy.deepcopy(DOCUMENT)
    mutate(revision)
    return breaking.unlisted(json.dumps(DOCUMENT), json.dumps(revision), base_list, revision_list)


class Changes(unittest.TestCase):
    def test_what_is_incompatible_must_be_listed(self):
        for mutate in INCOMPATIBLE:
            with self.subTest(mutate.__name__):
                found = unlisted(mutate)
                self.assertTrue(found)
                listed = "\n\n".join(f"- {change}\n\n  Because." for change in found)
                self.assertEqual(unlisted(mutate, revision_list=listed), [])
                self.assertEqual(unlisted(mutate, base_list=listed, revision_list=listed), found, "listed for an earlier change")

    def test_an_entry_may_leave_out_a_part(self):
        self.assertEqual(unlisted(remove_operation, revision_list="- DELETE …/tokens/{token_id}: Operation … (operation-removed)"), [])
        self.assertNotEqual(unlisted(remove_operation, revision_list="- GET …"), [])

    def test_what_is_compatible_passes(self):
        for mutate in [lambda _: None, add_fields, add_operation]:
            self.assertEqual(unlisted(mutate), [])

    def test_a_document_that_is_none_is_no_success(self):
        with self.assertRaises(breaking.CannotCompare):
            breaking.incompatible_changes("{}", json.dumps(DOCUMENT))


class Program(unittest.TestCase):
    """The whole of it, in repositories of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments):
        who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self, **files):
        for name, text in files.items():
            path = self.root / {"spec": breaking.SPEC, "list": breaking.LIST, "other": "other"}[name]
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")

    def check(self, root=None, **environment):
        clean = {name: value for name, value in os.environ.items() if name != "BREAKING_BASE"}
        command = ["python3", ROOT / ".ci/breaking.py"]
        return subprocess.run(command, cwd=root or self.root, env=clean | environment, capture_output=True, text=True)

    def test_the_base_is_chosen_as_documented(self):
        old, changed = json.dumps(DOCUMENT), copy.deepcopy(DOCUMENT)
        remove_operation(changed)
        new = json.dumps(changed)
        self.commit(other="nothing yet")
        self.commit(spec=old, list="None.")
        self.commit(spec=new)
        self.commit(other="more")
        run = self.check()
        self.assertEqual(run.returncode, 1)
        self.assertIn("where the list begins", run.stdout)
        self.assertIn("- DELETE " + TOKENS, run.stderr)
        self.assertEqual(self.check(BREAKING_BASE="HEAD~1").returncode, 0)
        self.assertEqual(self.check(BREAKING_BASE="nonsense").returncode, 1)
        none_yet = self.check(BREAKING_BASE="HEAD~3")
        self.assertEqual(none_yet.returncode, 0)
        self.assertIn("nothing can be incompatible", none_yet.stdout)

        shallow = self.root / ".git/shallow-clone"
        self.git("clone", "--quiet", "--depth", "1", self.root.as_uri(), str(shallow))
        subprocess.run(["git", "remote", "rename", "origin", "away"], cwd=shallow, check=True, capture_output=True)
        subprocess.run(["git", "remote", "set-url", "away", str(self.root / "nowhere")], cwd=shallow, check=True)
        run = self.check(shallow)
        self.assertEqual(run.returncode, 1)
        self.assertIn("shallow", run.stderr)
        subprocess.run(["git", "remote", "set-url", "away", self.root.as_uri()], cwd=shallow, check=True)
        self.assertIn("- DELETE " + TOKENS, self.check(shallow).stderr, "what is missing of the history is fetched")

        self.git("tag", "v1")
        self.assertEqual(self.check().returncode, 1, "a release isn't compared with itself")
        self.commit(other="still more")
        run = self.check()
        self.assertEqual(run.returncode, 0)
        self.assertIn("the release v1", run.stdout)

        self.git("update-ref", "refs/remotes/origin/main", "HEAD~2")
        run = self.check()
        self.assertEqual(run.returncode, 0)
        self.assertIn("where this branch left origin/main", run.stdout)
        self.git("update-ref", "refs/remotes/origin/main", "HEAD~3")
        self.assertEqual(self.check().returncode, 1)


if __name__ == "__main__":
    unittest.main()
