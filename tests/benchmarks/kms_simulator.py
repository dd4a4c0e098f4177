"""How fast the KMS simulator answers, and how much room an estate takes: `python tests/benchmarks/kms_simulator.py`.

A process of its own is furnished with 100,000 keys over 10 accounts and 5 regions; four connections then ask for
DescribeKey as fast as they can, in turn, unsigned requests of a client's form. Prints the median of five rounds.
"""

from __future__ import annotations

import socket
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulators.kms.process import KmsProcess

ACCOUNTS = [f"{111111111110 + number}" for number in range(10)]
REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-northeast-1")
KEYS, CALLS, ROUNDS = 2000, 8000, 5


def request(access_key: str, arn: str) -> bytes:
    """DescribeKey, as botocore would send it but for the signature, which the simulator does not verify."""
    body = f'{{"KeyId": "{arn}"}}'
    scope = f"Credential={access_key}/20261127/{REGIONS[0]}/kms/aws4_request"
    head = (
        "POST / HTTP/1.1", "Host: 127.0.0.1", "X-Amz-Target: TrentService.DescribeKey", "User-Agent: benchmark",
        "Content-Type: application/x-amz-json-1.1", "X-Amz-Date: 20261127T000000Z",
        f"Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0", f"Content-Length: {len(body)}",
    )  # fmt: skip
    return "\r\n".join((*head, "", body)).encode()


def calls_a_second(connections: list[socket.socket], requests: list[bytes]) -> float:
    """One round."""
    began = time.perf_counter()
    for start in range(0, len(requests), len(connections)):
        some = requests[start : start + len(connections)]
        for connection, one in zip(connections, some, strict=True):
            connection.sendall(one)
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    return len(requests) / (time.perf_counter() - began)


def main() -> None:
    """Print a row a figure."""
    with KmsProcess() as kms:
        print(f"{kms.ask('peak_mb'):10.0f} MB before any key")
        began = time.perf_counter()
        for account in ACCOUNTS:
            for region in REGIONS:
                kms.ask("add_keys", account=account, region=region, count=KEYS)
        print(f"{time.perf_counter() - began:10.1f} s to furnish {len(ACCOUNTS) * len(REGIONS) * KEYS:,} keys")
        print(f"{kms.ask('peak_mb'):10.0f} MB with them")
        kms.ask("set", keeps_calls=False)
        access_key = kms.ask("credentials", account=ACCOUNTS[0])["aws_access_key_id"]
        keys = [arn for arn in kms.ask("keys") if f":{REGIONS[0]}:{ACCOUNTS[0]}:" in arn]
        requests = [request(access_key, keys[number % len(keys)]) for number in range(CALLS)]
        host, port = kms.url.removeprefix("http://").split(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(4)]
        rounds = [calls_a_second(connections, requests) for _ in range(ROUNDS)]
        print(f"{statistics.median(rounds):10.0f} calls a second, of {[round(one) for one in rounds]}")


main()
