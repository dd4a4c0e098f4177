"""How fast keys of AWS KMS are read, beside prowler and Cloud Custodian: `python tests/benchmarks/aws_kms.py`.

The simulator (tests/simulators/kms) runs in a process of its own, answers after 20 ms and holds 1,000 symmetric keys.
In turns of one run: prowler's own KMS service class, its provider stubbed; Cloud Custodian's `kms-key` with its
rotation filters; and ours with the facts that each of them reads. Each in its own environment:

    uv venv /tmp/prowler && uv pip install --python /tmp/prowler/bin/python prowler
    uv venv /tmp/c7n && uv pip install --python /tmp/c7n/bin/python c7n
    python tests/benchmarks/aws_kms.py /tmp/prowler/bin/python /tmp/c7n/bin/python
    python tests/benchmarks/aws_kms.py memory 100000      # peak memory over 10 accounts and 5 regions

Custodian's facts have the history of rotations, of whose quota we know no better than 100 calls a second and keep to
it: ours is measured so, and once more as if that quota were like the others'.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HOUSE), str(HOUSE / "tests")]
ACCOUNT, REGION, KEYS, TIMES = "111122223333", "eu-west-1", 1000, int(os.environ.get("TIMES", "3"))

PROWLER = """
import os, time, types, boto3, json
from prowler.providers.aws.services.kms.kms_service import KMS
session = boto3.Session(region_name="eu-west-1")
def clients(service):
    client = session.client(service)
    client.region = "eu-west-1"
    return {"eu-west-1": client}
named = types.SimpleNamespace
provider = named(
    identity=named(account="111122223333", account_arn="arn:aws:iam::111122223333:root", partition="aws"),
    audit_resources=[], audit_metadata=named(expected_checks=[]), audit_config={}, fixer_config={},
    session=named(current_session=session), generate_regional_clients=clients,
    get_default_region=lambda service, global_service=False: "eu-west-1",
)
clock = time.perf_counter()
found = KMS(provider)
print(json.dumps([time.perf_counter() - clock, len([k for k in found.keys if k.state and k.policy])]))
"""
CUSTODIAN = """
import json, logging, sys, time
from c7n.config import Config
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
load_resources(("aws.kms-key",))
filters = [{"type": "key-rotation-status", "key": "KeyRotationEnabled", "op": "in", "value": [True, False]}]
if sys.argv[1] == "history":
    filters.append({"or": [{"type": "last-rotation", "key": "RotationDate", "value": "absent"},
                           {"type": "last-rotation", "key": "RotationDate", "value": "present"}]})
config = Config.empty(region="eu-west-1", account_id="111122223333", output_dir=sys.argv[2], cache="", cache_period=0)
policy = {"policies": [{"name": "keys", "resource": "aws.kms-key", "filters": filters}]}
(loaded,) = PolicyCollection.from_data(policy, config)
clock = time.perf_counter()
found = loaded.resource_manager.resources()
print(json.dumps([time.perf_counter() - clock, len(found)]))
"""
OURS = """
import json, sys, time
from collectors._aws import pace
from collectors.aws_kms import AwsKms
from toolkit.model import Key
options = json.loads(sys.argv[1])
if options.pop("unpaced", False):
    documented = pace.quota
    pace.quota = lambda service, name: 2000.0 if name == "ListKeyRotations" else documented(service, name)
reader = AwsKms(regions=("eu-west-1",), quota_share=1.0, protects=False, identities=False, shared=False, **options)
clock = time.perf_counter()
rows = [row for target in reader.targets() for row in reader.collect(target)]
print(json.dumps([time.perf_counter() - clock, sum(isinstance(row, Key) and bool(row.state) for row in rows)]))
"""
MEMORY = """
import resource, sys, time
from collectors.aws_kms import AwsKms
from toolkit.inventory import collect
accounts, regions = sys.argv[1].split(","), sys.argv[2].split(",")
reader = AwsKms(accounts=tuple(accounts), roles=("Audit",), regions=tuple(regions), quota_share=1.0, protects=False,
                identities=False, grants=False, history=False, last_use=False)
