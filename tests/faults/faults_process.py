"""What happens to the process: its log isn't read, more is asked of it than it can do, connections are few, files are open to others."""

import fcntl
import json
import os
import random
import re
import resource
import signal
import subprocess
import threading
import time

from harness import TOKEN, Client, First, Skipped, fault, in_parallel, issue, median, token_body


def full_pipe():
    """A pipe of the smallest size, which nobody reads until somebody does."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    return reader, writer


def drain(reader, seconds):
    """All that comes within so many seconds."""
    os.set_blocking(reader, False)
    got, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            more = os.read(reader, 65536)
            if not more:
                break
            got += more
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
    read = drain(reader, 1)
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
