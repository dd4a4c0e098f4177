"""Who may do what with a key of AWS: policy documents parsed, decided, resolved into entries, and flagged.

Pure: no call, no clock, no boto3. What was read comes in as values, what cannot be told comes out as such.

    account = Account.read(*pages)                                   # iam:GetAccountAuthorizationDetails
    resolver = Resolver("111122223333", account=account)             # one an account, for all its keys
    access = resolver.who_may(arn, policy=parse(text), grants=…)     # Access entries
    flags(access, policy=parse(text), account_id=…, grants=…)        # what is wrong with that, and why
    decide(Request(caller, "kms:Decrypt", arn), Policies(…))         # one request: ALLOW, DENY or UNKNOWN

>>> parse("{}")
Malformed(reason='no Statement', where='document')
"""

from __future__ import annotations

from collectors._aws.policy.access import Resolver
from collectors._aws.policy.actions import services, table
from collectors._aws.policy.entries import Access
from collectors._aws.policy.evaluation import Attached, Decision, Outcome, Policies, Reason, Request, decide
from collectors._aws.policy.flags import Flag, FlagId, flags
from collectors._aws.policy.grammar import Document, Malformed, Policy, parse
from collectors._aws.policy.grants import Grant
from collectors._aws.policy.identities import Account, Identity
from collectors._aws.policy.principals import Caller, Kind

__all__ = [
    "Access", "Account", "Attached", "Caller", "Decision", "Document", "Flag", "FlagId", "Grant",
    "Identity", "Kind", "Malformed", "Outcome", "Policies", "Policy", "Reason", "Request", "Resolver", "decide",
    "flags", "parse", "services", "table",
]  # fmt: skip
