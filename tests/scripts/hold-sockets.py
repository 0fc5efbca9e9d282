#!/usr/bin/env python3
"""Does for a test what systemd does for a socket unit: it listens, and hands the sockets to a server that it starts, again
and again. The sockets stay open all the time.

    hold-sockets.py GAP_SECONDS NAME=ADDRESS... -- COMMAND...

ADDRESS is HOST:PORT or the path of a Unix socket, which gets mode 0600. At SIGHUP the server is asked to stop (SIGTERM);
GAP_SECONDS after its end it is started again. At SIGTERM the server is stopped and this program ends as it did. Prints
"started PID" and "ended STATUS".
"""
import os
import signal
import socket
import sys
import time

FIRST = 3


def listen(address):
    if address.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        made.bind(address)
        os.umask(before)
    else:
        host, port = address.rsplit(":", 1)
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
    made.listen(512)
    return made


def start(names, sockets, command, signals):
    pid = os.fork()
    if pid:
        print("started", pid, flush=True)
        return pid
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    # Out of the way first: a socket may be on a number that another one is to have.
    high = [os.dup2(s.fileno(), 100 + i, inheritable=False) for i, s in enumerate(sockets)]
    for i, descriptor in enumerate(high):
        os.dup2(descriptor, FIRST + i, inheritable=True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(names))
    os.execv(command[0], command)


def main():
    divide = sys.argv.index("--")
    gap, command = float(sys.argv[1]), sys.argv[divide + 1:]
    pairs = [given.split("=", 1) for given in sys.argv[2:divide]]
    names, sockets = [p[0] for p in pairs], [listen(p[1]) for p in pairs]
    signals = [signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD]
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    child, last = start(names, sockets, command, signals), False
    while True:
        got = signal.sigwait(signals)
        if got != signal.SIGCHLD:
            last = got == signal.SIGTERM
            os.kill(child, signal.SIGTERM)
            continue
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print("ended", code, flush=True)
        if last or code != 0:
            sys.exit(code if code >= 0 else 128 - code)
        time.sleep(gap)
        child = start(names, sockets, command, signals)


main()
