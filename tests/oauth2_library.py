"""Authlib, an OAuth 2.0 library, as client and as resource server, unchanged: `oauth2_library.py path/to/tokenward`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import ResourceProtector
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7662 import IntrospectTokenValidator

BINARY = os.path.abspath(sys.argv[1])


def same(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


class Request:
    """What a resource server's framework makes of a request."""

    def __init__(self, secret):
        self.headers = {"Authorization": f"Bearer {secret}"}


def exercise(address, first):
    account = f"{address}/accounts/{first['accountID']}/core/v1"
    owner = requests.Session()
    owner.headers["Authorization"] = f"Bearer {first['token']}"

    def made(path, **fields):
        answer = owner.post(f"{account}/{path}", json=fields, timeout=10)
        same(answer.status_code, 201)
        return answer.json()

    user = made("users", type="application/astra-user", version="1.2", email="grace@example.com")["id"]
    made("roleBindings", type="application/astra-roleBinding", version="1.1", accountID=first["accountID"], userID=user, role="member")
    issued = made(f"users/{user}/tokens", type="application/astra-token", version="1.0", name="service")

    session = OAuth2Session(token={"access_token": first["token"], "token_type": "Bearer"})

    class Validator(IntrospectTokenValidator):
        def introspect_token(self, token_string):
            answer = session.introspect_token(f"{address}/oauth2/introspect", token=token_string, auth=session.token_auth)
            answer.raise_for_status()
            return answer.json()

    protector = ResourceProtector()
    protector.register_token_validator(Validator())

    token = protector.validate_request(["member"], Request(issued["token"]))
    wanted = {"active": True, "sub": user, "username": "grace@example.com", "jti": issued["id"], "client_id": issued["id"], "iss": address,
              "token_type": "Bearer", "scope": "viewer member", "account": first["accountID"], "role": "member", "role_constraints": ["*"]}
    same({name: value for name, value in token.items() if name != "iat"}, wanted)
    assert abs(token["iat"] - time.time()) < 600, token
    protector.validate_request(["viewer"], Request(issued["token"]))
    protector.validate_request(["owner"], Request(first["token"]))
    refused(InsufficientScopeError, lambda: protector.validate_request(["admin"], Request(issued["token"])))
    refused(InvalidTokenError, lambda: protector.validate_request(None, Request("nonsense")))

    # Whoever holds a token may revoke it: the library needs no credentials for that.
    public = OAuth2Session("anyone", revocation_endpoint_auth_method="none")
    for _ in range(2):
        same(public.revoke_token(f"{address}/oauth2/revoke", token=issued["token"], token_type_hint="access_token").status_code, 200)
    refused(InvalidTokenError, lambda: protector.validate_request(None, Request(issued["token"])))


def refused(error, attempt):
    try:
        attempt()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def main():
    # The library insists on TLS unless it is told that this is a test.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:{os.path.join(folder, 'tokenward.db')}"
        made = subprocess.run([BINARY, "init", "--database", database, "--format", "json"], check=True, capture_output=True, text=True)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{listener.getsockname()[1]}"
        server = subprocess.Popen([BINARY, "serve", "--database", database, "--listen", address, "--log", "warn"])
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    requests.get(f"http://{address}/readyz", timeout=1).raise_for_status()
                    break
                except requests.RequestException:
                    assert server.poll() is None and time.monotonic() < deadline, "the server doesn't get ready"
                    time.sleep(0.1)
            exercise(f"http://{address}", json.loads(made.stdout))
        finally:
            server.terminate()
            same(server.wait(10), 0)
    print("the OAuth 2.0 library works")


main()
