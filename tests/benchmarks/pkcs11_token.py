"""How fast a token of 10,000 objects is read, beside pkcs11-tool and bare C calls: `python tests/benchmarks/pkcs11_token.py`.

Makes a SoftHSM2 token (5,000 AES, 2,000 EC pairs, 500 RSA pairs) in a folder that is kept when it is named, then, in
turns of one run: `pkcs11-tool --login -O`; our collector whole, child process, listing and rows included; python-pkcs11
with `get_attributes` of the same attributes; and the bare calls through ctypes, one C_GetAttributeValue an object into
room made before. Prints medians of times, of processor time, and of each turn's ratio to pkcs11-tool.
"""

from __future__ import annotations

import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMES = 5
MAKE = """
import sys, pkcs11
from pkcs11 import Attribute as A, KeyType
from pkcs11.util.ec import encode_named_curve_parameters
module, pin = sys.stdin.read().split()
with pkcs11.lib(module).get_token(token_label="bench").open(rw=True, user_pin=pin) as s:
    p256 = {A.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    curve = s.create_domain_parameters(KeyType.EC, p256, local=True)
    named = lambda kind, n: {"id": n.to_bytes(4, "big"), "label": f"{kind}-{n}", "store": True}
    for n in range(5000):
        s.generate_key(KeyType.AES, 256, **named("aes", n))
    for n in range(10000, 12000):
        curve.generate_keypair(**named("ec", n))
    for n in range(20000, 20500):
        s.generate_keypair(KeyType.RSA, 2048, **named("rsa", n))
"""
LIBRARY = """
import sys, pkcs11
from pkcs11.attributes import AttributeMapper
from collectors._pkcs11.names import ASKED
module, pin = sys.stdin.read().split()
raw = AttributeMapper()
raw.unpack_attributes = {}.get
with pkcs11.lib(module).get_token(token_label="bench").open(user_pin=pin, attribute_mapper=raw) as s:
    assert 10000 == sum(bool(found.get_attributes(list(ASKED.values()))) for found in s.get_objects(batch_size=1000))
"""
BARE = """
import ctypes, sys
from collectors._pkcs11.names import ASKED
module, pin = sys.stdin.read().split()
U = ctypes.c_ulong
library, table = ctypes.CDLL(module), ctypes.POINTER(ctypes.c_void_p)()
library.C_GetFunctionList(ctypes.byref(table))
def call(place, *words):
    return ctypes.CFUNCTYPE(U, *[ctypes.c_void_p if w is None or isinstance(w, ctypes.Array) else U for w in words])(table[1 + place])(*words)
assert 0 == call(0, None)
slots, count, session = (U * 8)(), (U * 1)(8), (U * 1)()
assert 0 == call(4, 1, slots, count)
assert 0 == call(12, slots[0], 4, None, None, session)
assert 0 == call(18, session[0], 1, ctypes.create_string_buffer(pin.encode()), len(pin))
call(26, session[0], None, 0)
handles, found = [], (U * 2000)()
while not call(27, session[0], found, 2000, count) and count[0]:
    handles += found[: count[0]]
call(28, session[0])
room = ctypes.create_string_buffer(1040 * len(ASKED))
base = ctypes.addressof(room)
words = [w for n, number in enumerate(ASKED.values()) for w in (number, base + 1040 * n, 1040)]
fresh, asked = (U * len(words))(*words), (U * len(words))()
get = ctypes.CFUNCTYPE(U, U, U, ctypes.c_void_p, U)(table[25])
to, of, size = ctypes.addressof(asked), ctypes.addressof(fresh), ctypes.sizeof(fresh)
for handle in handles:
    ctypes.memmove(to, of, size)
    get(session[0], handle, to, len(ASKED))
assert 10000 == len(handles)
"""
OURS = """
import os, sys
from collectors.pkcs11 import Pkcs11
from toolkit.model import Key
module, os.environ["BENCH_PIN"] = sys.stdin.read().split()
reader = Pkcs11(modules=(module,), pin="env:BENCH_PIN")
TIMED
rows = [row for target in reader.targets() for row in reader.collect(target)]
TOLD
assert 10000 == sum(isinstance(row, Key) for row in rows)
"""


def made(folder: Path, module: str) -> str:
    """The token, made unless it is there; its PIN."""
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    if (folder / "pin").exists():
        return (folder / "pin").read_text()
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    pin = secrets.token_hex(6)
    words = ["--init-token", "--free", "--label", "bench", "--so-pin", secrets.token_hex(6), "--pin", pin]
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
    subprocess.run([sys.executable, "-P", "-c", MAKE], input=f"{module}\n{pin}", text=True, check=True)
    (folder / "pin").write_text(pin)
    return pin


def measured(command: list[str], given: str = "", *, times_itself: bool = False) -> tuple[float, float]:
    """Seconds a program takes, its start included unless it times itself, and seconds of processor time."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run(command, input=given, text=True, check=True, capture_output=True, env=env)
    taken, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(ran.stdout) if times_itself else taken, processor


def main(folder: Path) -> None:
    """Measure in turns, so that a busy moment of the machine falls on all."""
    from toolkit import softhsm

    module = str(softhsm.find())
    pin = made(folder, module)
    given, python = f"{module}\n{pin}", [sys.executable, "-P", "-c"]
    # As its caller waits for it: what Python and its imports take is the caller's.
    timed = OURS.replace("TIMED", "import time; clock = time.perf_counter()").replace(
        "TOLD", "print(time.perf_counter() - clock)"
    )
    tool = ["pkcs11-tool", "--module", module, "--login", "--pin", pin, "-O"]
    runs = {
        "pkcs11-tool --login -O": lambda: measured(tool),
        "ours, rows and child included": lambda: measured([*python, timed], given, times_itself=True),
        "ours, as a program": lambda: measured([*python, OURS.replace("TIMED", "").replace("TOLD", "")], given),
        "python-pkcs11 get_attributes": lambda: measured([*python, LIBRARY], given),
        "bare C calls (ctypes)": lambda: measured([*python, BARE], given),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(TIMES):
        for name, run in runs.items():
            taken[name].append(run())
    seconds = {name: [wall for wall, _ in turns] for name, turns in taken.items()}
    tools, bares = seconds["pkcs11-tool --login -O"], seconds["bare C calls (ctypes)"]
    for name, walls in seconds.items():
        middle, spread = statistics.median(walls), f"{min(walls):.2f} to {max(walls):.2f}"
        processor = statistics.median(processor for _, processor in taken[name])
        ratio = statistics.median(tool / wall for tool, wall in zip(tools, walls, strict=True))
        to_bare = statistics.median(wall / bare for bare, wall in zip(bares, walls, strict=True))
        print(
            f"{name:<32}{middle:6.2f} s ({spread}), {processor:5.2f} s of processor  {10000 / middle:7,.0f} objects/s"
            f"  {ratio:5.2f} x pkcs11-tool  {to_bare:5.2f} of bare"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name) / "token")
