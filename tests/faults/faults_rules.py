"""Rules of the service under load, under slow writes, and under clocks that jump."""

import contextlib
import datetime
import os
import sqlite3
import subprocess
import threading
import time
import uuid

from harness import clean, fault, issue, token_body

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
USER = {"type": "application/astra-user", "version": "1.2"}
BINDING = {"type": "application/astra-roleBinding", "version": "1.1"}
DAY = 86_400


def person(server, first, email, role="viewer"):
    """A user of the first account: its id."""
    made = server.call("POST", first.users, first.token, {**USER, "email": email})
    assert made.status == 201, made
    user = made.json()["id"]
    body = {**BINDING, "accountID": first.accountID, "userID": user, "role": role}
    assert server.status("POST", f"{first.account}/core/v1/roleBindings", first.token, body) == 201
    return user


def many_tokens(case, user, count):
    """Gives a user that many tokens, behind the server's back."""
    numbers = f"generate_series(1, {count}) AS s(n)" if case.kind == "postgres" else "s"
    series = "" if case.kind == "postgres" else f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "
    digest = "decode(md5(n::text) || md5('x' || n::text), 'hex')" if case.kind == "postgres" else "randomblob(32)"
    uid = "gen_random_uuid()::text" if case.kind == "postgres" else (
        "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' "
        "|| substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))")
    labels = "'[]'"
    columns = {"id": uid, "user_id": f"'{user}'", "name": "'n' || n", "digest": digest, "labels": labels, "created_at": "1768469400000000 + n",
               "modified_at": "1768469400000000 + n", "created_by": f"'{user}'"}
    case.sql(f"INSERT INTO tokens ({', '.join(columns)}) {series}SELECT {', '.join(columns.values())} FROM {numbers}")
    assert int(case.sql(f"SELECT count(*) FROM tokens WHERE user_id = '{user}'")[0][0]) >= count


