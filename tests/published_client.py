"""NetApp's own Python client for this API, and its curl examples, against a server with TLS: `published_client.py path/to/tokenward`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import requests
import trustme
import yaml

BINARY = os.path.abspath(sys.argv[1])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def same(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def client(folder, address, account, secret):
    """The client reads its configuration when it is imported and made."""
    config = {
        "headers": {"Authorization": f"Bearer {secret}"},
        "uid": account,
        "astra_project": address,
        "verifySSL": True,
    }
    with open(os.path.join(folder, "config.yaml"), "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
    os.chdir(folder)
    import astraSDK

    return astraSDK


def exercise(sdk, address, first, authority):
    (owner,) = sdk.users.getUsers().main()["items"]
    same(owner["id"], first["userID"])
    made = sdk.users.createUser().main("grace@example.com", firstName="Grace", lastName="Hopper", companyName="Navy", phone="1")
    same((made["state"], made["isEnabled"], made["sendWelcomeEmail"]), ("active", "true", "false"))
    same([user["id"] for user in sdk.users.getUsers().main(nameFilter="hopper")["items"]], [made["id"]])
    assert "grace@example.com" in sdk.users.getUsers(output="table").main()

    bound = sdk.rolebindings.createRolebinding().main("member", userID=made["id"], roleConstraints=["*"])
    same((bound["role"], bound["principalType"], bound["roleConstraints"]), ("member", "user", ["*"]))
    same([binding["id"] for binding in sdk.rolebindings.getRolebindings().main(idFilter=made["id"])["items"]], [bound["id"]])
    same(sdk.rolebindings.createRolebinding().main("member", userID=made["id"]), False)
    same(sdk.rolebindings.destroyRolebinding().main(bound["id"]), True)
    # The last binding took the user along, as the client's own documentation has it.
    same([user["id"] for user in sdk.users.getUsers().main()["items"]], [owner["id"]])
    other = sdk.users.createUser().main("other@example.com", authProvider="ldap")
    same(sdk.users.destroyUser().main(other["id"]), True)

    # The published curl examples say --data and nothing of a content type.
    body = {"type": "application/astra-user", "version": "1.2", "email": "curl@example.com"}
    done = subprocess.run(
        ["curl", "--silent", "--fail", "--cacert", authority, "--request", "POST", f"https://{address}/accounts/{first['accountID']}/core/v1/users",
         "--header", "Accept: */*", "--header", f"Authorization: Bearer {first['token']}", "--data", json.dumps(body)],
        check=True, capture_output=True, text=True, timeout=30,
    )
    same(json.loads(done.stdout)["email"], "curl@example.com")


def main():
    with tempfile.TemporaryDirectory() as folder:
        ca = trustme.CA()
        certificate = ca.issue_cert("127.0.0.1")
        path = lambda name: os.path.join(folder, name)
        ca.cert_pem.write_to_path(path("ca.pem"))
        certificate.private_key_pem.write_to_path(path("key.pem"))
        os.chmod(path("key.pem"), 0o600)
        with open(path("cert.pem"), "wb") as file:
            file.writelines(blob.bytes() for blob in certificate.cert_chain_pems)
        os.environ["REQUESTS_CA_BUNDLE"] = path("ca.pem")

        database = f"sqlite:{path('tokenward.db')}"
        made = subprocess.run([BINARY, "init", "--database", database, "--format", "json"], check=True, capture_output=True, text=True)
        first = json.loads(made.stdout)
        address = f"127.0.0.1:{free_port()}"
        tls = ["--tls-cert", path("cert.pem"), "--tls-key", path("key.pem")]
        server = subprocess.Popen([BINARY, "serve", "--database", database, "--listen", address, "--log", "warn", *tls])
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    requests.get(f"https://{address}/readyz", timeout=1).raise_for_status()
                    break
                except requests.RequestException:
                    assert server.poll() is None and time.monotonic() < deadline, "the server doesn't get ready"
                    time.sleep(0.1)
            exercise(client(folder, address, first["accountID"], first["token"]), address, first, path("ca.pem"))
        finally:
            server.terminate()
            same(server.wait(10), 0)
    print("the published client works")


main()
