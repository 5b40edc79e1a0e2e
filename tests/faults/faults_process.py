"""What happens to the process: its log isn't read, more is asked of it than it can do, connections are few, files are open to others."""

import contextlib
import fcntl
import glob
import json
import os
import random
import re
import resource
import signal
import ssl
import subprocess
import sys
import threading
import time

from harness import Client, Skipped, fault, in_parallel, issue, median, token_body


def full_pipe():
    """A pipe of the smallest size, which nobody reads until somebody does."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    return reader, writer


def drain(reader, seconds, last):
    """All that comes until a line holds that text, or so many seconds have passed."""
    os.set_blocking(reader, False)
    got, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            more = os.read(reader, 65536)
            if not more:
                break
            got += more
            if last in got:
                deadline = min(deadline, time.monotonic() + 0.3)
        except BlockingIOError:
            time.sleep(0.005)
    return got.decode(errors="replace")


@fault("11.1", "nobody reads the log: a full pipe as standard error", databases=("sqlite",))
def stuck_log(case):
    first = case.init()
    reader, writer = full_pipe()
    case.stack.callback(os.close, reader)
    server = case.serve("--metrics-listen", "127.0.0.1:0", stderr=writer)
    os.close(writer)
    memory = server.rss()
    client = server.client(first.token, timeout=5)
    times = [client.call("GET", "/verify").seconds for _ in range(30_000 if case.long else 6_000)]
    assert server.rss() < memory + (16 << 20), "the log's memory has no bound"
    metrics = Client(server.metrics_port()).call("GET", "/metrics").body.decode()
    counted = int(re.search(r"^tokenward_log_lines_dropped_total (\d+)$", metrics, re.M)[1])
    assert counted > 0, "nothing was dropped"
    read = drain(reader, 20, b"lines were dropped")
    said = sum(int(number) for number in re.findall(r"lines were dropped.* lines=(\d+)", read))
    assert said == counted, (said, counted, read[-1000:])
    whole = sum("status=200" in line and "micros=" in line for line in read.splitlines())
    assert whole + counted >= len(times), (whole, counted, len(times))
    # Stuck once more: the end isn't held up.
    for _ in range(200):
        client.call("GET", "/verify")
    took = server.terminate()
    assert took < 8, took
    return f"{len(times)} answers, the slowest in {max(times) * 1000:.0f} ms; {counted} lines dropped and said; ended in {took:.1f} s"


@fault("11.2", "the terminal is stopped: a reader of the log under SIGSTOP, then gone", databases=("sqlite",))
def stopped_terminal(case):
    first = case.init()
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    case.stack.callback(cat.kill)
    fcntl.fcntl(cat.stdin, 1031, 4096)
    server = case.serve(stderr=cat.stdin)
    cat.stdin.close()
    client = server.client(first.token, timeout=5)
    cat.send_signal(signal.SIGSTOP)
    stopped = max(client.call("GET", "/verify").seconds for _ in range(300))
    cat.kill()
    cat.wait()
    gone = max(client.call("GET", "/verify").seconds for _ in range(300))
    took = server.terminate()
    return f"slowest answer {stopped * 1000:.0f} ms stopped, {gone * 1000:.0f} ms gone; ended in {took:.1f} s"


@fault("11.3", "nobody reads what a start says: a full pipe as standard output", databases=("sqlite",))
def stuck_stdout(case):
    first = case.init()
    reader, writer = full_pipe()
    case.stack.callback(os.close, reader)
    os.write(writer, b"x" * 4096)
    port = free_port()
    with open(os.path.join(case.folder, "log"), "w") as log:
        command = [case.settings.binary, "serve", "--database", case.url, "--listen", f"127.0.0.1:{port}"]
        process = subprocess.Popen(command, stdout=writer, stderr=log)
    os.close(writer)
    case.stack.callback(process.wait)
    case.stack.callback(process.kill)
    begun = time.monotonic()
    while time.monotonic() < begun + 8:
        try:
            answer = Client(port, first.token, 2).call("GET", "/verify")
            break
        except OSError:
            time.sleep(0.05)
    else:
        raise AssertionError("it doesn't serve")
    assert answer.status == 200, answer
    ready = time.monotonic() - begun
    begun = time.monotonic()
    process.terminate()
    process.wait(10)
    return f"serves after {ready:.1f} s; ended in {time.monotonic() - begun:.1f} s"


@fault("11.4", "the log is on a full disk", databases=("sqlite",))
def log_on_a_full_disk(case):
    disk = mounted_tmpfs(case, 1 << 20)
    first = case.init()
    filler, path = os.path.join(disk, "filler"), os.path.join(disk, "log")
    with open(path, "ab") as log:
        server = case.serve(stderr=log)
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    client = server.client(first.token, timeout=5)
    slowest = max(client.call("GET", "/verify").seconds for _ in range(500))
    os.remove(filler)
    client.call("GET", "/verify")
    time.sleep(0.2)
    client.call("GET", "/verify")
    server.terminate()
    with open(path) as log:
        lines = log.read().splitlines()
    said = sum(int(re.search(r"lines=(\d+)", line)[1]) for line in lines if "lines were dropped" in line)
    torn = [line for line in lines if not re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z ", line) or ("route=" in line and "correlation_id=" not in line)]
    assert said > 0 and not torn, (said, torn)
    return f"slowest answer {slowest * 1000:.0f} ms; {said} lines dropped and said, none torn"


def mounted_tmpfs(case, size):
    folder = os.path.join(case.folder, "disk")
    os.mkdir(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"no file system can be mounted: {done.stderr.strip()}")
    case.stack.callback(subprocess.run, ["umount", "-l", folder])
    return folder


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def load(case, server, request, connections, seconds, warm_up=1, wait=0):
    """Sends a request over and over; what was answered, by status."""
    command = [case.tool, str(server.port), str(connections), str(warm_up), str(seconds), str(wait)]
    done = subprocess.run(command, input=request, capture_output=True, check=True)
    return json.loads(done.stdout)


def many_descriptors(case):
    """What is started from here on may have as many as the system allows."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 14_000:
        raise Skipped(f"only {limits[1]} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    case.stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)


class Meanwhile:
    """Those that must get through while others overload the server: revocations, verifications, and who asks whether it is ready."""

    def __init__(self, server, first):
        self.server, self.first, self.seen, self.over = server, first, [], threading.Event()
        self.doomed = [issue(server, first)[0] for _ in range(30)]
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        # The load's clients come first.
        self.over.wait(1.5)
        while not self.over.is_set() and self.doomed:
            for method, path, wanted in [("GET", "/verify", 200), ("GET", "/readyz", 200), ("DELETE", f"{self.first.tokens}/{self.doomed.pop()}", 204)]:
                answer = self.server.call(method, path, self.first.token, timeout=20)
                self.seen.append((answer.status == wanted, answer.seconds, method, path, answer.status))
            self.over.wait(0.1)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def slowest(self, wanted):
        return max(took for _, took, method, *_ in self.seen if method == wanted)


def overloaded(case, wait):
    """What 200 clients and 6,400 get done, in turns: the machine may have other work, and the tables grow. Those of the 6,400 that are
    refused ask again after so many milliseconds."""
    many_descriptors(case)
    first = case.init()
    case.tool = case.program("load.c")
    more = ["--max-connections-per-client", "9000"] if case.knows("--max-connections-per-client") else []
    more += ["--max-tokens-per-user", "0"] if case.knows("--max-tokens-per-user") else []
    server = case.serve("--max-connections", "9000", *more)
    create = server.client(first.token).request("POST", first.tokens, token_body())
    seconds, peak, made, refused, seen, revoked = 10 if case.long else 2, 0, 0, [], [], 0
    for _ in range(3):
        peak += load(case, server, create, 200, seconds)["201"]["count"]
        with Meanwhile(server, first) as meanwhile:
            answers = load(case, server, create, 6_400, seconds, warm_up=3, wait=wait)
        made += answers.get("201", {"count": 0})["count"]
        refused.append(answers.get("503", {"count": 0, "median": 0, "p99": 0}))
        seen += meanwhile.seen
        revoked = max(revoked, meanwhile.slowest("DELETE"))
    peak, made = peak / seconds / 3, made / seconds / 3
    middle, high = median([some["median"] for some in refused]), median([some["p99"] for some in refused])
    figure = (
        f"{made:.0f} a second of {peak:.0f}; refused in {middle:.0f} ms (99 of 100 within {high:.0f}); meanwhile verified within "
        f"{max(took for _, took, _, path, _ in seen if path == '/verify') * 1000:.0f} ms, revoked within {revoked:.1f} s"
    )
    assert made >= 0.8 * peak, figure
    assert all(some["count"] for some in refused), figure
    assert len(seen) > 5 and all(held for held, *_ in seen), (figure, [row for row in seen if not row[0]])
    assert server.ready() == 200
    return figure, middle


@fault("12.1", "overload: 6,400 clients create tokens as fast as they are let")
def overload(case):
    figure, refused = overloaded(case, wait=1_000)
    assert refused <= 50, figure
    return figure


@fault("12.2", "overload: 6,400 clients create tokens, and ask again at once when they are refused")
def overload_without_pause(case):
    # Whoever doesn't wait as it was told to is refused when it should have asked.
    return overloaded(case, wait=0)[0]


def limited_role(case, limit):
    """A role with so many connections that owns the case's database; and the URL for it."""
    role = f"limited_{case.database[-8:]}"
    case.sql_in("postgres", f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {limit}")
    case.sql_in("postgres", f"ALTER DATABASE {case.database} OWNER TO {role}")
    case.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON SCHEMA public TO {role}")

    def drop():
        case.sql_in("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
        case.sql_in("postgres", f"ALTER DATABASE {case.database} OWNER TO CURRENT_USER")
        case.sql(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}")
        case.sql_in("postgres", f"DROP ROLE {role}")

    case.stack.callback(drop)
    return role, re.sub(r"//[^@/]*@", f"//{role}@", case.url)


@fault("14.1", "the role is allowed 4 connections, and all are wanted", databases=("postgres",))
def few_connections(case):
    first = case.init()
    role, url = limited_role(case, 4)
    server = case.serve(url=url)
    deadline = time.monotonic() + (60 if case.long else 4)

    def read(_):
        client, seen = server.client(first.token), []
        while time.monotonic() < deadline:
            seen.append(client.call("GET", "/verify").status)
        return seen

    def write(_):
        client, seen = server.client(first.token), []
        while time.monotonic() < deadline:
            seen.append(client.call("POST", first.tokens, token_body()).status)
        return seen

    answers = in_parallel(24, lambda n: (n % 4 == 0, (write if n % 4 == 0 else read)(n)))
    writes = [status for is_write, seen in answers if is_write for status in seen]
    reads = [status for is_write, seen in answers if not is_write for status in seen]
    figure = f"{reads.count(200)} of {len(reads)} reads, {writes.count(201)} of {len(writes)} writes"
    assert reads.count(200) == len(reads) and writes.count(201) == len(writes) and writes, figure
    held = int(case.sql_in("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'")[0][0])
    assert held <= 4, held
    return f"{figure}, on {held} connections"


@fault("14.2", "the role's connections become fewer while it serves, and more again", databases=("postgres",))
def fewer_connections(case):
    first = case.init()
    role, url = limited_role(case, 12)
    server = case.serve(url=url)
    assert server.status("POST", first.tokens, first.token, token_body()) == 201
    case.sql_in("postgres", f"ALTER ROLE {role} CONNECTION LIMIT 0")
    case.sql_in("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
    time.sleep(0.2)
    seen = {server.verify(first.token), server.status("POST", first.tokens, first.token, token_body())}
    assert seen == {503}, seen
    case.sql_in("postgres", f"ALTER ROLE {role} CONNECTION LIMIT 12")
    took = server.until(201, lambda: server.status("POST", first.tokens, first.token, token_body()), 5)
    return f"503 with none, 201 {took:.1f} s after there are some"


@fault("14.4", "the rest of the role's connections is held by somebody else", databases=("postgres",))
def held_connections(case):
    first = case.init()
    role, url = limited_role(case, 8)
    server = case.serve(url=url)
    # One connection to read, one to write; then others take what is left.
    assert server.verify(first.token) == 200 and server.status("POST", first.tokens, first.token, token_body()) == 201
    others = []
    with contextlib.ExitStack() as stack:
        while int(case.sql_in("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'")[0][0]) < 8:
            assert len(others) < 8
            others.append(subprocess.Popen(["psql", "-Xq", url, "-c", "SELECT pg_sleep(60)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            stack.callback(others[-1].wait)
            stack.callback(others[-1].kill)
            time.sleep(0.3)
        seen = busy(server, first, 60 if case.long else 5)
    assert set(seen) <= {200, 201}, {status: seen.count(status) for status in set(seen)}
    return f"{len(seen)} of {len(seen)} requests succeed on the connections that are left"


def busy(server, first, seconds):
    """24 clients that verify and create for so long; what was answered."""
    deadline = time.monotonic() + seconds

    def ask(n):
        client, seen = server.client(first.token), []
        while time.monotonic() < deadline:
            answer = client.call("POST", first.tokens, token_body()) if n % 4 == 0 else client.call("GET", "/verify")
            seen.append(answer.status)
        return seen

    return [status for seen in in_parallel(24, ask) for status in seen]


@fault("14.5", "the role's limit is lowered under load, and raised again", databases=("postgres",))
def lowered_limit(case):
    first = case.init()
    role, url = limited_role(case, 12)
    server = case.serve(url=url)
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    busy(server, first, 1)
    lowered = threading.Timer(1, lambda: (case.sql_in("postgres", f"ALTER ROLE {role} CONNECTION LIMIT 2"), case.sql_in("postgres", end)))
    lowered.start()
    busy(server, first, 8)
    lowered.join()
    case.sql_in("postgres", f"ALTER ROLE {role} CONNECTION LIMIT 12")
    begun = time.monotonic()
    while set(busy(server, first, 0.5)) != {200, 201}:
        assert time.monotonic() - begun < 15, "requests still fail"
    took = time.monotonic() - begun - 0.5
    assert took < 3, f"{took:.1f} s"
    return f"all succeed {took:.1f} s after the limit was raised"


@fault("14.6", "a second server on a role whose connections the first one has", databases=("postgres",))
def second_server(case):
    first = case.init()
    role, url = limited_role(case, 6)
    one = case.serve(url=url)
    busy(one, first, 1)
    in_parallel(8, lambda n: one.status("GET", first.tokens, first.token))
    two = case.serve(url=url, wait=False)
    assert two.process.wait(15) == 1
    said = two.logged().strip()
    assert "CONNECTION LIMIT" in said and said.count("\n") == 0, said
    return "refused in a sentence that says what to raise"


@fault("14.3", "the role is allowed 2 connections: too few to start", databases=("postgres",))
def too_few_connections(case):
    case.init()
    role, url = limited_role(case, 2)
    server = case.serve(url=url, wait=False)
    assert server.process.wait(15) == 1
    said = server.logged().strip()
    assert "CONNECTION LIMIT" in said and said.count("\n") == 0, said
    return "refused in a sentence that says what to raise"


@fault("17.5", "files that others may read: the database, the key, the first token", databases=("sqlite",))
def readable_files(case):
    first = case.init()
    key, certificate, token = (os.path.join(case.folder, name) for name in ("key.pem", "cert.pem", "token"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate]
        + ["-days", "2", "-subj", "/CN=localhost"],
        check=True,
        capture_output=True,
    )
    with open(token, "w") as file:
        file.write(first.token)
    os.chmod(token, 0o600)
    tls = ["--tls-cert", certificate, "--tls-key", key]
    fresh = f"sqlite:{os.path.join(case.folder, 'fresh.db')}"
    for path, url, arguments in [
        (case.path, case.url, []),
        (case.path + "-wal", case.url, []),
        (key, case.url, tls),
        (token, fresh, ["--bootstrap-token-file", token]),
        (case.folder, case.url, []),
    ]:
        if not os.path.exists(path):
            open(path, "w").close()
            os.chmod(path, 0o600)
        mode = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode | 0o002 if os.path.isdir(path) else 0o644)
        server = case.serve(*arguments, url=url, wait=False)
        try:
            assert server.process.wait(5) == 1
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it serves though {path} is open to others") from None
        said = server.logged().strip()
        assert path in said and "chmod" in said and said.count("\n") == 0 and first.token not in said, said
        server = case.serve(*arguments, "--allow-readable-files", url=url)
        assert re.search(rf"WARN.*{re.escape(path)}", server.logged()), server.logged()
        server.terminate()
        with contextlib.suppress(FileNotFoundError):
            os.chmod(path, mode)
    case.serve(*tls).terminate()
    return "each refused in a sentence, served with a warning where that is allowed"


@fault("17.6", "a certificate's key becomes readable to others while it is served", databases=("sqlite",))
def key_that_is_opened(case):
    case.init()
    key, certificate = (os.path.join(case.folder, name) for name in ("key.pem", "cert.pem"))
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate]
    subprocess.run([*made, "-days", "2", "-subj", "/CN=old"], check=True, capture_output=True)
    server = case.serve("--tls-cert", certificate, "--tls-key", key)

    def served():
        return ssl.get_server_certificate(("127.0.0.1", server.port))

    old = served()
    subprocess.run([*made, "-days", "2", "-subj", "/CN=new"], check=True, capture_output=True)
    os.chmod(key, 0o644)
    server.process.send_signal(signal.SIGHUP)
    server.until(True, lambda: re.search(rf"ERROR.*{re.escape(key)} is open to others", server.logged()) is not None, 5)
    time.sleep(3)
    assert served() == old, "a key that others may read is served with"
    os.chmod(key, 0o600)
    took = server.until(True, lambda: served() != old, 5)
    return f"the old certificate stays until the key is closed to others; {took:.1f} s later the new one is served"


@fault("18", "the first token's file blocks, is endless, or huge", databases=("sqlite",))
def blocking_secret(case):
    fifo, huge, secret = (os.path.join(case.folder, name) for name in ("fifo", "huge", "secret"))
    os.mkfifo(fifo, 0o600)
    with open(huge, "w") as file:
        os.chmod(huge, 0o600)
        file.truncate(8 << 30)
    text = subprocess.run([case.settings.binary, "secret"], capture_output=True, text=True, check=True).stdout.strip()
    slowest = 0
    for path in [fifo, huge, "/dev/zero", case.folder]:
        begun = time.monotonic()
        allowed = ["--allow-readable-files"] if path == "/dev/zero" else []
        server = case.serve("--bootstrap-token-file", path, *allowed, wait=False)
        try:
            assert server.process.wait(10) == 1
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{path} holds up the start for ever") from None
        slowest = max(slowest, time.monotonic() - begun)
        said = server.logged().strip().splitlines()[-1]
        assert path in said, said
    threading.Thread(target=lambda: open(fifo, "w").write(text + "\n"), daemon=True).start()
    server = case.serve("--bootstrap-token-file", fifo)
    assert server.verify(text) == 200
    return f"each refused within {slowest:.1f} s; a pipe that brings a secret is taken"


def copies(pid, secret):
    """How often a process holds that text in its memory."""
    found = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if " r" in line[:40] and "[v" not in line:
                with contextlib.suppress(OSError, OverflowError):
                    memory.seek(begin)
                    found += memory.read(end - begin).count(secret.encode())
    return found


@fault("18", "the first secret in memory, after a start has shown it", databases=("sqlite",))
def secret_in_memory(case):
    server = case.serve()
    server.until(True, lambda: "Bearer " in server.printed(), 5)
    secret = re.search(r"Bearer (\w+)", server.printed())[1]
    time.sleep(1)
    left = copies(server.process.pid, secret)
    assert left == 0, f"{left} copies of it are left"
    assert server.verify(secret) == 200
    return "no copy of it is left"


class Writers:
    """Clients that create tokens and delete every other one, and keep account of what was acknowledged, and when."""

    def __init__(self, server, first, clients=8, mark=lambda: 0):
        self.created, self.deleted, self.asked, self.mark, self.ends = [], [], set(), mark, False
        self.threads = [threading.Thread(target=self.work, args=(server, first), daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def work(self, server, first):
        try:
            client, number = server.client(first.token), 0
            while not self.ends:
                answer = client.call("POST", first.tokens, token_body())
                if answer.status != 201:
                    continue
                made = answer.json()
                self.created.append((self.mark(), made["token"]))
                number += 1
                if number % 2:
                    self.asked.add(made["token"])
                    if client.call("DELETE", f"{first.tokens}/{made['id']}").status == 204:
                        self.deleted.append((self.mark(), made["token"]))
        except (OSError, ValueError, IndexError):
            pass  # the server was killed; what it left open is neither acknowledged nor refused

    def end(self):
        self.ends = True
        for thread in self.threads:
            thread.join(20)

    def check(self, server, moment=float("inf"), most=400):
        """What was acknowledged until then holds: tokens that were created are good, deleted ones aren't. Returns how many were looked at."""
        wanted = [(secret, 401) for at, secret in self.deleted if at <= moment]
        wanted += [(secret, 200) for at, secret in self.created if at <= moment and secret not in self.asked]
        wanted = wanted if len(wanted) <= most else wanted[-most // 2 :] + random.sample(wanted, most // 2)
        client = server.client()
        for secret, status in wanted:
            client.secret = secret
            answer = client.call("GET", "/verify").status
            assert answer == status, f"a token answers {answer} instead of {status}"
        return len(wanted)


@fault("0.1", "SIGKILL in the middle of writes", about_data=True)
def killed(case):
    first, looked, rounds = case.init(), 0, 50 if case.long else 3
    for _ in range(rounds):
        server = case.serve("--failure-budget", "0")
        writers = Writers(server, first)
        deadline = time.monotonic() + 20
        while len(writers.deleted) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.5))
        server.kill()
        writers.end()
        assert writers.deleted, "nothing was written"
        server = case.serve("--failure-budget", "0")
        looked += writers.check(server)
        server.terminate()
    return f"{rounds} kills; of {looked} acknowledged writes none was lost or undone"


def power_cut(case, kind):
    """Cuts the power of a disk while tokens are made and deleted on it, and looks at what is there afterwards."""
    import disk

    size, names = 320 << 20, ("image", "journal", "file", "cut")
    image, journal, file, left = (os.path.join(case.folder, name) for name in names)
    folder = os.path.join(case.folder, "mounted")
    os.mkdir(folder)
    for name in (image, journal, file):
        open(name, "w").close()
    os.truncate(image, size)

    def run(*command, may_fail=False):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode and not may_fail:
            raise Skipped(f"{command[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        raise Skipped("no FUSE, or no loop devices")
    daemon = subprocess.Popen([sys.executable, disk.__file__, image, journal, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    case.stack.callback(daemon.kill)
    if daemon.stdout.readline().strip() != "mounted":
        raise Skipped(daemon.stderr.read().strip())
    case.stack.callback(run, "umount", "-l", file, may_fail=True)
    device = run("losetup", "--find", "--show", file)
    case.stack.callback(run, "losetup", "--detach", device, may_fail=True)
    # What is missing is installed by the gate; it is no reason to skip.
    subprocess.run([f"mkfs.{kind}", *(["-E", "nodiscard"] if kind == "ext4" else ["-K"]), "-q", device], check=True)
    run("mount", device, folder)
    case.stack.callback(run, "umount", "-l", folder, may_fail=True)

    url = f"sqlite:{folder}/test.db"
    first = case.init(url)
    begun = os.path.getsize(journal)
    server = case.serve(url=url)
    writers = Writers(server, first, mark=lambda: os.path.getsize(journal))
    time.sleep(60 if case.long else 2.5)
    writers.end()
    server.terminate()
    ended = os.path.getsize(journal)
    run("umount", folder)
    looked, cuts = 0, 100 if case.long else 4
    for number in range(cuts):
        # At any moment, and just when something was acknowledged.
        moment = random.randrange(begun, ended) if number % 2 else random.choice(writers.created + writers.deleted)[0]
        disk.cut(journal, moment, size, left, seed=random.random())
        run("mount", "-o", "loop", left, folder)
        try:
            server = case.serve("--failure-budget", "0", url=url)
            looked += writers.check(server, moment, most=100)
            server.terminate()
            import sqlite3

            with contextlib.closing(sqlite3.connect(f"{folder}/test.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        finally:
            run("umount", folder)
    return f"{cuts} cuts among {len(writers.created) + len(writers.deleted)} writes; of {looked} acknowledged ones none was lost or undone"


@fault("0.2", "the power is cut, the database on ext4", databases=("sqlite",), about_data=True)
def power_cut_on_ext4(case):
    return power_cut(case, "ext4")


@fault("0.3", "the power is cut, the database on XFS", databases=("sqlite",), about_data=True)
def power_cut_on_xfs(case):
    return power_cut(case, "xfs")


@fault("0.4", "the clock jumps: two years ahead, then a day behind")
def clock_jumps(case):
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    first, seen = case.init(), []
    offset = os.path.join(case.folder, "offset")

    def at(text):
        with open(offset + ".new", "w") as file:
            file.write(text + "\n")
        os.replace(offset + ".new", offset)

    at("+0")
    fake = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": offset, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
    server = case.serve(env=fake.items())
    for jump in ("+0", "+730d", "-1d", "+0"):
        at(jump)
        time.sleep(1.2)
        made = server.call("POST", first.tokens, first.token, token_body(), timeout=5)
        assert made.status == 201, (jump, made)
        path, secret = f"{first.tokens}/{made.json()['id']}", made.json()["token"]
        renamed = server.call("PUT", path, first.token, token_body("y"), timeout=5)
        shown = server.call("GET", path, first.token, timeout=5).json()["metadata"]
        assert renamed.status == 204 and shown["modificationTimestamp"] > shown["creationTimestamp"], (jump, renamed, shown)
        seen.append(shown["creationTimestamp"])
        assert server.verify(secret) == 200 and server.status("DELETE", path, first.token) == 204 and server.verify(secret) == 401, jump
        assert server.ready() == 200, jump
    years = [int(text[:4]) for text in seen]
    assert years[1] >= years[0] + 1, f"the clock didn't jump: {seen}"
    assert server.terminate() < 8
    return "created, modified, verified and revoked at each; later is never earlier"


BEFORE = {
    "stuck_log sqlite": "no answer any more once the pipe was full",
    "stopped_terminal sqlite": "no answer any more once the pipe was full",
    "stuck_stdout sqlite": "never served",
    "log_on_a_full_disk sqlite": "lines were lost and nothing said",
    "overload sqlite": "33 a second of 180; refused after 3.5 s",
    "overload postgres": "245 a second of 430; refused after 4.3 s",
    "few_connections postgres": "526 of 536 reads, 15 of 25 writes",
    "fewer_connections postgres": "503 with none, 201 0.5 s after there are some",
    "too_few_connections postgres": "\"pool timed out while waiting for an open connection\"",
    "readable_files sqlite": "served without a word",
    "key_that_is_opened sqlite": "failed: served with",
    "blocking_secret sqlite": "failed: the start hangs for ever",
    "secret_in_memory sqlite": "failed: copies are left",
    "killed sqlite": "held",
    "killed postgres": "held",
    "power_cut_on_ext4 sqlite": "held",
    "power_cut_on_xfs sqlite": "held",
}
