"""What the faults' reproductions share: databases, the server as a process, HTTP over raw sockets, a proxy before PostgreSQL that breaks.

Each `faults_*.py` beside this file holds functions that are marked with `@fault`. `all` runs them.
"""

import contextlib
import dataclasses
import json
import os
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = {"type": "application/astra-token", "version": "1.0"}


@dataclasses.dataclass
class Fault:
    """A reproduction: which of the record's numbers it belongs to, what breaks, and how it is done."""

    number: str
    title: str
    run: object
    databases: tuple
    long_only: bool
    about_data: bool


FAULTS = []


def fault(number, title, databases=("sqlite", "postgres"), long_only=False, about_data=False):
    """Marks a reproduction. It is run once for each database, with a `Case`, and fails by `assert`; what it returns is its figure.
    `about_data`: a failure may mean that something was lost."""

    def register(function):
        FAULTS.append(Fault(number, title, function, databases, long_only, about_data))
        return function

    return register


class Skipped(Exception):
    """This machine can't do it; the record says so. Never raised for what a package could bring."""


@dataclasses.dataclass
class Settings:
    """What `all` was called with."""

    binary: str
    postgres: str
    long: bool


class Case:
    """One run of a reproduction: its database, a folder, and what has to be ended with it."""

    def __init__(self, settings, kind):
        self.settings, self.kind, self.long = settings, kind, settings.long
        self.stack = contextlib.ExitStack()
        self.folder = tempfile.mkdtemp(prefix="tokenward-faults-")
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        if kind == "postgres":
            self.database = f"tokenward_faults_{os.getpid()}_{uuid.uuid4().hex[:8]}"
            self.sql_in("postgres", f"CREATE DATABASE {self.database}")
            self.stack.callback(self.sql_in, "postgres", f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
            self.url = f"{settings.postgres}/{self.database}"
        else:
            self.path = os.path.join(self.folder, "test.db")
            self.url = f"sqlite:{self.path}"

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return self.stack.__exit__(*failure)

    def sql_in(self, database, sql):
        """Runs SQL in a PostgreSQL database, behind the server's back; returns the rows, each a list of texts."""
        command = ["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", f"{self.settings.postgres}/{database}", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def sql(self, sql):
        """Runs SQL in the case's database, behind the server's back."""
        if self.kind == "postgres":
            return self.sql_in(self.database, sql)
        import sqlite3

        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection:
            rows = connection.execute(sql).fetchall() if sql.lstrip().upper().startswith(("SELECT", "PRAGMA")) else []
            if not rows:
                connection.executescript(sql)
            connection.commit()
            return [[str(cell) for cell in row] for row in rows]

    def init(self, url=None):
        """Creates the first account; returns its `First`."""
        done = subprocess.run([self.settings.binary, "init", "--database", url or self.url, "--format", "json"], capture_output=True, text=True, env=clean())
        assert done.returncode == 0, done.stderr
        return First(**json.loads(done.stdout))

    def serve(self, *arguments, url=None, env=(), prefix=(), wait=True, stderr=None):
        """Starts a server, which ends with the case."""
        server = Server(self.settings.binary, url or self.url, arguments, dict(env), list(prefix), self.folder, stderr)
        self.stack.callback(server.kill)
        if wait:
            server.wait()
        return server

    def proxy(self):
        """A proxy before PostgreSQL, which ends with the case, and the URL of the case's database through it."""
        host, port = re.search(r"@([^:/]+):?(\d*)", self.settings.postgres).groups()
        proxy = Proxy((host, int(port or 5432)))
        self.stack.callback(proxy.close)
        return proxy, f"postgres://postgres@127.0.0.1:{proxy.port}/{self.database}"

    def program(self, name):
        """Compiles a C file beside this one into a program."""
        program = os.path.join(self.folder, name.replace(".c", ""))
        subprocess.run(["cc", "-O1", "-o", program, os.path.join(HERE, name)], check=True)
        return program

    def knows(self, option):
        """Whether this binary has that option: those of before a fault was mended lack what mends it."""
        helped = subprocess.run([self.settings.binary, "serve", "--help"], capture_output=True, text=True)
        return option in helped.stdout

    def shared_library(self, name):
        """Compiles a C file beside this one into a library for LD_PRELOAD."""
        library = os.path.join(self.folder, name.replace(".c", ".so"))
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(HERE, name), "-ldl"], check=True)
        return library


@dataclasses.dataclass
class First:
    """What `tokenward init` has created."""

    accountID: str
    userID: str
    tokenID: str
    token: str

    @property
    def account(self):
        return f"/accounts/{self.accountID}"

    @property
    def users(self):
        return f"{self.account}/core/v1/users"

    @property
    def tokens(self):
        return f"{self.users}/{self.userID}/tokens"

    @property
    def mine(self):
        return f"{self.tokens}/{self.tokenID}"


