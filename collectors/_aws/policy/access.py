"""Who may do what with a key: its policy, its grants and the account's IAM policies, resolved into `Access` entries.

An entry is a principal, a function, and the way by which it is given: one for each statement, policy or grant that
gives it, so that whoever takes one away sees what is left. Conditions are kept as the documents write them, and what
would deny is told as `not (…)`. `is_certain` is no where a policy could not be read, an operator is unknown, or the
documents leave the answer open. What is only read is told too (`read`).

Thousands of keys share few policies: entries are worked out once for each set of policy, matching resource patterns and
context, and equal keys get the very same entries.

Not looked at: resource control policies, VPC endpoint policies, session policies, and the IAM policies of other
accounts (an entry across accounts says what the key's side gives).

Source: KMS developer guide, "Determining access to AWS KMS keys" and "Key policies in AWS KMS"; IAM user guide, "Policy
evaluation logic".

>>> from collectors._aws.policy.grammar import parse
>>> policy = parse('{"Statement": {"Sid": "lend", "Effect": "Allow", "Principal": {"AWS": "444455556666"},'
...                ' "Action": "kms:Decrypt", "Resource": "*"}}')
>>> told = Resolver("111122223333").who_may("arn:aws:kms:eu-west-1:111122223333:key/1", policy=policy)
>>> [(one.principal, str(one.function), str(one.via), one.source, one.is_cross_account) for one in told]
[('arn:aws:iam::444455556666:root', 'use', 'resource-policy', 'lend', True)]
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from collectors._aws.policy.actions import table
from collectors._aws.policy.conditions import Context, Known
from collectors._aws.policy.entries import PEOPLE, Access, Writer
from collectors._aws.policy.evaluation import NOT_READ
from collectors._aws.policy.grammar import Document, Malformed, Policy, Statement
from collectors._aws.policy.grants import Grant
from collectors._aws.policy.identities import Account, Identity
from collectors._aws.policy.limits import Limit, Masked, Term, ceiling, denials, effects, masked, terms
from collectors._aws.policy.patterns import matcher
from collectors._aws.policy.principals import Caller, Kind, means, split
from toolkit.terms import AccessVia

_NONE: Final = Document("2012-10-17", (), "")
_MOST: Final = 50_000


@dataclass(frozen=True, slots=True)
class _Person:
    """An identity with what its policies say of this service, and the bits of the resource patterns in them."""

    identity: Identity
    own: tuple[Masked, ...]
    boundary: tuple[Masked, ...]
    is_readable: bool
    words: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A key, seen as what sets it apart: the patterns that fit it, and what is known of every request for it."""

    arn: str
    fits: int
    known: Context
    fixed: Hashable


@dataclass(frozen=True, slots=True, eq=False)
class _Trust:
    """What a key's policy says to its own account's IAM: what it entrusts, and what it denies. Equal ones are one."""

    entrusted: tuple[Term, ...]
    denying: tuple[Masked, ...]

    @property
    def is_special(self) -> bool:
        """Whether what is denied depends on which key it is."""
        return any(one.statement.resources != ("*",) or one.statement.has_variables for one in self.denying)


