#!/usr/bin/env python3
"""Exercises a file system and knows what must be in it, as fsx and fsstress do.

exercise-files.py DIR SEED SECONDS   random operations on files and names for a while; each read is checked, and all at the end
exercise-files.py DIR SEED check     everything is there as the run above left it

What there must be is kept in DIR.SEED.model, outside of the file system.
"""
import ctypes, mmap, os, pickle, random, sys, time

FILE_MAX = 3 << 20
FILES = 12
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
root, seed = sys.argv[1], int(sys.argv[2])
place, model_file = os.path.join(root, f"files-{seed}"), f"{root}.{seed}.model"
draw = random.Random(seed)


def fail(what):
    sys.exit(f"exercise-files, seed {seed}: {what}")


def check_file(name, expected):
    with open(os.path.join(place, name), "rb", buffering=0) as file:
        found = file.readall()
    if found != expected:
        at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
        end = next((i for i in range(at, min(len(found), len(expected))) if found[i] == expected[i] and found[i:i + 64] == expected[i:i + 64]), len(found))
        kinds = ["zeros" if not any(data[at:end]) else "data" for data in (found, expected)]
        fail(f"{name} ({len(found)} bytes, must be {len(expected)}) has {kinds[0]} and not its {kinds[1]} from {at} to {end}")


def check_all(model):
    names = sorted(os.path.relpath(os.path.join(d, f), place) for d, _, fs in os.walk(place) for f in fs)
    if names != sorted(model):
        fail(f"the names are {names}, and must be {sorted(model)}")
    for name, content in model.items():
        check_file(name, content)


def span(content):
    start = draw.randrange(max(1, len(content)))
    return start, draw.choice([1, 511, 512, 4096, 5000, 65536, 200000])


def write(fd, content):
    start, length = draw.randrange(FILE_MAX - 200000), span(content)[1]
    data = draw.randbytes(length)
    if os.pwrite(fd, data, start) != length:
        fail("a short write")
    if len(content) < start:
        content.extend(bytes(start - len(content)))
    content[start:start + length] = data


def map_write(fd, content):
    if not content:
        return
    start, length = span(content)
    data = draw.randbytes(min(length, len(content) - start))
    with mmap.mmap(fd, len(content)) as view:
        view[start:start + len(data)] = data
    content[start:start + len(data)] = data


def truncate(fd, content):
    length = draw.randrange(FILE_MAX)
    os.ftruncate(fd, length)
    if length < len(content):
        del content[length:]
    else:
        content.extend(bytes(length - len(content)))


def punch(fd, content):
    start, length = span(content)
    mode = KEEP_SIZE | draw.choice([PUNCH_HOLE, ZERO_RANGE])
    if libc.fallocate(fd, mode, start, length) != 0:
        fail(f"fallocate: {os.strerror(ctypes.get_errno())}")
    end = min(start + length, len(content))
    content[start:end] = bytes(max(0, end - start))


def read(fd, content):
    start, length = span(content)
    if os.pread(fd, length, start) != bytes(content[start:start + length]):
        fail(f"a read of {length} bytes at {start} differs")


def change_names(model):
    name = draw.choice(sorted(model))
    path, other = os.path.join(place, name), f"d{draw.randrange(4)}/n{draw.randrange(10 ** 9)}"
    target = os.path.join(place, other)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    kind = draw.randrange(4)
    if kind == 0 and len(model) > FILES // 2:
        os.unlink(path)
        del model[name]
    elif kind == 1 and len(model) < FILES:
        open(target, "xb").close()
        model[other] = bytearray()
    else:
        os.rename(path, target)
        model[other] = model.pop(name)


def exercise(seconds):
    os.makedirs(place)
    model = {f"n{i}": bytearray() for i in range(FILES)}
    for name in model:
        open(os.path.join(place, name), "xb").close()
    end, operations = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        name = draw.choice(sorted(model))
        fd = os.open(os.path.join(place, name), os.O_RDWR)
        for _ in range(draw.randrange(1, 12)):
            draw.choice([write, write, write, map_write, truncate, punch, read, read])(fd, model[name])
            operations += 1
        if draw.randrange(4) == 0:
            os.fsync(fd)
        if draw.randrange(4) == 0:
            # Out of the page cache, so that the next read comes from the device.
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        if draw.randrange(3) == 0:
            change_names(model)
    check_all(model)
    with open(model_file, "wb") as file:
        pickle.dump({name: bytes(content) for name, content in model.items()}, file)
    print(operations)


if sys.argv[3] == "check":
    with open(model_file, "rb") as saved:
        check_all(pickle.load(saved))
else:
    exercise(float(sys.argv[3]))
