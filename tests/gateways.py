"""nginx, HAProxy and Caddy with the configurations that we ship, in front of a small application: `gateways.py path/to/tokenward`."""

import contextlib
import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import yaml

BINARY = os.path.abspath(sys.argv[1])
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")
# Well-formed, and nobody's.
UNKNOWN = "tokward00000000000000000000000000000000000000000001xVqUp"

GATEWAYS = {
    "nginx": (["nginx.conf"], ["nginx", "-p", ".", "-c", "nginx.conf", "-g", "daemon off; pid nginx.pid; error_log stderr;"]),
    "haproxy": (["haproxy.cfg", "haproxy.lua"], ["haproxy", "-db", "-f", "haproxy.cfg"]),
    "caddy": (["Caddyfile"], ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"]),
}


def same(got, wanted, what=""):
    assert got == wanted, f"{what}: {got!r} instead of {wanted!r}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "it doesn't get ready"
            time.sleep(0.05)


class Application(http.server.BaseHTTPRequestHandler):
    """Answers with the request that has reached it."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        seen = {"method": self.command, "path": self.path, "headers": self.headers.items(), "body": self.rfile.read(length).decode()}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def call(port, method, path, headers=(), body=None):
    """The status, the headers and what the application has seen, if anything."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path)
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, dict((name.lower(), value) for name, value in response.headers.items()), text


def bearer(secret):
    return [("Authorization", f"Bearer {secret}")]


def exercise(gateway, tokenward, first):
    def through(method="GET", path="/", headers=(), body=None):
        return call(gateway, method, path, headers, body)

    account = f"/accounts/{first['accountID']}/core/v1"
    tokens = f"{account}/users/{first['userID']}/tokens"

    def made(path, **fields):
        status, _, text = call(tokenward, "POST", f"{account}/{path}", bearer(first["token"]), json.dumps(fields).encode())
        same(status, 201, path)
        return json.loads(text)

    issued = made(f"users/{first['userID']}/tokens", type="application/astra-token", version="1.0", name="gateway")

    # A good token passes with its identity; what a client claims to be goes nowhere.
    names = ("Account", "User", "Email", "Role", "Role-Constraints", "Token-Id", "Admin")
    forged = [(f"{prefix}{name}", "evil") for name in names for prefix in ("X-Auth-", "x-auth-")]
    underscored = [("X_Auth_User", "evil"), ("X_AUTH_ROLE", "evil"), ("X-Auth_Account", "evil"), ("X-Auth_Role_Constraints", "evil")]
    wanted = {
        "x-auth-account": first["accountID"],
        "x-auth-user": first["userID"],
        "x-auth-email": "owner@example.com",
        "x-auth-role": "owner",
        "x-auth-token-id": issued["id"],
        "x-auth-role-constraints": '["*"]',
    }
    for method, path, body in [("GET", "/orders/7?role=admin&x=%2F", None), ("POST", "/verify", b"a body"), ("DELETE", "/x", None)]:
        for more in ([], forged + underscored):
            status, _, text = through(method, path, bearer(issued["token"]) + more, body)
            same(status, 200, method)
            seen = json.loads(text)
            same((seen["method"], seen["path"], seen["body"]), (method, path, (body or b"").decode()))
            identity = [(name.lower(), value) for name, value in seen["headers"] if name.lower() in wanted]
            same(sorted(identity), sorted(wanted.items()), "identity")
            assert "evil" not in [value for name, value in seen["headers"] if name.lower().replace("_", "-") in wanted], seen
            assert issued["token"] not in text.decode(), "the application was told the secret"

    # A token that is no good is refused by 401, and never by 500.
    refused = [[], bearer(""), bearer("nonsense"), bearer(UNKNOWN), [("Authorization", "Basic YTpi")]]
    for headers in refused:
        status, answered, _ = through(headers=headers)
        same(status, 401, headers)
        assert answered["www-authenticate"].startswith("Bearer"), answered
    # nginx refuses these by itself.
    assert through(headers=bearer(issued["token"]) * 2)[0] in (400, 401), "two tokens passed"
    for headers in (forged, underscored):
        same(through(headers=headers)[0], 401, "forged")

    # The scopes of a role arrive whole, also the longest ones beside the longest email.
    longest = [letter * 255 for letter in "abcdefghijklmno"]
    for email, constraints in [("scoped@example.com", ["project: a, b", "100% Łódź"]), ("𝄞" * 242 + "@example.com", longest)]:
        user = made("users", type="application/astra-user", version="1.2", email=email)["id"]
        made("roleBindings", type="application/astra-roleBinding", version="1.1", accountID=first["accountID"], userID=user, role="viewer",
             roleConstraints=constraints)
        scoped = made(f"users/{user}/tokens", type="application/astra-token", version="1.0", name="scoped")
        status, _, text = through(headers=bearer(scoped["token"]) + forged + underscored)
        same(status, 200, "scoped")
        told = {name.lower(): urllib.parse.unquote(value) for name, value in json.loads(text)["headers"]}
        same((told["x-auth-email"], json.loads(told["x-auth-role-constraints"])), (email, constraints), "scopes")

    # Revoked, it is refused by the very next request.
    same(call(tokenward, "DELETE", f"{tokens}/{issued['id']}", bearer(first["token"]))[0], 204)
    same(through(headers=bearer(issued["token"]))[0], 401, "revoked")
    same(through(headers=bearer(first["token"]))[0], 200)

    # Who is good, and not good enough.
    user = made("users", type="application/astra-user", version="1.2", email=f"user{gateway}@example.com")["id"]
    roleless = made(f"users/{user}/tokens", type="application/astra-token", version="1.0", name="roleless")
    same(through(headers=bearer(roleless["token"]))[0], 403, "no role")

    # Too many bad ones: refused by 403, while good ones pass.
    same([through(headers=bearer(UNKNOWN))[0] for _ in range(25)][-1], 403, "budget")
    same(through(headers=bearer(first["token"]))[0], 200)


class HalfAVerifier(http.server.BaseHTTPRequestHandler):
    """Lets everybody pass and doesn't say who it is, but for the account."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Auth-Account", "somebody's")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def in_background(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # A proxy that goes away tears its connections; that is no news.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def configure(folder, files, ports):
    """The configurations that we ship, with other ports."""
    for file in files:
        with open(os.path.join(EXAMPLES, file), encoding="utf-8") as shipped:
            text = re.sub(r"\b(8080|8000|9000)\b", lambda match: str(ports[match[0]]), shipped.read())
        with open(os.path.join(folder, file), "w", encoding="utf-8") as changed:
            changed.write(text)


@contextlib.contextmanager
def started(name, folder, ports):
    """A gateway; what it has said is shown when something goes wrong."""
    files, command = GATEWAYS[name]
    configure(folder, files, ports)
    with open(os.path.join(folder, "log"), "wb") as log:
        gateway = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "HOME": folder})
    try:
        wait_for(ports["8000"], gateway)
        yield
    except BaseException:
        with open(os.path.join(folder, "log"), encoding="utf-8") as log:
            sys.stderr.write(log.read()[-4_000:])
        raise
    finally:
        gateway.terminate()
        gateway.wait(10)


def nobody_passes_unnamed(application):
    """HAProxy copies the identity by a script of ours: without all of it nobody passes."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ports = {"8080": in_background(HalfAVerifier), "8000": free_port(), "9000": application}
        with started("haproxy", folder, ports):
            status, _, text = call(ports["8000"], "GET", "/", bearer("whatever"))
            same(status, 503, text)


def check_the_others():
    """Traefik and Envoy can't be had; their configurations are YAML at least."""
    for file in ("traefik.yaml", "envoy.yaml", "secret-scanners/trufflehog.yaml"):
        with open(os.path.join(EXAMPLES, file), encoding="utf-8") as shipped:
            assert isinstance(yaml.safe_load(shipped), dict), file


def main():
    check_the_others()
    names = sys.argv[2:] or list(GATEWAYS)
    application = in_background(Application)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            database = f"sqlite:{os.path.join(folder, 'tokenward.db')}"
            made = subprocess.run([BINARY, "init", "--database", database, "--format", "json"], check=True, capture_output=True, text=True)
            ports = {"8080": free_port(), "8000": free_port(), "9000": application}
            listen = f"127.0.0.1:{ports['8080']}"
            arguments = ["--database", database, "--listen", listen, "--log", "warn", "--trusted-proxy", "127.0.0.1"]
            server = subprocess.Popen([BINARY, "serve", *arguments])
            try:
                wait_for(ports["8080"], server)
                with started(name, folder, ports):
                    exercise(ports["8000"], ports["8080"], json.loads(made.stdout))
                    server.terminate()
                    same(server.wait(10), 0)
                    # Without tokenward nobody passes.
                    status = call(ports["8000"], "GET", "/", bearer(json.loads(made.stdout)["token"]))[0]
                    assert status in (500, 502, 503), status
            finally:
                server.terminate()
                server.wait(10)
        print(f"{name}: good")
    if "haproxy" in names:
        nobody_passes_unnamed(application)
        print("haproxy without an identity: good")


main()