class Resolver:
    """Answers for the keys of one account, remembering what equal keys have in common.

    Without `account` what IAM gives is not told, and entries of the account's own principals are not certain. `scps` is
    a tuple a level, root to account.
    """

    def __init__(
        self,
        account_id: str,
        *,
        account: Account | None = None,
        service: str = "kms",
        scps: tuple[tuple[Policy, ...], ...] = (),
    ) -> None:
        self.account_id, self.table, self.account = account_id, table(service), account
        self._writer = Writer(self.table, account_id)
        self._scps = tuple(
            (tuple(one for policy in level for one in masked(policy, "scp", self.table)), _all_read(level))
            for level in scps
        )
        self._words: dict[str, int] = {}
        self._has_variables = False
        self._everywhere = self._bits([one for level, _ in self._scps for one in level])
        self._people = [self._person(who) for who in (account.identities if account else ())]
        self._by_name = {who.identity.caller.arn: who for who in self._people}
        self._by_id = {who.identity.caller.unique_id: who for who in self._people if who.identity.caller.unique_id}
        self._roles = {w.identity.caller.name: w for w in self._people if w.identity.caller.kind is Kind.ROLE}
        self._patterns = [(bit, matcher(word, ignore_case=False)) for word, bit in self._words.items()]
        self._masked: dict[Policy, list[Masked]] = {}
        self._trusts: dict[Hashable, _Trust] = {}
        self._kept: dict[Hashable, tuple[Access, ...]] = {}

    def who_may(
        self, arn: str, *, policy: Policy | None, grants: Sequence[Grant] = (), context: Context | None = None
    ) -> tuple[Access, ...]:
        """Everyone who may do something with a key, and how. `context` is what is known of every request (its tags)."""
        policy = (NOT_READ if self.table.needs_resource_policy else _NONE) if policy is None else policy
        if len(self._kept) > _MOST:
            self._kept.clear()
            self._masked.clear()
        if policy not in self._masked:
            self._masked[policy] = masked(policy, "", self.table)
        statements, place = self._masked[policy], self._place(arn, context or {})
        is_special = any(one.statement.resources != ("*",) or one.statement.has_variables for one in statements)
        shape = (policy, place.fits, place.fixed, arn if is_special else "")
        if shape not in self._kept:
            trust = self._trust(policy, statements, place)
            by_name = (entry for one in statements for entry in self._of_statement(one, trust, place))
            self._kept[shape] = (*by_name, *self._of_people(trust, place))
        given = [entry for grant in grants for entry in self._of_grant(grant, statements, place)]
        return (*self._kept[shape], *given) if given else self._kept[shape]

    # What is known of the account

    def _person(self, who: Identity) -> _Person:
        own = tuple(one for policy in who.policies for one in masked(policy.policy, policy.source, self.table))
        boundary = tuple(masked(who.boundary, "boundary", self.table))
        is_readable = _all_read([*(one.policy for one in who.policies), who.boundary])
        return _Person(who, own, boundary, is_readable, self._everywhere | self._bits([*own, *boundary]))

    def _bits(self, statements: Sequence[Masked]) -> int:
        found = 0
        for one in statements:
            self._has_variables |= one.statement.has_variables
            for word in one.statement.resources:
                if word != "*":
                    found |= self._words.setdefault(word, 1 << len(self._words))
        return found

    def _place(self, arn: str, context: Context) -> _Place:
        fits = sum(bit for bit, is_on in self._patterns if is_on(arn))
        known = {"aws:resourceaccount": (self.account_id,), **context}
        # Variables may fit any ARN: then no two keys are equal.
        fixed = (tuple(sorted(context.items())), arn if self._has_variables else "")
        return _Place(arn, fits, known, fixed)

    # What a statement of the key's policy gives

    def _of_statement(self, one: Masked, trust: _Trust, place: _Place) -> tuple[Access, ...]:
        if not one.statement.allows:
            return ()
        # Equal statements beside equal denials give the same in every policy: "Enable IAM User Permissions" foremost.
        shape = (_content(one.statement), one.actions, id(trust), place.fits, place.fixed, place.arn)
        if one.statement.resources == ("*",) and not trust.is_special and not one.statement.has_variables:
            shape = (*shape[:-1], "")
        if shape not in self._kept:
            self._kept[shape] = tuple(self._named(one, trust.denying, place))
        return self._kept[shape]

    def _named(self, one: Masked, statements: Sequence[Masked], place: _Place) -> list[Access]:
        found: list[Access] = []
        for caller, is_clear in self._callers(one.statement):
            context = _context(caller, place, self.account_id)
            given = terms(effects([one], place.arn, context, _constantly(is_clear), allows=True))
            limits = denials(effects(statements, place.arn, context, _meaning(caller, self.account_id), allows=False))
            is_certain = True
            if caller.account == self.account_id and caller.kind in PEOPLE:
                who = self._who(caller)
                is_certain = caller.kind is Kind.ACCOUNT or (who is not None and who.is_readable)
                limits += self._own_limits(caller, who, place, is_ceiling=caller.kind is Kind.ROLE)
            named = one.statement.principals
            extra = (f"NotPrincipal {named}",) if one.statement.is_not_principal else ()
            found += self._writer.written(
                caller, AccessVia.RESOURCE_POLICY, given, limits, is_certain=is_certain, extra=extra
            )
        return found

    def _callers(self, statement: Statement) -> Iterator[tuple[Caller, Known]]:
        named = statement.principals
        if named is None or statement.is_not_principal or named.is_everyone:
            # "Using NotPrincipal with Allow is not supported", and without a Principal nobody is named.
            is_clear = named is not None and not statement.is_not_principal
            yield Caller.of("*"), True if is_clear else None
        if named is None or statement.is_not_principal:
            return
        for word in dict.fromkeys(named.aws):
            who = self._by_name.get(word) or self._by_id.get(word)
            caller = who.identity.caller if who else Caller.of(word)
            if caller.kind is not Kind.DELETED:
                yield caller, None if caller.kind is Kind.UNCLEAR else True
        for word in named.services:
            yield Caller(word, Kind.SERVICE, None), True
        for word in named.federated:
            yield Caller(word, Kind.FEDERATED, split(word)[1]), True

    def _who(self, caller: Caller) -> _Person | None:
        return self._roles.get(caller.name) if caller.kind is Kind.SESSION else self._by_name.get(caller.arn)

    def _own_limits(self, caller: Caller, who: _Person | None, place: _Place, *, is_ceiling: bool) -> list[Limit]:
        context, limits = _context(caller, place, self.account_id), []
        everything = self.table.everything
        if who is not None:
            both = (*who.own, *who.boundary)
            limits += denials(effects(both, place.arn, context, _anyone, allows=False))
            if is_ceiling and isinstance(who.identity.boundary, Document):
                inside = list(effects(who.boundary, place.arn, context, _anyone, allows=True))
                limits += ceiling("boundary", inside, everything)
        if who is None or not who.identity.is_service_linked:
            for level, is_read in self._scps:
                limits += denials(effects(level, place.arn, context, _anyone, allows=False))
                if is_read:
                    inside = list(effects(level, place.arn, context, _anyone, allows=True))
                    limits += ceiling("scp", inside, everything)
        return limits

    # What IAM gives, where the key's policy lets it

    def _trust(self, policy: Policy, statements: Sequence[Masked], place: _Place) -> _Trust:
        root = Caller.of(f"arn:aws:iam::{self.account_id}:root")
        if not self.table.needs_resource_policy:
            entrusted = [Term("", self.table.on_resource, (), not isinstance(policy, Malformed))]
        elif isinstance(policy, Malformed):
            entrusted = [Term("", self.table.on_resource, (), False)]
        else:
            names = {root.arn, self.account_id}

            def is_root(one: Statement) -> Known:
                return (
                    one.principals is not None and not one.is_not_principal and not names.isdisjoint(one.principals.aws)
                )

            known = {key: value for key, value in root.context().items() if key != "aws:principalarn"}
            given = effects(statements, place.arn, {**known, **place.known}, is_root, allows=True)
            entrusted = [Term("", one.actions, one.conditions, one.is_certain) for one in terms(given)]
        denying = tuple(one for one in statements if not one.statement.allows)
        said = tuple((one.actions, _content(one.statement)) for one in denying)
        return self._trusts.setdefault((tuple(entrusted), said), _Trust(tuple(entrusted), denying))

    def _of_people(self, trust: _Trust, place: _Place) -> tuple[Access, ...]:
        shape = (id(trust), place.fits, place.fixed, place.arn if trust.is_special else "")
        if shape not in self._kept:
            self._kept[shape] = tuple(e for who in self._people for e in self._of_person(who, trust, place))
        return self._kept[shape]

    def _of_person(self, who: _Person, trust: _Trust, place: _Place) -> tuple[Access, ...]:
        if not who.own:
            return ()
        shape = (
            who.identity.caller.arn,
            id(trust),
            who.words & place.fits,
            place.fixed,
            place.arn if trust.is_special else "",
        )
        if shape not in self._kept:
            self._kept[shape] = tuple(self._written_for(who, trust, place))
        return self._kept[shape]

    def _written_for(self, who: _Person, trust: _Trust, place: _Place) -> list[Access]:
        caller = who.identity.caller
        context = _context(caller, place, self.account_id)
        given = [
            Term(one.source, both, (*one.conditions, *let.conditions), one.is_certain and let.is_certain)
            for one in terms(effects(who.own, place.arn, context, _anyone, allows=True))
            for let in trust.entrusted
            if (both := one.actions & let.actions)
        ]
        if not given:
            return []
        meant = _meaning(caller, self.account_id)
        limits = denials(effects(trust.denying, place.arn, context, meant, allows=False))
        limits += self._own_limits(caller, who, place, is_ceiling=True)
        return self._writer.written(caller, AccessVia.IDENTITY_POLICY, given, limits, is_certain=who.is_readable)

    # What grants give

    def _of_grant(self, grant: Grant, statements: Sequence[Masked], place: _Place) -> list[Access]:
        actions = self.table.mask(tuple(f"kms:{name}" for name in grant.operations))
        found = self._granted(grant, grant.grantee, actions, statements, place)
        if grant.retiring is not None:
            found += self._granted(grant, grant.retiring, self.table.mask(("kms:RetireGrant",)), statements, place)
        return found

    def _granted(
        self, grant: Grant, word: str, actions: int, statements: Sequence[Masked], place: _Place
    ) -> list[Access]:
        caller = Caller.of(word)
        if caller.kind is Kind.DELETED:
            return []
        who = self._who(caller)
        caller = who.identity.caller if who and caller.kind is not Kind.SESSION else caller
        context = _context(caller, place, self.account_id)
        limits = denials(effects(statements, place.arn, context, _meaning(caller, self.account_id), allows=False))
        is_certain = not grant.more
        if caller.account == self.account_id and caller.kind in PEOPLE:
            # Whether a boundary limits what a grant gives is not documented.
            is_certain &= who is not None and who.is_readable and who.identity.boundary is None
            limits += self._own_limits(caller, who, place, is_ceiling=False)
        return self._writer.written(
            caller, AccessVia.GRANT, [Term(grant.grant_id, actions, (), True)], limits, is_certain=is_certain,
            extra=grant.conditions,
        )  # fmt: skip


