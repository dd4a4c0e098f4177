"""Sessions and clients: one session an account, pooled connections, credentials only by botocore's own chain.

Profiles, SSO, environment, instance roles and `AWS_ENDPOINT_URL` are botocore's business; roles are assumed by its own
refreshing fetcher, so an hour's session lasts as long as the run. A credential is never looked at here.

Most of botocore is loaded from here, which takes longer than a whole `--help`: import this only where a call is near.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, DataNotFoundError
from botocore.parsers import ResponseParserError

from collectors._aws.corridor import ASSUME_ROLE, Corridor
from collectors._aws.pace import Pace
from collectors._aws.wire import NotPlain, Wire

# Six attempts: at 5 % of calls failing, one in sixty million is lost.
_ATTEMPTS: Final = 6
_HOME: Final = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


class Account:
    """A session of one account. Clients are made once a service and region, in turn: making them is not thread-safe."""

    failures: ClassVar[tuple[type[Exception], ...]] = (ClientError, BotoCoreError, ResponseParserError)
    """What a question that is not answered raises."""

    def __init__(self, session: Any, *, corridor: Corridor, pace: Pace, connections: int) -> None:
        self._session, self._corridor, self._pace = session, corridor, pace
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        self._wires: dict[tuple[str, str], Wire] = {}
        self._pages: dict[tuple[str, str], dict[str, Any] | None] = {}
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=connections,
            # What we send is made here, not by users; it costs a tenth of a call.
            parameter_validation=False,
            connect_timeout=5,
            read_timeout=20,
            tcp_keepalive=True,
            user_agent="keyatlas",
        )

    @classmethod
    def of_profile(cls, profile: str | None, *, corridor: Corridor, pace: Pace, connections: int) -> Account:
        """The account of a profile, or of the credentials found where botocore looks for them."""
        session = botocore.session.Session(profile=profile or None)
        return cls(session, corridor=corridor, pace=pace, connections=connections)

    def assumed(self, role_arn: str) -> Account:
        """The account in which a role, assumed with this session, is."""
        guard = Corridor((ASSUME_ROLE,))

        def creator(service: str, **more: Any) -> Any:
            client = self._session.create_client(service, region_name=self.home(role_arn), config=self._config, **more)
            guard.guard(client)
            return client

        fetcher = AssumeRoleCredentialFetcher(
            creator, self._session.get_credentials(), role_arn, extra_args={"RoleSessionName": "keyatlas"}
        )
        session = botocore.session.Session()
        # Reading the service models again for each of fifty accounts would take longer than asking them.
        session.register_component("data_loader", self._session.get_component("data_loader"))
        # botocore has no public way to give a session credentials that refresh themselves; this is the one in use.
        session._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # type: ignore[attr-defined]
        return Account(session, corridor=self._corridor, pace=self._pace, connections=self._config.max_pool_connections)  # type: ignore[attr-defined]

    def home(self, arn: str = "") -> str:
        """A region to ask what is asked of no region in particular."""
        chosen = self._session.get_config_variable("region")
        return str(chosen or _HOME.get(arn.split(":")[1] if ":" in arn else "aws", "us-east-1"))

    def client(self, service: str, *, account: str, region: str) -> Any:
        """The client of a service in a region, inside the corridor and its pace."""
        with self._lock:
            found = self._clients.get((service, region))
            if found is None:
                create = partial(self._session.create_client, service, region_name=region, config=self._config)
                found = self._clients[service, region] = create()
                self._corridor.guard(found)
                self._pace.keep(found, account, region)
        return found

    def wire(self, service: str, *, account: str, region: str) -> Wire:
        """The lean way beside that client."""
        client = self.client(service, account=account, region=region)
        with self._lock:
            found = self._wires.get((service, region))
            if found is None:
                bundle = self._session.get_config_variable("ca_bundle")
                found = self._wires[service, region] = Wire(client, self._session.get_credentials(), ca_bundle=bundle)
        return found

    def ask(self, service: str, operation: str, params: Mapping[str, Any], *, account: str, region: str) -> Any:
        """One question: the lean way if it is plain, else botocore's. What it raises is one of `failures`."""
        client = self.client(service, account=account, region=region)
        wire = self.wire(service, account=account, region=region)
        self._corridor.check(service, operation)
        if wire.is_open:
            try:
                self._pace.bucket(account, region, service, operation).take()
                return wire.ask(operation, params)
            except NotPlain:
                pass
        return getattr(client, xform_name(operation))(**params)

    def knows(self, service: str, operation: str, *, account: str, region: str) -> bool:
        """Whether this botocore has a model of an operation."""
        model = self.client(service, account=account, region=region).meta.service_model
        return operation in model.operation_names

    def paging(self, service: str, operation: str) -> dict[str, Any] | None:
        """How botocore pages an operation; None if it does not."""
        with self._lock:
            if (service, operation) not in self._pages:
                try:
                    model = self._session.get_paginator_model(service)
                    self._pages[service, operation] = dict(model.get_paginator(operation))
                except (ValueError, DataNotFoundError):
                    self._pages[service, operation] = None
            return self._pages[service, operation]

    def known_regions(self, partition: str, service: str) -> list[str]:
        """The regions that botocore's own data knows a service in."""
        return list(self._session.get_available_regions(service, partition_name=partition))
