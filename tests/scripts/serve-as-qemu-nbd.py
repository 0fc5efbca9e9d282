#!/usr/bin/env python3
"""Stands where the test suites of QEMU and libnbd start qemu-nbd, and serves the raw image with ZeroFlow instead.

As qemu-nbd does: a Unix socket that clients can connect to at once, the process ID in a file, --fork that comes back when
the server is ready, socket activation, an end by SIGTERM. The image is read once, at the start, and not written. What
qemu-nbd does as a client (--list), and images without -f raw, are left to the real one. ZEROFLOW_BINARY names the server;
a JSON file that ZEROFLOW_CONFIG names may give it more settings.
"""
import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

PATIENCE_SECONDS = 60
ACTIVATED = 3


def read_arguments():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("-v", "-t", "--fork"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--pid-file")
    parser.add_argument("-k", dest="socket")
    parser.add_argument("-f", dest="format", required=True)
    parser.add_argument("-e", dest="clients", type=int)
    parser.add_argument("-x", dest="export", default="")
    parser.add_argument("image")
    return parser.parse_args()


def start(folder, name, size, *arguments, listening=None):
    """A server on the store in this folder; with a socket, it has that one by socket activation."""
    command = [os.environ["ZEROFLOW_BINARY"], "serve", "--store", f"file://{folder}/store", "--data", f"{folder}/data",
               "--admin-socket", f"{folder}/admin", "--export", f"{name}:{size}", *arguments]
    if "ZEROFLOW_CONFIG" in os.environ:
        command += ["--config", os.environ["ZEROFLOW_CONFIG"]]
    child = os.fork()
    if child:
        return child
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if listening is not None:
        os.dup2(listening, ACTIVATED)
        os.set_inheritable(ACTIVATED, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="nbd")
    os.environ["ZEROFLOW_PASSPHRASE"] = "peers"
    os.execv(command[0], command)


def wait_until_ready(folder, server):
    for _ in range(PATIENCE_SECONDS * 10):
        asked = subprocess.run(["curl", "-sf", "--unix-socket", f"{folder}/admin", "http://localhost/readyz"],
                               stdout=subprocess.DEVNULL, check=False)
        if asked.returncode == 0:
            return
        if os.waitpid(server, os.WNOHANG)[0]:
            break
        time.sleep(0.1)
    with open(f"{folder}/log", encoding="utf-8") as log:
        sys.exit(f"ZeroFlow did not start:\n{log.read()}")


def stop(server):
    os.kill(server, signal.SIGTERM)
    os.waitpid(server, 0)


def holds_data(image):
    with open(image, "rb") as file:
        while block := file.read(1 << 20):
            if block.strip(b"\0"):
                return True
            # Sparse images of terabytes are usual there.
            try:
                file.seek(file.seek(file.tell(), os.SEEK_DATA))
            except OSError:
                return False
    return False


def serve(asked, listening, done):
    name = asked.export or "disk"
    parent = os.getppid()
    size = os.stat(asked.image).st_size
    with tempfile.TemporaryDirectory(prefix="zeroflow-nbd-") as folder:
        os.mkdir(f"{folder}/store")
        os.mkdir(f"{folder}/data")
        stopped = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
        if holds_data(asked.image):
            server = start(folder, name, size, "--socket", f"{folder}/nbd")
            wait_until_ready(folder, server)
            subprocess.run(["nbdcopy", asked.image, f"nbd+unix:///{quote(name)}?socket={folder}/nbd"], check=True)
            stop(server)
        server = start(folder, name, size, listening=listening)
        wait_until_ready(folder, server)
        if done is not None:
            os.write(done, b"1")
            os.close(done)
        # A test that gave up in the middle leaves nobody who would end a server that it started by socket activation.
        while not stopped and (asked.socket or os.getppid() == parent):
            if os.waitpid(server, os.WNOHANG)[0]:
                return
            time.sleep(0.05)
        stop(server)


def main():
    if "--list" in sys.argv or "raw" not in sys.argv:
        os.execvp("qemu-nbd", ["qemu-nbd", *sys.argv[1:]])
    asked = read_arguments()
    done = None
    if asked.socket is None:
        listening = ACTIVATED
    else:
        made = socket.socket(socket.AF_UNIX)
        made.bind(asked.socket)
        made.listen(64)
        listening = made.fileno()
    if asked.fork:
        ready, done = os.pipe()
        if os.fork():
            os.close(done)
            sys.exit(0 if os.read(ready, 1) else 1)
        os.setsid()
    if asked.pid_file:
        with open(asked.pid_file, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    serve(asked, listening, done)


if __name__ == "__main__":
    main()