def _all_read(policies: Sequence[Policy | None]) -> bool:
    return not any(isinstance(policy, Malformed) for policy in policies)


def _content(one: Statement) -> Hashable:
    return (
        one.name,
        one.principals,
        one.is_not_principal,
        one.conditions,
        one.resources,
        one.is_not_resource,
        one.has_variables,
    )


def _constantly(answer: Known) -> Callable[[Statement], Known]:
    return lambda _: answer


_anyone = _constantly(True)


def _context(caller: Caller, place: _Place, account_id: str) -> Context:
    known = caller.context()
    if caller.kind is Kind.ACCOUNT and caller.account != account_id:
        # It stands for all who are in that account.
        known.pop("aws:principalarn", None)
    return {**known, **place.known}


def _meaning(caller: Caller, account_id: str) -> Callable[[Statement], Known]:
    def meant(one: Statement) -> Known:
        named = one.principals
        if named is None:
            return None
        found = means(named, caller, is_not=one.is_not_principal, allows=False).any
        if not one.is_not_principal or found is not True:
            return found
        if caller.kind is Kind.PUBLIC:
            return None
        is_whole = caller.kind is Kind.ACCOUNT and caller.account != account_id
        return None if is_whole and any(split(word)[1] == caller.account for word in named.aws) else True

    return meant