class Writers:
    """Creates tokens, one after the other, and notes how long each took."""

    def __init__(self, server, first):
        self.server, self.first, self.times, self.failures, self.ended = server, first, [], [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended:
            answer = self.server.call("POST", self.first.tokens, self.first.token, token_body("beside"), timeout=60)
            self.times.append(answer.seconds)
            if answer.status != 201:
                self.failures.append(answer.status)
            time.sleep(0.02)

    def end(self):
        self.ended = True
        self.thread.join()
        return max(self.times)


@fault("7", "a user with very many tokens is deleted")
def delete_a_user_with_very_many_tokens(case):
    count = {"sqlite": 300_000, "postgres": 300_000}[case.kind] if case.long else 60_000
    first = case.init()
    server = case.serve()
    user = person(server, first, "many@example.com")
    mine = server.call("POST", f"{first.users}/{user}/tokens", first.token, token_body()).json()["token"]
    many_tokens(case, user, count)
    writers = Writers(server, first)
    time.sleep(0.3)
    begun = time.monotonic()
    answer = server.call("DELETE", f"{first.users}/{user}", first.token, timeout=120)
    took = time.monotonic() - begun
    assert answer.status == 204, f"{answer.status} after {took:.1f} s"
    # From this answer on nothing of the user is there any more.
    assert server.verify(mine) == 401
    for path in (f"{first.users}/{user}", f"{first.users}/{user}/tokens"):
        assert server.status("GET", path, first.token) == 404
    assert server.status("POST", first.users, first.token, {**USER, "email": "many@example.com"}) == 201, "its email is free again"
    # A crash in the midst of it forgets nothing.
    time.sleep(0.5)
    slowest = writers.end()
    assert not writers.failures, writers.failures
    server.kill()
    server = case.serve()
    left = lambda: int(case.sql(f"SELECT count(*) FROM tokens WHERE user_id = '{user}'")[0][0])
    begun, before = time.monotonic(), left()
    # All of it takes its time; that it goes on, and as fast with many as with few, shows early.
    goal = 0 if case.long else before - 3_000
    server.until(True, lambda: left() <= goal, 600, every=0.2)
    rate = (before - left()) / (time.monotonic() - begun)
    server.terminate()
    told = int(case.sql("SELECT count(*) FROM events WHERE name = 'token.deleted'")[0][0])
    assert told == count + 1 - left(), f"{told} events tell of {count + 1 - left()} deleted tokens"
    assert took < 1, f"the deletion took {took:.2f} s"
    assert slowest < 1, f"a write beside it took {slowest:.2f} s"
    return f"{count} tokens: 204 after {took:.2f} s, writes beside it at most {slowest * 1000:.0f} ms, {rate:.0f} tokens/s cleaned up, also after a SIGKILL"


@fault("7.2", "an account with very many users is deleted")
def delete_an_account_with_very_many_users(case):
    count = 100_000 if case.long else 30_000
    first = case.init()
    server = case.serve()
    account = {"type": "application/astra-account", "version": "1.0", "name": "big"}
    account = server.call("POST", "/accounts", first.token, account).json()["id"]
    on_postgres = case.kind == "postgres"
    series = "" if on_postgres else f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "
    numbers = f"generate_series(1, {count}) AS s(n)" if on_postgres else "s"
    user = "substr(md5(n::text), 1, 8) || '-0000-4000-a000-' || lpad(n::text, 12, '0')"
    user = user if on_postgres else "printf('%08x-0000-4000-a000-%012d', (n * 2654435761) % 4294967296, n)"
    case.sql(f"""INSERT INTO users (id, account_id, email, email_key, first_name, last_name, state, is_enabled, labels, created_at, modified_at,
        created_by, auth_id) {series}SELECT {user}, '{account}', 'u' || n || '@x', 'u' || n || '@x', '', '', 'active', true, '[]',
        1768469400000000 + n, 1768469400000000 + n, 'x', '' FROM {numbers}""")
    case.sql(f"""INSERT INTO role_bindings (id, account_id, user_id, role, role_constraints, labels, created_at, modified_at, created_by)
        SELECT id, account_id, id, 'viewer', '["*"]', '[]', created_at, created_at, 'x' FROM users WHERE account_id = '{account}'""")
    writers = Writers(server, first)
    time.sleep(0.3)
    begun = time.monotonic()
    answer = server.call("DELETE", f"/accounts/{account}", first.token, timeout=120)
    took = time.monotonic() - begun
    assert answer.status == 204, f"{answer.status} after {took:.1f} s"
    assert server.status("GET", f"/accounts/{account}", first.token) == 403
    time.sleep(0.5)
    slowest = writers.end()
    assert not writers.failures, writers.failures
    left = lambda: int(case.sql(f"SELECT count(*) FROM users WHERE account_id = '{account}'")[0][0])
    begun, before = time.monotonic(), left()
    goal = 0 if case.long else before - 2_000
    server.until(True, lambda: left() <= goal, 600, every=0.2)
    rate = (before - left()) / (time.monotonic() - begun)
    assert took < 1, f"the deletion took {took:.2f} s"
    assert slowest < 1, f"a write beside it took {slowest:.2f} s"
    return f"{count} users: 204 after {took:.2f} s, writes beside it at most {slowest * 1000:.0f} ms, {rate:.0f} users/s cleaned up"


@contextlib.contextmanager
def slow_writes(case, user):
    """Nobody else writes: on SQLite at all, on PostgreSQL to that user."""
    if case.kind == "sqlite":
        connection = sqlite3.connect(case.path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
        connection.close()
    else:
        sql = f"BEGIN; SELECT 1 FROM users WHERE id = '{user}' FOR UPDATE; SELECT pg_sleep(600);"
        holder = subprocess.Popen(["psql", "-XqAt", f"{case.settings.postgres}/{case.database}", "-c", sql], stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        yield
        case.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{case.database}' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()")
        holder.kill()
        holder.wait()


@fault("10", "verification while writes are slow")
def verification_does_not_wait_for_writes(case):
    first = case.init()
    server = case.serve()
    user = person(server, first, "slow@example.com")
    secret = server.call("POST", f"{first.users}/{user}/tokens", first.token, token_body()).json()["token"]
    with slow_writes(case, user):
        with contextlib.closing(server.client(secret)) as client:
            times = []
            for _ in range(20):
                answer = client.call("GET", "/verify")
                assert answer.status == 200, answer.status
                times.append(answer.seconds)
        slowest = max(times)
        assert slowest < 0.2, f"a verification took {slowest * 1000:.0f} ms"
    seen = lambda: server.call("GET", f"{first.users}/{user}", first.token).json().get("lastActTimestamp") is not None
    server.until(True, seen, 10)
    stored = lambda: case.sql(f"SELECT count(*) FROM users WHERE id = '{user}' AND last_act_at IS NOT NULL")[0][0]
    server.until("1", stored, 15)
    return f"/verify at most {slowest * 1000:.0f} ms; noted once writes are possible again"


def faked(offset):
    return {"LD_PRELOAD": FAKETIME, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@fault("13.1", "a start with a clock that is two years ahead")
def retention_does_not_believe_a_jump(case):
    first = case.init()
    server = case.serve()
    for n in range(10):
        issue(server, first, f"n{n}")
    time.sleep(1)
    server.terminate()
    count = lambda: int(case.sql("SELECT count(*) FROM events")[0][0])
    before = count()
    server = case.serve(env=faked("+730d"))
    time.sleep(1.5)
    server.terminate()
    after = count()
    assert after == before, f"{before - after} of {before} events were forgotten"
    assert "has jumped" in server.logged(), server.logged()
    # Asked to, it does.
    server = case.serve("--prune-all", env=faked("+730d"))
    server.until(0, count, 10)
    return f"0 of {before} events forgotten, and a warning; all with --prune-all"


@fault("13.2", "a clock that goes back a day")
def notes_move_when_the_clock_goes_back(case):
    first = case.init()
    server = case.serve()
    user = person(server, first, "back@example.com")
    secret = server.call("POST", f"{first.users}/{user}/tokens", first.token, token_body()).json()["token"]
    assert server.verify(secret) == 200
    suspend = lambda state: server.status("PUT", f"{first.users}/{user}", first.token, {**USER, "state": state})
    refusals = lambda: int(case.sql("SELECT count(*) FROM events WHERE name = 'token.refused'")[0][0])
    last_act = lambda: int(case.sql(f"SELECT coalesce(last_act_at, 0) FROM users WHERE id = '{user}'")[0][0]) / 1e6
    assert suspend("suspended") == 204 and server.verify(secret) == 401
    server.until(1, refusals, 5)
    assert suspend("active") == 204
    server.until(True, lambda: last_act() > 0, 5)
    server.terminate()
    server = case.serve(env=faked("-1d"))
    assert server.verify(secret) == 200
    server.until(True, lambda: last_act() < time.time() - DAY + 600, 5)
    assert suspend("suspended") == 204 and server.verify(secret) == 401
    server.until(2, refusals, 5)
    order = case.sql("SELECT sequence_count, created_at FROM events ORDER BY sequence_count")
    times = [int(at) for _, at in order]
    assert times == sorted(times), "the log's times rise with its places"
    return "last use moved, the refusal left its event, the log stays in order"


@fault("16", "malformed reports of leaks", databases=("sqlite",))
def malformed_reports_spend_nothing(case):
    first = case.init()
    server = case.serve()
    _, leaked = issue(server, first, "leaked")
    for body in [b"{", b"{}", b'{"secrets": []}', b" " * 70_000] * 10:
        assert server.status("POST", "/leaks", body=body) in (400, 413)
    status = server.status("POST", "/leaks", body={"secrets": [leaked]})
    assert status == 204, f"a good report after 40 malformed ones: {status}"
    assert server.verify(leaked) == 401
    return "a good report after 40 malformed ones is taken"


@fault("18", "the first secret in the environment", databases=("sqlite",))
def the_first_secret_leaves_the_environment(case):
    secret = subprocess.run([case.settings.binary, "secret"], capture_output=True, text=True, env=clean()).stdout.strip()
    server = case.serve(env={"TOKENWARD_BOOTSTRAP_TOKEN": secret})
    assert server.verify(secret) == 200
    with open(f"/proc/{server.process.pid}/environ", "rb") as environ:
        assert secret.encode() not in environ.read(), "the environment holds the secret"
    assert secret not in server.printed() + server.logged()
    return "/proc/PID/environ doesn't hold it, and it is good"


BEFORE = {
    "delete_an_account_with_very_many_users sqlite": "30000 users: 503 after 30 s, the account stays, writes beside it 503",
    "delete_a_user_with_very_many_tokens sqlite": "60000 tokens: writes beside it 503 while it lasts",
    "delete_a_user_with_very_many_tokens postgres": "60000 tokens: 503 after 30 s, the user stays",
    "verification_does_not_wait_for_writes sqlite": "each /verify 252 to 279 ms",
    "verification_does_not_wait_for_writes postgres": "each /verify 252 to 340 ms",
    "retention_does_not_believe_a_jump sqlite": "14 of 14 events forgotten",
    "retention_does_not_believe_a_jump postgres": "14 of 14 events forgotten",
    "notes_move_when_the_clock_goes_back sqlite": "last use stands still for a day, refusals leave no event",
    "notes_move_when_the_clock_goes_back postgres": "last use stands still for a day, refusals leave no event",
    "malformed_reports_spend_nothing sqlite": "a good report after malformed ones: 429",
    "the_first_secret_leaves_the_environment sqlite": "/proc/PID/environ holds the secret for ever",
}
