"""Connections and HTTP: who takes all places, who dribbles, who doesn't read, who hangs up, and what isn't quite HTTP."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from harness import Client, fault, in_parallel, median, token_body

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SQLITE = ("sqlite",)


def many_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))


def connect(server, source="127.0.0.1", timeout=10):
    """A connection from one of this machine's own addresses."""
    many_descriptors()
    return socket.create_connection(("127.0.0.1", server.port), timeout, source_address=(source, 0))


def ask(server, request, source="127.0.0.1", timeout=10, half_close=False):
    """Sends bytes on a connection of their own; the status, head and body of what comes back until it ends."""
    with contextlib.closing(connect(server, source, timeout)) as stream:
        stream.sendall(request)
        if half_close:
            stream.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while more := stream.recv(65536):
                answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]) if head else None), head.decode("latin-1").lower(), body


def get(path, secret=None, more=""):
    bearer = f"Authorization: Bearer {secret}\r\n" if secret else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}{more}Connection: close\r\n\r\n".encode()


def frame(kind, flags, stream, payload=b""):
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A header of HTTP/2, spelled out."""

    def text(text):
        length = len(text)
        if length < 127:
            return bytes([length]) + text
        rest, encoded = length - 127, b"\x7f"
        while rest >= 128:
            encoded += bytes([rest % 128 + 128])
            rest //= 128
        return encoded + bytes([rest]) + text

    return b"\x00" + text(name.encode()) + text(value.encode())


def block(fields):
    """The head of a request of HTTP/2."""
    return b"".join(literal(name, value) for name, value in fields)


def head2(path, secret=None):
    fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    return block(fields + ([("authorization", f"Bearer {secret}")] if secret else []))


def ask2(server, head, flags=5, timeout=10):
    """Sends a request of HTTP/2 with such a head; what comes back as its body, until it ends, and how it ended: `end` or `reset`."""
    pieces = [head[at:at + 16_000] for at in range(0, len(head), 16_000)]
    kinds = [(1, flags & ~4)] + [(9, 0)] * (len(pieces) - 1)
    kinds[-1] = (kinds[-1][0], kinds[-1][1] | 4)
    with contextlib.closing(connect(server, timeout=timeout)) as stream:
        stream.sendall(PREFACE + frame(4, 0, 0) + b"".join(frame(*kind, 1, piece) for kind, piece in zip(kinds, pieces)))
        received, body = b"", b""
        while True:
            while len(received) < 9 or len(received) < 9 + int.from_bytes(received[:3], "big"):
                more = stream.recv(65536)
                assert more, "the connection ended"
                received += more
            length, kind, set_flags, of = int.from_bytes(received[:3], "big"), received[3], received[4], int.from_bytes(received[5:9], "big")
            payload, received = received[9:9 + length], received[9 + length:]
            assert kind != 7, f"GOAWAY {payload}"
            if of == 1 and kind == 0:
                body += payload
            if of == 1 and (kind == 3 or (kind in (0, 1) and set_flags & 1)):
                return body, "reset" if kind == 3 else "end"


def is_open(stream):
    """Whether the server still holds the connection; throws away what has come."""
    stream.setblocking(False)
    try:
        while True:
            if not stream.recv(65536):
                return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def until_closed(connections, seconds, dribble):
    """Dribbles on each connection once a second; after how many seconds each was closed, or None."""
    begun, closed = time.monotonic(), {}
    while len(closed) < len(connections) and time.monotonic() - begun < seconds:
        for number, stream in enumerate(connections):
            if number in closed:
                continue
            if not is_open(stream):
                closed[number] = time.monotonic() - begun
                continue
            with contextlib.suppress(OSError):
                stream.send(dribble(number))
        time.sleep(1)
    return [closed.get(number) for number in range(len(connections))]


@fault("5", "2,000 connections of one address, each with a request every few seconds", SQLITE)
def hoarders(case):
    first = case.init()
    server = case.serve()
    hostile = []
    try:
        for _ in range(2000):
            with contextlib.suppress(OSError):
                stream = connect(server, "127.0.0.2", 5)
                stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                hostile.append(stream)
        took = []
        for _ in range(50):
            begun = time.monotonic()
            status, _, _ = ask(server, get(first.mine, first.token), timeout=5)
            assert status == 200, status
            took.append(time.monotonic() - begun)
        with contextlib.closing(server.client(first.token)) as kept:
            assert all(kept.call("GET", first.mine).status == 200 for _ in range(50))
        held = sum(is_open(stream) for stream in hostile)
        assert held <= 110, f"{held} connections of one address are open"
        assert median(took) < 0.5, took
    finally:
        for stream in hostile:
            stream.close()
    return f"good client: 100 of 100, median {median(took) * 1000:.1f} ms; the address keeps {held} connections"


@fault("5", "all places are taken by requests whose bodies dribble in, from nine addresses", SQLITE)
def crowd(case):
    first = case.init()
    # Small, so that it is quick: the default is 900 places.
    server = case.serve(env={"TOKENWARD_MAX_CONNECTIONS": "90"})
    head = f"POST {first.tokens} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {first.token}\r\nContent-Length: 1000\r\n\r\n{{".encode()
    stop, refused = threading.Event(), 0

    def hold(address):
        held = []
        while not stop.is_set():
            held = [stream for stream in held if is_open(stream)]
            while len(held) < 20 and not stop.is_set():
                with contextlib.suppress(OSError):
                    stream = connect(server, address, 2)
                    stream.sendall(head)
                    held.append(stream)
            for stream in held:
                with contextlib.suppress(OSError):
                    stream.send(b" ")
            stop.wait(0.3)
        for stream in held:
            stream.close()

    crowd = [threading.Thread(target=hold, args=(f"127.0.1.{n}",), daemon=True) for n in range(9)]
    [thread.start() for thread in crowd]
    try:
        time.sleep(1)
        health, served = [], 0
        for _ in range(20):
            for path in ["/healthz", "/readyz"]:
                begun = time.monotonic()
                assert ask(server, get(path), timeout=5)[0] == 200, path
                health.append(time.monotonic() - begun)
            status, head_, body = ask(server, get(first.mine, first.token), timeout=5)
            assert status == 200 or (status == 503 and b"problems/41" in body and "retry-after" in head_), (status, head_, body)
            served += status == 200
            time.sleep(0.1)
        assert served > 0, "nobody makes room for a good client"
    finally:
        stop.set()
        [thread.join() for thread in crowd]
    return f"health: 40 of 40, worst {max(health) * 1000:.0f} ms; good client: 200 for {served} of 20, else 503"


@fault("5", "heads and bodies that come a byte a second", SQLITE)
def dribblers(case):
    first = case.init()
    server = case.serve(env={"TOKENWARD_BODY_TIMEOUT": "5"})
    heads = [connect(server, "127.0.0.2") for _ in range(40)]
    for stream in heads:
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
    silent = [connect(server, "127.0.0.3") for _ in range(5)]
    bodies = [connect(server, "127.0.0.4") for _ in range(20)]
    for stream in bodies:
        head = f"POST {first.tokens} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {first.token}\r\nContent-Length: 1000\r\n\r\n{{"
        stream.sendall(head.encode())
    # A head in HTTP/2 that comes byte by byte, while another request is under way, whose body never comes.
    http2 = [connect(server, "127.0.0.5") for _ in range(5)]
    post = [(":method", "POST"), (":scheme", "http"), (":path", first.tokens), (":authority", "x"), ("authorization", f"Bearer {first.token}")]
    for stream in http2:
        under_way = frame(1, 4, 1, block(post))
        stream.sendall(PREFACE + frame(4, 0, 0) + under_way + frame(1, 5, 3, bytes(4000))[:9])
    dribbles = [b"x"] * 40 + [b""] * 5 + [b" "] * 20 + [b"\x00"] * 5
    closed = until_closed(heads + silent + bodies + http2, 45 if case.long else 20, lambda number: dribbles[number])
    worst = {}
    for name, times in [("heads", closed[:40]), ("silence", closed[40:45]), ("bodies", closed[45:65]), ("HTTP/2 heads", closed[65:])]:
        worst[name] = f"{sum(time is None for time in times)} of {len(times)} stay" if None in times else f"{max(times):.0f} s"
    assert None not in closed and max(closed) < 14 and max(closed[45:65]) < 9, worst
    return ", ".join(f"{name}: {seconds}" for name, seconds in worst.items()) + " (bodies have 5 s here)"


@fault("5", "slowhttptest: 300 slow heads", SQLITE)
def slow_heads(case):
    case.init()
    server = case.serve()
    assert shutil.which("slowhttptest"), "slowhttptest isn't installed"
    modes = {"heads": ["-H"], "bodies": ["-B"], "reading": ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32"]} if case.long else {"heads": ["-H"]}
    said = []
    for name, mode in modes.items():
        seconds = 120 if case.long else 25
        url = f"http://127.0.0.1:{server.port}/{'openapi.json' if name == 'reading' else 'healthz'}"
        attack = ["slowhttptest", *mode, "-c", "300", "-r", "300", "-i", "3", "-l", str(seconds), "-p", "2", "-u", url]
        with open(os.path.join(case.folder, name), "w") as out:
            running = subprocess.Popen(attack, stdout=out, stderr=subprocess.STDOUT)
        asked, good, begun = 0, 0, time.monotonic()
        while running.poll() is None:
            time.sleep(0.5)
            asked += 1
            good += ask(server, get("/healthz"), "127.0.0.9", 3)[0] == 200
        took = time.monotonic() - begun
        with open(os.path.join(case.folder, name)) as out:
            text = re.sub(r"\x1b\[[0-9;]*m", "", out.read())
        # It ends by itself when nothing is left to it.
        ended = re.search(r"Exit status:\s*(.*)", text)
        assert ended and "No open connections left" in ended[1], text[-600:]
        assert good == asked, f"{good} of {asked}"
        said.append(f"{name}: all closed after {took:.0f} s; another address: {good} of {asked}")
    return "; ".join(said)


@fault("3", "40 connections and one of HTTP/2 with 32 requests that read nothing of a page of 6 MB", SQLITE)
def unread(case):
    first = case.init()
    server = case.serve()
    labels = [{"name": f"n{n}", "value": "v" * 1000} for n in range(59)]
    with contextlib.closing(server.client(first.token)) as client:
        for n in range(100):
            body = {**token_body(f"t{n}"), "metadata": {"labels": labels}}
            assert client.call("POST", first.tokens, body).status == 201
        assert client.call("GET", f"{first.tokens}?limit=10").status == 200
    before = server.rss()
    connections = []
    for n in range(40):
        stream = connect(server, f"127.0.0.{2 + n % 8}")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.sendall(get(first.tokens, first.token))
        connections.append(stream)
    http2 = connect(server, "127.0.0.20")
    # No window at all for its answers.
    http2.sendall(PREFACE + frame(4, 0, 0, b"\x00\x04\x00\x00\x00\x00"))
    http2.sendall(b"".join(frame(1, 5, 2 * n + 1, head2(first.tokens, first.token)) for n in range(32)))
    begun, most, gone = time.monotonic(), 0, None
    while time.monotonic() - begun < 45:
        most = max(most, server.rss() - before)
        # The client of HTTP/2 answers every ping, and is there.
        with contextlib.suppress(OSError):
            http2.send(frame(6, 0, 0, b"12345678"))
        if gone is None and not is_open(http2):
            gone = time.monotonic() - begun
        if gone is not None and time.monotonic() - begun > 15:
            break
        time.sleep(0.2)
    for stream in [*connections, http2]:
        stream.close()
    assert most < 300e6, f"{most / 1e6:.0f} MB"
    assert gone is not None, "the connection of HTTP/2 is open after 45 s"
    return f"at most {most / 1e6:.0f} MB more; the connection of HTTP/2 ends after {gone:.0f} s"


def is_problem2(answer, wanted):
    body, _ = answer
    assert f'"status":"{wanted}"'.encode() in body and b'"correlationID":"' in body, answer


def is_problem(status, head, body, wanted):
    assert status == wanted, (status, head, body)
    identifier = re.search(r"x-correlation-id: ([0-9a-f-]{36})", head)
    assert identifier and "content-type: application/problem+json" in head, head
    assert f'"correlationID":"{identifier[1]}"'.encode() in body and f'"status":"{wanted}"'.encode() in body, body


@fault("15", "what the HTTP library, or nobody, would refuse: each answer is a problem", SQLITE)
def malformed(case):
    case.init()
    server = case.serve()
    line = b"GET /healthz HTTP/1.1\r\n"
    chunks = b"\r\n2\r\n{}\r\n0\r\n\r\n"
    requests = [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + b"x" * 500_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + b"x" * 8_000_000, 414),
        (b"GET /" + b"x" * 65_500 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (line + b"Host: x\r\nX: " + b"y" * 65_500 + b"\r\n\r\n", 431),
        (line + b"Host: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(150)) + b"\r\n", 431),
        (line + b"Host: x\r\nX: " + b"y" * 600_000 + b"\r\n\r\n", 431),
        # What comes behind a good request is told apart from it.
        (line + b"Host: x\r\n\r\n" + b"nonsense\r\n\r\n", 200),
        (line + b"\r\n", 400),
        (line + b"Host: x\r\nHost: x\r\n\r\n", 400),
        (line + b"Host: x\r\nHost: y\r\n\r\n", 400),
        (line + b"Host:\r\n\r\n", 400),
        (line + b"Host: a b\r\n\r\n", 400),
        (line + b"Host: a@b\r\n\r\n", 400),
        *[(line + b"Host: %s\r\n\r\n" % host, 400) for host in HOSTS],
        # Whatever is asked for, and in the same words everywhere.
        *[(b"%s HTTP/1.1\r\n%s\r\n" % (target, host), 400) for target in TARGETS for host in (b"", b"Host: [zz]\r\n")],
        (b"GET http://[zz]/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /leaks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n" + chunks, 400),
        (b"POST /leaks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n" + chunks, 400),
        (b"POST /leaks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + chunks, 400),
        (b"POST /leaks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n" + chunks, 400),
        (b"POST /leaks HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" + chunks, 400),
        (b"POST /leaks HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n{}", 400),
    ]
    for request, wanted in requests:
        status, head, body = ask(server, request)
        if wanted != 200:
            is_problem(status, head, body, wanted)
        else:
            assert status == 200, head
            second_head, _, second = body[body.index(b"HTTP/1.1 4"):].partition(b"\r\n\r\n")
            is_problem(int(second_head.split()[1]), second_head.decode().lower(), second, 400)
    assert ask(server, b"GET /healthz HTTP/1.0\r\n\r\n")[0] == 200, "HTTP/1.0 needs no Host"
    # On a connection that has had a request with a body.
    with contextlib.closing(connect(server)) as stream:
        stream.sendall(b"POST /leaks HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert b" 400 " in stream.recv(65536)
        stream.sendall(b"GET /" + b"x" * 500_000)
        assert b" 414 " in stream.recv(65536)
    start = [(":method", "GET"), (":scheme", "http"), (":path", "/healthz")]
    http2 = [
        (start, 400),
        (start + [("host", "")], 400),
        (start + [("host", "x"), ("host", "x")], 400),
        (start + [(":authority", "x"), ("host", "y")], 400),
        (start[:2] + [(":path", "/" + "x" * 65_500), (":authority", "x"), ("y", "z" * 100)], 414),
        (start + [(":authority", "x"), ("y", "z" * 66_000)], 431),
        (start + [(":authority", "x"), ("y", "z" * 120_000)], 431),
    ]
    http2 += [(start + [("host", host.decode("latin-1"))], 400) for host in HOSTS if host.isascii()]
    http2 += [(start + [(":authority", host)], 400) for host in ("[zz]", "a@b", "x:99999", "x:+1", "[::1]x")]
    for fields, wanted in http2:
        is_problem2(ask2(server, block(fields)), wanted)
    for fields in (start + [(":authority", "x")], start + [("host", "x")], start + [(":authority", "[::1]:80"), ("host", "[::1]:80")]):
        assert b'"ok"' in ask2(server, block(fields))[0], fields
    total = len(requests) + 1 + len(http2)
    return f"{total} of {total}, {len(http2)} of them over HTTP/2"


# What is no host, and what may be asked for.
HOSTS = [b"x:port", b"x:99999", b"x:+1", b"[zz]", b"[]", b"[::1", b"::1", b"[::1]x", b"a/b", b"a%zz", b"<a>", b":80", b"a?b", b"a\xff"]
TARGETS = [b"GET /verify", b"GET /verify/for/x", b"GET /readyz", b"GET /docs", b"GET /nothing", b"GET /accounts", b"GET /whoami",
           b"POST /oauth2/revoke", b"OPTIONS *", b"OPTIONS /accounts", b"DELETE /accounts", b"BREW /"]


@fault("15", "clients that close their side and wait, and clients that hang up", SQLITE)
def half_closed(case):
    first = case.init()
    server = case.serve()
    # While something else holds the file, writes wait.
    import sqlite3

    other = sqlite3.connect(case.path, isolation_level=None, check_same_thread=False)

    def post(name, more=b""):
        body = f'{{"type":"application/astra-token","version":"1.0","name":"{name}"}}'.encode()
        head = f"POST {first.tokens} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {first.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body + more

    begun = time.monotonic()
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.7, lambda: other.execute("ROLLBACK"))
    release.start()
    status, head, body = ask(server, post("waits"), half_close=True)
    answered = time.monotonic() - begun
    release.join()
    assert status == 201, f"{status} after {answered:.1f} s"
    pipelined = get(first.mine, first.token).replace(b"Connection: close\r\n", b"") * 3
    _, _, rest = ask(server, pipelined, half_close=True)
    assert rest.count(b"HTTP/1.1 200") == 2, rest
    # Who hangs up isn't worked for any longer: not even if it has sent more, which waits to be read (as long as it fits into the socket).
    other.execute("BEGIN IMMEDIATE")
    for name, more in [("gone", b""), ("gone-too", b"G"), ("gone-as-well", b"G" * 30_000)]:
        with contextlib.closing(connect(server)) as stream:
            stream.sendall(post(name))
            time.sleep(0.2)
            stream.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                stream.send(more)
    time.sleep(4)
    other.execute("ROLLBACK")
    time.sleep(1)
    names = [row[0] for row in case.sql("SELECT name FROM tokens")]
    kept = [name for name in names if name.startswith("gone")]
    assert not kept, f"done for nobody: {kept}"
    return f"a half-closed client is answered after {answered:.1f} s, three pipelined requests are, too; 0 of 3 writes done for who has gone"


@fault("15", "the answer to a request whose body isn't wanted, and doesn't come", SQLITE)
def unwanted_body(case):
    first = case.init()
    server = case.serve()
    begun = time.monotonic()
    with contextlib.closing(Client(server.port)) as client:
        client.socket.sendall(f"POST {first.tokens} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n{{".encode())
        assert client.receive().status == 401
        answered = time.monotonic() - begun
        assert answered < 1, f"{answered:.1f} s"
    # Who sends it all the same gets to its answer, and goes on.
    with contextlib.closing(Client(server.port)) as client:
        assert client.call("POST", first.tokens, b"x" * 3_000_000).status == 401
        client.secret = first.token
        assert client.call("GET", first.mine).status == 200
    # One that is too large is refused by what is told of it, and as soon as it is.
    post = [(":method", "POST"), (":scheme", "http"), (":path", first.tokens), (":authority", "x"), ("authorization", f"Bearer {first.token}")]
    head = f"POST {first.tokens} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {first.token}\r\n".encode()
    slowest = 0
    for more in [
        b"Content-Length: 65537\r\n\r\n",
        b"Content-Length: 3000000\r\n\r\n{",
        b"Content-Length: 18446744073709551000\r\n\r\n",
        b"Content-Length: 3000000\r\nExpect: 100-continue\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b" " * 65537,
        None,
    ]:
        begun = time.monotonic()
        if more is None:
            is_problem2(ask2(server, block([*post, ("content-length", "3000000")]), flags=4), 413)
        else:
            with contextlib.closing(connect(server)) as stream:
                stream.sendall(head + more)
                received = stream.recv(65536)
                assert received.startswith(b"HTTP/1.1 413 ") and b"problems/85" in received, (more[:60], received[:200])
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 0.5, f"413 after {slowest:.1f} s"
    with contextlib.closing(connect(server)) as stream:
        stream.sendall(head + b"Content-Length: 65536\r\nExpect: 100-continue\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 100 "), "what isn't too large is asked for"
    return f"401 after {answered * 1000:.0f} ms, 413 after {slowest * 1000:.0f} ms"


@fault("16", "fewer file descriptors than connections", SQLITE)
def descriptors(case):
    first = case.init()
    limited = ["prlimit", "--nofile=256:256"]
    server = case.serve("--max-connections", "900", prefix=limited)
    server.until(True, lambda: "ulimit" in server.logged(), 5)
    many_descriptors()
    held, answers = [], []
    try:
        for n in range(400):
            with contextlib.suppress(OSError):
                stream = connect(server, f"127.0.2.{n // 40}", 3)
                stream.sendall(get(first.mine, first.token).replace(b"Connection: close\r\n", b""))
                held.append(stream)
        for _ in range(50):
            answers.append(ask(server, get(first.mine, first.token), timeout=5)[0])
        made = server.status("POST", first.tokens, first.token, token_body())
        assert answers == [200] * 50 and made == 201, (answers, made)
        with open(f"/proc/{server.process.pid}/limits") as limits:
            assert "256" in next(line for line in limits if "open files" in line)
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    finally:
        for stream in held:
            stream.close()
    return f"it says so, serves fewer, and 51 of 51 requests succeed beside 400 connections; {used} of 256 are used"


@fault("16", "128 file descriptors: clients that come and go, beside others that idle", databases=("postgres",))
def few_descriptors(case):
    first = case.init()
    server = case.serve(prefix=["prlimit", "--nofile=128:128"])
    many_descriptors()
    idle = []
    try:
        for n in range(200):
            with contextlib.suppress(OSError):
                stream = connect(server, f"127.0.2.{n // 20}", 3)
                stream.sendall(get("/healthz").replace(b"Connection: close\r\n", b""))
                idle.append(stream)
        deadline = time.monotonic() + (60 if case.long else 4)

        def come_and_go(n):
            seen = []
            while time.monotonic() < deadline:
                if n == 0:
                    seen.append(server.status("POST", first.tokens, first.token, token_body()))
                else:
                    seen.append(server.verify(first.token))
            return seen

        seen = [status for some in in_parallel(8, come_and_go) for status in some]
    finally:
        for stream in idle:
            stream.close()
    failed = {status: seen.count(status) for status in set(seen) - {200, 201}}
    assert not failed, f"{failed} of {len(seen)}"
    return f"{len(seen)} of {len(seen)} requests succeed beside {len(idle)} connections that idle"


@fault("18", "a certificate on a file that blocks", SQLITE)
def blocking_certificate(case):
    case.init()
    fifo, cert, key = (os.path.join(case.folder, name) for name in ["fifo", "cert.pem", "key.pem"])
    os.mkfifo(fifo)
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "3", "-subj", "/CN=localhost"]
    subprocess.run(make, check=True, capture_output=True)
    stuck = case.serve("--tls-cert", fifo, "--tls-key", key, wait=False)
    begun = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        stuck.process.wait(8)
    assert stuck.process.returncode not in (None, 0), "it hangs at the start"
    said = time.monotonic() - begun
    assert "fifo" in stuck.logged(), stuck.logged()
    server = case.serve("--tls-cert", cert, "--tls-key", key)
    context = ssl._create_unverified_context()

    def healthy():
        with context.wrap_socket(connect(server, timeout=5)) as stream:
            stream.sendall(get("/healthz"))
            return stream.recv(1000).startswith(b"HTTP/1.1 200")

    assert healthy()
    os.replace(fifo, cert)
    for _ in range(4):
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.7)
        assert healthy()
    assert "stays as it was" in server.logged(), server.logged()
    ended = server.terminate()
    return f"the start says so after {said:.1f} s; a reload changes nothing, and the server ends in {ended:.1f} s"


BEFORE = {
    "hoarders sqlite": "failed: 189 connections of one address were open after 62 s",
    "crowd sqlite": "failed: /healthz timed out after 5 s",
    "dribblers sqlite": "failed: after 20 s 40 of 40 heads, 5 of 5 silent ones and 20 of 20 bodies stay",
    "slow_heads sqlite": "failed: 0 of 300 closed within 14 s",
    "unread sqlite": "failed: the connection of HTTP/2 is open after 45 s",
    "malformed sqlite": "a bare 400; no Host over HTTP/2, or [zz]: 200; a line of 500,000 bytes: 431",
    "half_closed sqlite": "failed: no answer",
    "unwanted_body sqlite": "401 after 2.0 s; 413 only when 64 KiB have come",
    "descriptors sqlite": "failed: it says nothing",
    "blocking_certificate sqlite": "failed: it hangs at the start",
}
