"""What schemathesis must know of the world to walk in it: which ids there are, which it must not saw off, and what names look like.

A drawn id names nothing, and nearly every request would end in 403 or 404; so an id that was never answered is replaced by that of a
guinea pig: a user (with a role and a token) made on demand. What the run itself stands on (its token, that token's user, the user's
role binding and account) is replaced in the same way where a request would change or delete it. So every operation meets things
that exist, and any of them may be destroyed.
"""

import atexit
import collections
import hashlib
import json
import os
import pathlib
import re
import string
import threading
import tomllib
import uuid

import requests
import schemathesis

URL = os.environ["TOKENWARD_URL"]
SELF = json.loads(os.environ["TOKENWARD_SELF"])
EXCLUSIONS = tomllib.loads((pathlib.Path(__file__).parent / "schemathesis-exclusions.toml").read_text())["exclusions"]
IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[045][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TAGS = re.compile(r'\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*')
OUR_TAG = re.compile(r'"[0-9a-f]{32}"')
QUESTIONS = {
    "include": ["id", "id,metadata", "version,type,id"],
    "orderBy": ["id", "type desc", "version"],
    "filter": ["id gt '0'", "type in 'astra',id lt 'z'", "metadata.creationTimestamp gt '2026-01-01T00:00:00Z'"],
    "continue": [None],
}
KINDS = {"token": "1.0", "user": "1.2", "roleBinding": "1.1", "account": "1.0"}
MANY_ACCOUNTS = 60  # A user can have a role in 100.

lock = threading.RLock()
answers = collections.defaultdict(collections.Counter)
session = requests.Session()
session.headers["Authorization"] = f"Bearer {SELF['token']}"


def create(kind, path, show="id", **fields):
    body = {"type": f"application/astra-{kind}", "version": KINDS[kind], **fields}
    response = session.post(URL + path, json=body)
    response.raise_for_status()
    return response.json()[show]


class World:
    """Which ids were answered so far, and who may be tormented next."""

    def __init__(self):
        self.accounts = [account["id"] for account in session.get(f"{URL}/accounts").json()["items"]]
        self.accounts.remove(SELF["accountID"])
        self.known, self.spare_account = set(), None
        # What an earlier phase has left.
        self.make_room(0)
        mine = f"/accounts/{SELF['accountID']}/core/v1/roleBindings"
        bindings = session.get(URL + mine).json()["items"]
        binding = next(binding["id"] for binding in bindings if binding["userID"] == SELF["userID"])
        self.own = {"account_id": SELF["accountID"], "user_id": SELF["userID"], "token_id": SELF["tokenID"], "roleBinding_id": binding}
        self.known.update(self.own.values())
        self.owners = {}
        self.deleted = set()
        self.guinea_pig = {}
        self.stranger = self.outsider()

    def outsider(self):
        """The secret of an admin of an account that is otherwise left alone."""
        account = create("account", "/accounts", name="elsewhere")
        inside = f"/accounts/{account}/core/v1"
        user = create("user", f"{inside}/users", email="stranger@example.com")
        create("roleBinding", f"{inside}/roleBindings", accountID=account, userID=user, role="admin")
        return create("token", f"{inside}/users/{user}/tokens", show="token", name="stranger")

    def pig(self):
        """A user with a role, a token and an event; a new one when part of the last one was changed or deleted."""
        if not self.guinea_pig:
            account = SELF["accountID"]
            inside = f"/accounts/{account}/core/v1"
            user = self.user()
            binding = create("roleBinding", f"{inside}/users/{user}/roleBindings", accountID=account, userID=user, role="viewer")
            token = create("token", f"{inside}/users/{user}/tokens", name="guinea pig")
            event = session.get(f"{URL}{inside}/events", params={"limit": "1"}).json()["items"][0]["id"]
            self.guinea_pig = {"user_id": user, "roleBinding_id": binding, "token_id": token, "event_id": event}
            self.known.update(self.guinea_pig.values())
        return self.guinea_pig

    def user(self):
        """A user without a role."""
        user = create("user", f"/accounts/{SELF['accountID']}/core/v1/users", email=f"{uuid.uuid4()}@example.com")
        self.known.add(user)
        return user

    def account(self):
        """An account that nothing depends on."""
        if self.spare_account is None:
            self.spare_account = create("account", "/accounts", name="guinea pig")
            self.accounts.append(self.spare_account)
            self.known.add(self.spare_account)
        return self.spare_account

    def make_room(self, enough):
        """Deletes the oldest of the accounts that the run has made, until just so many are left."""
        while len(self.accounts) > enough:
            account = self.accounts.pop(0)
            # It may be gone already; or have an owner who is needed elsewhere, or none that is us.
            status = session.delete(f"{URL}/accounts/{account}").status_code
            assert status in (204, 403), f"an account can't be deleted: {status}"
            self.known.discard(account)
            if self.spare_account == account:
                self.spare_account = None

    def secret(self):
        """The secret of a token that nothing depends on."""
        tokens = f"/accounts/{SELF['accountID']}/core/v1/users/{SELF['userID']}/tokens"
        return create("token", tokens, show="token", name="guinea pig")


world = World()


def phase_of(case):
    return case.meta.phase.name.value if case.meta else "probe"


def asked(case):
    """What the report calls it."""
    return f"{phase_of(case)} {case.method.upper()} {case.path}"


def leads_somewhere(value):
    return isinstance(value, str) and IDENTIFIER.fullmatch(value) is not None


def redirect(case):
    """Replaces what names nothing, and what must not be touched, by guinea pigs."""
    given = case.path_parameters
    names = [name for name in re.findall(r"\{(\w+)\}", case.path) if leads_somewhere(given.get(name))]
    target = case.path.rsplit("/", 1)[-1].strip("{}")
    changes = case.method.upper() not in ("GET", "HEAD", "OPTIONS", "TRACE", "POST")
    if phase_of(case) == "stateful":
        # Links lead to what is there, or was.
        lost = [name for name in names if given[name] not in world.known]
    else:
        # What else is drawn is mostly gone, or of another account. One in eight times it stays; one in eight, all but the account.
        turn = sum(answers[asked(case)].values()) % 8
        lost = [name for name in names if turn > 1 or (turn == 1 and name == "account_id")]
    with lock:
        if "account_id" in lost:
            given["account_id"] = SELF["accountID"]
        account = given.get("account_id")
        if target == "account_id" and changes and account == SELF["accountID"]:
            given["account_id"] = world.account()
        own = [target] if changes and target in names and given[target] == world.own.get(target) else []
        if account == SELF["accountID"] and (own or set(lost) - {"account_id"}):
            # All or none: a token is sought with its own user.
            given.update({name: value for name, value in world.pig().items() if name in names})
        if given.get("user_id") == world.guinea_pig.get("user_id") and case.method.upper() == "POST" and target == "roleBindings":
            # The guinea pig has its role already.
            given["user_id"] = world.user()


def chance(value, of):
    """Once in so often, and the same for the same value; but for ids, for a walk that is repeated must meet with the same luck."""
    return int.from_bytes(hashlib.sha256(IDENTIFIER.sub("", repr(value)).encode()).digest()[:4], "big") % of == 0


def plain(text, longest, least=1):
    """Of a text what a name may hold; see the contract's section 6."""
    kept = "".join(c for c in str(text) if c in string.ascii_letters + string.digits + " .,:@#()&+=_")
    return re.sub(r"\.\.+", ".", kept).strip()[:longest].strip().ljust(least, "x")


def soften(case):
    """Of the bodies that fit the schema most also keep the rules that no schema can say, else little would ever be created."""
    body = case.body
    if not isinstance(body, dict) or chance(body, 8):
        return
    for name in ("name", "companyName", "phone", "firstName", "lastName"):
        if isinstance(body.get(name), str):
            body[name] = plain(body[name], 31)
    if isinstance(body.get("roleConstraints"), list):
        body["roleConstraints"] = sorted({plain(constraint, 100) for constraint in body["roleConstraints"]})
    labels = body.get("metadata", {}).get("labels") if isinstance(body.get("metadata"), dict) else None
    for number, label in enumerate(labels or []):
        label["name"], label["value"] = f"{number} {plain(label['name'], 100)}", plain(label["value"], 1_000)
    if "email" in body:
        body["email"] = f"{uuid.uuid4()}@example.com"
    if "authID" in body:
        body["authID"] = plain(body["authID"], 100)
    for name in ("postalAddress", "accountContact"):
        # Half of their rules concern what must stand together.
        body.pop(name, None)
    if case.method.upper() == "PUT":
        if body.get("state") == "pending" or "/users" not in case.path:
            body.pop("state", None)
        for name in ("id", "groupID"):
            body.pop(name, None)
    agree = {"accountID": case.path_parameters.get("account_id"), "userID": case.path_parameters.get("user_id")}
    for name, value in agree.items():
        if name in body and value:
            body[name] = value
    if case.path.endswith("/roleBindings"):
        body.pop("groupID", None)
        known = phase_of(case) == "stateful" and body.get("userID") in world.known
        if not agree["userID"] and not known and agree["accountID"] == SELF["accountID"]:
            with lock:
                body["userID"] = world.user()
    elif "roleBinding" in case.path and "userID" in body and not agree["userID"]:
        body.pop("userID")


def relax(case):
    """Conditions drawn at random hardly ever hold; so most of them go, but for entity tags that look like ours."""
    for name in [name for name in case.headers or {} if name.lower().startswith("if-")]:
        value = str(case.headers[name])
        if "match" in name.lower() and not TAGS.fullmatch(value):
            # The coverage phase draws letters and digits for every header, whatever the document says.
            case.headers[name] = value = f'"{value}"'
        if not OUR_TAG.fullmatch(value) and not chance((name, value), 4):
            del case.headers[name]


def ask(case):
    """Asks for one of the media types that the document offers, as generated clients do."""
    offers = [
        media_type
        for status, response in case.operation.definition.raw.get("responses", {}).items()
        if status.startswith("2")
        for media_type in response.get("content", {})
    ]
    if offers and not any(name.lower() == "accept" for name in case.headers or {}):
        case.headers["Accept"] = offers[len(repr(case.path_parameters)) % len(offers)]


def question(case):
    """Most questions to a collection are about fields that every resource has; which there are is more than a pattern can say."""
    for name, plain_ones in QUESTIONS.items():
        if name in (case.query or {}) and not chance((name, case.query), 4):
            if value := plain_ones[len(repr(case.query)) % len(plain_ones)]:
                case.query[name] = value
            else:
                del case.query[name]
    if case.path == "/verify" and "account" in (case.query or {}) and not chance(case.query, 4):
        case.query["account"] = SELF["accountID"]
    if isinstance(names := (case.query or {}).get("include"), str):
        # Each is named once, which no pattern can say.
        case.query["include"] = ",".join(dict.fromkeys(names.split(",")))


def hand_over(case):
    """Half of the secrets that are asked about, revoked or reported are good ones, which no schema can say."""
    body = case.body
    if case.path.startswith("/accounts") or not isinstance(body, dict) or not chance(body, 2):
        return
    if isinstance(body.get("token"), str):
        body["token"] = world.secret()
    if isinstance(secrets := body.get("secrets"), list):
        secrets[0] = world.secret()


class Sacrifice(requests.auth.AuthBase):
    """Presents a new token in place of the run's own. Who presents none, or a bad one, does so still."""

    def __call__(self, request):
        if request.headers.get("Authorization") == session.headers["Authorization"]:
            request.headers["Authorization"] = f"Bearer {world.secret()}"
        return request


def is_well_formed(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Lays our links beside the published document, which has none; what they join is in both."""
    ours = json.loads((pathlib.Path(__file__).parent.parent / "spec/openapi.json").read_text())
    if raw_schema["info"]["title"] == ours["info"]["title"]:
        return
    for path, item in raw_schema["paths"].items():
        for method, operation in item.items():
            same = ours["paths"][path][method]
            operation["operationId"] = same["operationId"]
            for status, response in operation["responses"].items():
                if links := same["responses"].get(status, {}).get("links"):
                    # It knows no conditional headers.
                    response["links"] = {name: without_etag(link) for name, link in links.items()}


def without_etag(link):
    return link | {"parameters": {name: value for name, value in link["parameters"].items() if name != "If-Match"}}


@schemathesis.hook
def before_call(context, case, kwargs):
    if len(world.accounts) >= MANY_ACCOUNTS:
        with lock:
            world.make_room(MANY_ACCOUNTS // 2)
    if (case.method.upper(), case.path) == ("DELETE", "/whoami"):
        # Here a token revokes itself. The header comes from the command line, and is added later.
        kwargs["auth"] = Sacrifice()
    redirect(case)
    if is_well_formed(case):
        soften(case)
        relax(case)
        question(case)
        hand_over(case)
    if phase_of(case) in ("fuzzing", "stateful"):
        ask(case)


@schemathesis.hook
def after_call(context, case, response):
    method, named = case.method.upper(), set(case.path_parameters.values() if response.status_code == 204 else [])
    answers[asked(case)][response.status_code] += 1
    with lock:
        if response.status_code in (200, 201):
            world.known.update(IDENTIFIER.findall(response.text))
        if response.status_code == 201:
            body = response.json()
            if "userID" in body:
                world.owners[body["id"]] = body["userID"]
            if case.path == "/accounts":
                world.accounts.append(body["id"])
        if named & set(world.guinea_pig.values()):
            world.guinea_pig = {}
        if world.spare_account in named:
            world.spare_account = None
        if named and method == "DELETE" and "{" in case.path:
            last = case.path_parameters[case.path.rsplit("/", 1)[-1].strip("{}")]
            # With the last role binding of a user goes the user.
            world.deleted.update({last, world.owners.get(last)} if "roleBinding_id" in case.path else {last})


def is_gone(case):
    """Whether the user, with whom what the case names has gone, was deleted."""
    return any(world.owners.get(value) in world.deleted for value in case.path_parameters.values() if isinstance(value, str))


@atexit.register
def report():
    """Leaves how often each operation answered what, for those who wonder how much was tested."""
    if where := os.environ.get("TOKENWARD_ANSWERS"):
        pathlib.Path(where).write_text(json.dumps(answers))


@schemathesis.check
def strangers_are_refused(ctx, response, case):
    """What succeeds in an account is forbidden to whoever has no role there, as if there were no such account."""
    if response.status_code < 300 and "account_id" in case.path_parameters:
        request = response.request
        headers = {**request.headers, "Authorization": f"Bearer {world.stranger}"}
        answer = requests.request(request.method, request.url, headers=headers, data=request.body, timeout=30)
        assert answer.status_code == 403, f"a stranger is answered {answer.status_code}"


def problem_of(response):
    try:
        body = json.loads(response.content)
        return int(body["type"].rsplit("/", 1)[-1]), {fault["name"] for fault in body.get("invalidParams", [])}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, set()


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what schemathesis-exclusions.toml names."""
    number, parameters = problem_of(response)
    title = "tokenward" if case.operation.schema.raw_schema["info"]["title"] == "tokenward" else "published"
    for exclusion in EXCLUSIONS:
        if (
            type(failure).__name__ == exclusion["failure"]
            and exclusion.get("status", response.status_code) == response.status_code
            and exclusion.get("problem", number) == number
            and ("parameters" not in exclusion or (parameters and parameters <= set(exclusion["parameters"])))
            and exclusion.get("document", title) == title
            and exclusion.get("path", case.path) == case.path
            and (not exclusion.get("gone") or is_gone(case))
        ):
            return False
    return True