def clean(extra=()):
    """This environment without settings for the server, and with those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENWARD_")}
    return {**kept, **dict(extra)}


class Server:
    """A server as a process."""

    def __init__(self, binary, url, arguments, env, prefix, folder, stderr):
        self.log = os.path.join(folder, f"log-{uuid.uuid4().hex[:6]}")
        self.out = os.path.join(folder, f"out-{uuid.uuid4().hex[:6]}")
        command = [*prefix, binary, "serve", "--database", url, "--listen", "127.0.0.1:0", *arguments]
        with open(self.out, "w") as out, open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=out, stderr=stderr or log, stdin=subprocess.DEVNULL, env=clean(env))

    def wait(self, seconds=60):
        """Waits until it says where it listens."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(r"listens on (https?)://127\.0\.0\.1:(\d+)", self.printed())
            if found:
                self.port = int(found[2])
                return self
            assert self.process.poll() is None, f"the server ended: {self.logged()}"
            assert time.monotonic() < deadline, f"the server isn't ready: {self.logged()}"
            time.sleep(0.02)

    def printed(self):
        with open(self.out) as out:
            return out.read()

    def logged(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def metrics_port(self):
        return int(re.search(r"Metrics: http://127\.0\.0\.1:(\d+)/metrics", self.printed())[1])

    def cpu(self):
        """Seconds of CPU that the process has used."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        """Bytes of resident memory."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024

    def terminate(self, seconds=12):
        """Asks it to end; returns how long that took."""
        begun = time.monotonic()
        self.process.terminate()
        self.process.wait(seconds)
        return time.monotonic() - begun

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def client(self, secret=None, timeout=30):
        return Client(self.port, secret, timeout)

    def call(self, method, path, secret=None, body=None, timeout=30, headers=()):
        """One request on a connection of its own."""
        with contextlib.closing(self.client(secret, timeout)) as client:
            return client.call(method, path, body, headers)

    def status(self, method, path, secret=None, body=None, timeout=30):
        return self.call(method, path, secret, body, timeout).status

    def verify(self, secret, timeout=30):
        return self.status("GET", "/verify", secret, timeout=timeout)

    def ready(self):
        return self.status("GET", "/readyz", timeout=5)

    def until(self, wanted, question, seconds, every=0.05):
        """Asks until the answer is the wanted one; returns after how many seconds that was."""
        begun, answer = time.monotonic(), None
        while time.monotonic() - begun < seconds:
            try:
                answer = question()
            except OSError as error:
                answer = error
            if answer == wanted:
                return time.monotonic() - begun
            time.sleep(every)
        raise AssertionError(f"after {seconds} s it still is {answer!r}, not {wanted!r}: {self.logged()[-2000:]}")


@dataclasses.dataclass
class Answer:
    """An HTTP answer, and how long it took in seconds."""

    status: int
    headers: dict
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)


class Client:
    """A connection that is kept."""

    def __init__(self, port, secret=None, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.secret, self.buffer = secret, b""

    def close(self):
        self.socket.close()

    def request(self, method, path, body=None, headers=()):
        """The bytes of a request."""
        body = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        head += [f"Authorization: Bearer {self.secret}"] if self.secret else []
        head += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*head, "", ""]).encode() + body

    def call(self, method, path, body=None, headers=()):
        begun = time.monotonic()
        self.socket.sendall(self.request(method, path, body, headers))
        answer = self.receive(method == "HEAD")
        answer.seconds = time.monotonic() - begun
        return answer

    def fill(self):
        more = self.socket.recv(65536)
        if not more:
            raise ConnectionError("the connection ended")
        self.buffer += more

    def receive(self, headless=False):
        """Reads an answer."""
        begun = time.monotonic()
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = 0 if headless else int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            self.fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(int(lines[0].split()[1]), headers, body, time.monotonic() - begun)


class Proxy:
    """A TCP proxy before PostgreSQL whose behaviour can be changed while it runs.

    `mode`: `pass`; `freeze` keeps what runs and what comes open and carries nothing; `refuse` closes whatever comes, and what runs;
    `greet` closes new connections after their first bytes. `delay`: seconds that everything takes longer. `lose()` freezes for ever the connections that are open now; new ones pass.
    """

    def __init__(self, target):
        self.target, self.mode, self.lost, self.pairs, self.delay = target, "pass", set(), [], 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port, self.lock, self.closed = self.listener.getsockname()[1], threading.Lock(), False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        if self.mode == "refuse":
            return client.close()
        if self.mode == "greet":
            with contextlib.suppress(OSError):
                client.recv(1)
            return client.close()
        try:
            server = socket.create_connection(self.target)
        except OSError:
            return client.close()
        pair = (client, server)
        with self.lock:
            self.pairs.append(pair)
        try:
            while not self.closed:
                if self.mode == "refuse":
                    break
                if self.mode == "freeze" or pair in self.lost:
                    time.sleep(0.01)
                    continue
                readable, _, _ = select.select(pair, [], [], 0.05)
                if self.mode == "freeze" or pair in self.lost:
                    continue
                for source in readable:
                    data = source.recv(65536)
                    if not data:
                        return
                    time.sleep(self.delay)
                    (server if source is client else client).sendall(data)
        except OSError:
            pass
        finally:
            with self.lock:
                self.pairs.remove(pair)
                self.lost.discard(pair)
            client.close()
            server.close()

    def lose(self):
        with self.lock:
            self.lost |= set(self.pairs)

    def close(self):
        self.closed = True
        self.listener.close()


def token_body(name="x"):
    return {**TOKEN, "name": name}


def issue(server, first, name="x"):
    """Issues a token: its id and secret."""
    answer = server.call("POST", first.tokens, first.token, token_body(name))
    assert answer.status == 201, answer
    made = answer.json()
    return made["id"], made["token"]


def in_parallel(count, work, *arguments):
    """Runs `work(n, …)` on that many threads; returns their results."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda n: work(n, *arguments), range(count)))


def median(values):
    return statistics.median(values)
