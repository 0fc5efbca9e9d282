#!/usr/bin/env python3
"""Runs the fio workloads of zeroflow-nbd.fio against an NBD server and prints the range over the repeats.

    run-nbd-fio.py URI [--seconds 10] [--repeats 2] [--groups zil8k,txg,...] [--verify write|check]

fio's nbd engine uses one connection for each job, sends FLUSH for fsync, and never FUA. Its completion latency leaves
out the submission, in which a small request is often already sent: compare latencies with those of other fio runs only.
Exit status: 0, or 1 when any job failed.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys

JOB_FILE = pathlib.Path(__file__).resolve().parent / "zeroflow-nbd.fio"

# Jobs of a group run at the same time.
GROUPS = {
    "txg": ["txg_write", "txg_flush"],
    "zil8k": ["zil8k"],
    "zil8k_x4": ["zil8k_x4"],
    "randread8k_qd1": ["randread8k_qd1"],
    "randread8k": ["randread8k"],
    "randread16k_x4": ["randread16k_x4"],
    "randwrite16k": ["randwrite16k"],
    "randwrite8k_x4": ["randwrite8k_x4"],
    "oltp8k_x2": ["oltp8k_x2"],
    "zfsmix": ["zfsmix"],
    "seqread1m": ["seqread1m"],
    "mix": ["mix_read", "mix_txg", "mix_zil"],
    "trim": ["trim"],
    "verify_write": ["verify_write"],
    "verify_check": ["verify_check"],
}
DEFAULT_GROUPS = [name for name in GROUPS if name != "trim" and not name.startswith("verify")]


def run_fio(uri, sections, seconds):
    """Returns fio's report, or raises RuntimeError with what fio said."""
    command = ["fio", "--output-format=json"] + ["--section=" + name for name in sections] + [str(JOB_FILE)]
    environment = dict(os.environ, URI=uri, RUNTIME=str(seconds))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    start = done.stdout.find("{")
    if done.returncode != 0 or start < 0:
        raise RuntimeError((done.stderr or done.stdout)[-500:].strip())
    return json.loads(done.stdout[start:])


def figures_of(job, direction):
    """The figures of one direction of one job, or None when it did nothing."""
    side = job[direction]
    if side["total_ios"] == 0:
        return None
    percentiles = side["clat_ns"].get("percentile", {})
    figures = {
        "iops": side["iops"],
        "mib": side["bw"] / 1024,
        "p50": percentiles.get("50.000000", 0) / 1e3,
        "p99": percentiles.get("99.000000", 0) / 1e3,
    }
    if job["sync"]["total_ios"]:
        sync = job["sync"]["lat_ns"]["percentile"]
        figures["flush_p50"] = sync["50.000000"] / 1e3
        figures["flush_p99"] = sync["99.000000"] / 1e3
    return figures


def span(rounds, key):
    values = [figures[key] for figures in rounds if key in figures]
    if not values:
        return ""
    low, high = "%.0f" % min(values), "%.0f" % max(values)
    return low if low == high else low + ".." + high


def print_table(results):
    columns = [("IOPS", "iops"), ("MiB/s", "mib"), ("p50 us", "p50"), ("p99 us", "p99"),
               ("flush p50", "flush_p50"), ("flush p99", "flush_p99")]
    print("%-15s %-15s %-6s" % ("group", "job", "dir") + "".join("%17s" % title for title, _ in columns))
    for (group, job, direction), rounds in results.items():
        cells = "".join("%17s" % span(rounds, key) for _, key in columns)
        print("%-15s %-15s %-6s" % (group, job, direction) + cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("uri")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--groups", default=",".join(DEFAULT_GROUPS))
    parser.add_argument("--verify", choices=["write", "check"],
                        help="write checksummed blocks, or check them after a restart of the server")
    options = parser.parse_args()
    groups = ["verify_" + options.verify] if options.verify else options.groups.split(",")
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        parser.error("unknown groups: %s; there are %s" % (", ".join(unknown), ", ".join(GROUPS)))

    failed = False
    results = collections.OrderedDict()
    for _ in range(1 if options.verify else options.repeats):
        for group in groups:
            try:
                report = run_fio(options.uri, GROUPS[group], options.seconds)
            except RuntimeError as error:
                print("%s: fio failed: %s" % (group, error), file=sys.stderr)
                failed = True
                continue
            for job in report["jobs"]:
                if job["error"]:
                    print("%s: job %s ended with error %d" % (group, job["jobname"], job["error"]), file=sys.stderr)
                    failed = True
                for direction in ("read", "write", "trim"):
                    figures = figures_of(job, direction)
                    if figures:
                        results.setdefault((group, job["jobname"], direction), []).append(figures)
    print_table(results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
