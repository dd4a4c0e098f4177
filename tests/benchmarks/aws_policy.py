"""How fast it is told who may: `python tests/benchmarks/aws_policy.py [KEYS] [PRINCIPALS]` (2,000 and 300).

Three estates of one account, each from texts to entries and flags, in turns of one run: every key with the default
policy; every key with a policy text of its own (a third of them with conditions and denials); and every key named by
ARN in some role's IAM policy. Then single decisions. Prints medians of three turns, in CPU time.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time

from collectors._aws.policy import Account, Attached, Caller, Policies, Request, Resolver, decide, flags, grammar, parse

OWN, TIMES = "111122223333", 3
ROOT = f"arn:aws:iam::{OWN}:root"
TRUST = {"Sid": "IAM", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}


def text(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def arn(number: int) -> str:
    return f"arn:aws:kms:eu-west-1:{OWN}:key/{number:08d}"


def details(people: int, keys: int, *, by_arn: bool) -> dict:
    """An account: a tenth administrators, a third may use keys by pattern or by ARN, the others something else."""
    roles = []
    for n in range(people):
        own = {"Effect": "Allow", "Action": ["s3:Get*", "sqs:*"], "Resource": "*"}
        if n % 10 == 0:
            own = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        elif n % 3 == 0:
            named = [arn(k) for k in range(n, keys, people)][:20] if by_arn else f"arn:aws:kms:*:{OWN}:key/*{n % 10}"
            own = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": named}
        policies = [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [own]}}]
        roles.append({"Arn": f"arn:aws:iam::{OWN}:role/r{n}", "RoleId": f"AROA{n:017d}", "RolePolicyList": policies})
    return {"RoleDetailList": roles}


def own_policy(number: int) -> str:
    role = {"AWS": [f"arn:aws:iam::{OWN}:role/r{number % 300}", f"arn:aws:iam::{OWN}:role/r{number % 7}"]}
    use = {
        "Sid": f"use {number}",
        "Effect": "Allow",
        "Principal": role,
        "Action": ["kms:Decrypt", "kms:ReEncrypt*"],
        "Resource": "*",
    }
    if number % 3:
        return text(TRUST, use)
    use["Condition"] = {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:Sched*",
        "Resource": "*",
        "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    }
    return text(TRUST, use, deny)


def estate(told: dict, policies: list[str], *, with_flags: bool) -> tuple[float, int]:
    """CPU seconds from texts to entries (and flags) of every key, and how many entries that are."""
    grammar._interned.clear()
    started, entries = time.process_time(), 0
    account = Account.read(told)
    resolver, known, seen = Resolver(OWN, account=account), account.names, {}
    for number, policy in enumerate(policies):
        document = parse(policy)
        access = resolver.who_may(arn(number), policy=document)
        entries += len(access)
        if with_flags and (id(access), document) not in seen:
            seen[(id(access), document)] = flags(access, policy=document, account_id=OWN, known=known)
    return time.process_time() - started, entries


def main(keys: int, people: int) -> None:
    plain, by_arn = details(people, keys, by_arn=False), details(people, keys, by_arn=True)
    shared, single = [text(TRUST)] * keys, [own_policy(n) for n in range(keys)]
    cases = {
        "default policy": (plain, shared),
        "a policy each": (plain, single),
        "named by ARN in IAM": (by_arn, shared),
    }
    took: dict[tuple[str, bool], list[float]] = {}
    counts = {}
    for _ in range(TIMES):
        for name, (told, policies) in cases.items():
            for with_flags in (False, True):
                seconds, counts[name] = estate(told, policies, with_flags=with_flags)
                took.setdefault((name, with_flags), []).append(seconds)
    for (name, with_flags), seconds in took.items():
        median = statistics.median(seconds)
        what = "entries and flags" if with_flags else "entries"
        print(
            f"{name:>22}, {what:>17}: {median:7.3f} s, {keys / median:>9,.0f} keys/s, {counts[name] / median:>12,.0f} entries/s"
        )
    decisions()
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def decisions() -> None:
    """Single requests, each decided anew."""
    policies = Policies(
        resource=parse(own_policy(3)),
        identity=(Attached("p", parse(text({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}))),),
    )
    request = Request(Caller.of(f"arn:aws:iam::{OWN}:role/r3"), "kms:Decrypt", arn(3))
    rates = []
    for _ in range(TIMES):
        started = time.process_time()
        for _ in range(5000):
            decide(request, policies)
        rates.append(5000 / (time.process_time() - started))
    print(f"{'single decisions':>22}: {statistics.median(rates):,.0f}/s")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (2000, 300))