clock = time.perf_counter()
gathered = collect([reader], run_id="bench", show_progress=False)
keys, access = (gathered.arrow(name).num_rows for name in ("keys", "access"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{keys:,} keys, {access:,} access rows, {len(accounts)} accounts x {len(regions)} regions: "
      f"{time.perf_counter() - clock:.0f} s, peak {peak:,.0f} MB")
"""
CORE = {"grants": False, "last_use": False}


def ran(python: str, code: str, *words: str) -> float:
    """Seconds of the reading alone, as its program says; all keys must have been read."""
    env = {**os.environ, "PYTHONPATH": str(HOUSE)} if python == sys.executable else os.environ
    done = subprocess.run([python, "-c", code, *words], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    seconds, found = json.loads(done.stdout.strip().splitlines()[-1])
    assert KEYS == found, (found, done.stderr[-1000:])
    return seconds


def sign_in(kms, account: str) -> None:
    """The environment in which all of them ask."""
    held = kms.ask("credentials", account=account)
    os.environ.update(
        AWS_ENDPOINT_URL=kms.url, AWS_ACCESS_KEY_ID=held["aws_access_key_id"], AWS_DEFAULT_REGION=REGION,
        AWS_SECRET_ACCESS_KEY=held["aws_secret_access_key"], AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true",
    )  # fmt: skip


def speed(prowler: str, custodian: str) -> None:
    """In turns, so that a busy moment of the machine falls on all."""
    import tempfile

    from simulators.kms.process import KmsProcess

    with KmsProcess() as kms, tempfile.TemporaryDirectory() as folder:
        kms.ask("add_keys", account=ACCOUNT, region=REGION, count=KEYS)
        kms.ask("set", latency=0.02)
        sign_in(kms, ACCOUNT)
        os.environ["XDG_CACHE_HOME"] = folder
        ours = lambda **more: ran(sys.executable, OURS, json.dumps({**CORE, **more}))  # noqa: E731
        runs = {
            "prowler": lambda: ran(prowler, PROWLER),
            "ours, prowler's facts": lambda: ours(history=False),
            "custodian, rotation status": lambda: ran(custodian, CUSTODIAN, "status", folder),
            "ours, the same facts": lambda: ours(history=False, policies=False),
            "custodian, and last rotation": lambda: ran(custodian, CUSTODIAN, "history", folder),
            "ours, the same at the quota": lambda: ours(policies=False),
            "ours, the same, quota lifted": lambda: ours(policies=False, unpaced=True),
        }
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(TIMES):
            for name, run in runs.items():
                taken[name].append(run())
                print(f"  {name}: {taken[name][-1]:.1f} s", file=sys.stderr, flush=True)
    peer = 1.0
    for name, times in taken.items():
        middle = statistics.median(times)
        peer = middle if not name.startswith("ours") else peer
        print(f"{name:<32}{middle:7.1f} s ({min(times):.1f} to {max(times):.1f})  {peer / middle:6.1f} x")


def memory(count: int) -> None:
    """Peak memory of the reading process, rows and tables included."""
    from simulators.kms.process import KmsProcess

    accounts = [f"{300000000000 + number}" for number in range(10)]
    regions = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"]
    with KmsProcess() as kms:
        kms.ask("set", keeps_calls=False)
        for account in accounts:
            for region in regions:
                kms.ask("add_keys", account=account, region=region, count=count // 50)
        sign_in(kms, accounts[0])
        command = [sys.executable, "-c", MEMORY, ",".join(accounts), ",".join(regions)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(HOUSE)}, check=True)


if __name__ == "__main__":
    if sys.argv[1] == "memory":
        memory(int(sys.argv[2]))
    else:
        speed(sys.argv[1], sys.argv[2])
