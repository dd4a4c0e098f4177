"""Custom key stores: of CloudHSM clusters, and external ones behind a proxy."""

from __future__ import annotations

import secrets
from typing import Any

from simulators.kms import states
from simulators.kms.calls import Call, operation
from simulators.kms.errors import ServiceError, invalid
from simulators.kms.world import Store

_PROXY = {
    "XksProxyConnectivity": "Connectivity", "XksProxyUriEndpoint": "UriEndpoint", "XksProxyUriPath": "UriPath",
    "XksProxyVpcEndpointServiceName": "VpcEndpointServiceName",
    "XksProxyVpcEndpointServiceOwner": "VpcEndpointServiceOwner",
}  # fmt: skip

WHILE_CONNECTED = {"CustomKeyStoreId", "NewCustomKeyStoreName", "XksProxyAuthenticationCredential", "XksProxyUriPath"}


def _found(call: Call) -> Store:
    store = call.region.stores.get(call.params["CustomKeyStoreId"])
    if store is None:
        message = f"Custom key store {call.params['CustomKeyStoreId']} is not found."
        raise ServiceError("CustomKeyStoreNotFoundException", message)
    return store


@operation("DescribeCustomKeyStores")
def describe_custom_key_stores(call: Call) -> dict[str, Any]:
    """All of them, or one by id or name; the proxy's secret is never told."""
    stores = call.region.stores
    if "CustomKeyStoreId" in call.params:
        stores = {_found(call).store_id: _found(call)}
    if "CustomKeyStoreName" in call.params:
        name = call.params["CustomKeyStoreName"]
        stores = {one: store for one, store in stores.items() if store.facts["CustomKeyStoreName"] == name}
        if not stores:
            raise ServiceError("CustomKeyStoreNotFoundException", f"Custom key store {name} is not found.")
    some, more = call.page(sorted(stores), 100)
    entries = [stores[one].facts | {"CustomKeyStoreId": one, "ConnectionState": stores[one].state} for one in some]
    return {"CustomKeyStores": entries, **more}


@operation("CreateCustomKeyStore")
def create_custom_key_store(call: Call) -> dict[str, Any]:
    """A store, disconnected at first; whether cluster or proxy exist is not looked into."""
    asked = call.params
    kind = asked.get("CustomKeyStoreType", "AWS_CLOUDHSM")
    if any(one.facts["CustomKeyStoreName"] == asked["CustomKeyStoreName"] for one in call.region.stores.values()):
        raise ServiceError("CustomKeyStoreNameInUseException", "The name of the custom key store is taken.")
    facts = {"CustomKeyStoreName": asked["CustomKeyStoreName"], "CustomKeyStoreType": kind, "CreationDate": call.now}
    if kind == "AWS_CLOUDHSM":
        for name in ("CloudHsmClusterId", "TrustAnchorCertificate", "KeyStorePassword"):
            if name not in asked:
                raise invalid("Member must not be null", at=name, value=None)
        facts |= {name: asked[name] for name in ("CloudHsmClusterId", "TrustAnchorCertificate")}
    else:
        facts["XksProxyConfiguration"] = _proxy(call)
    store_id = f"cks-{secrets.token_hex(8)}"
    call.region.stores[store_id] = Store(store_id, facts, "DISCONNECTED")
    return {"CustomKeyStoreId": store_id}


def _proxy(call: Call) -> dict[str, Any]:
    for name in ("XksProxyUriEndpoint", "XksProxyUriPath", "XksProxyAuthenticationCredential", "XksProxyConnectivity"):
        if name not in call.params:
            raise invalid("Member must not be null", at=name, value=None)
    proxy = {short: call.params[name] for name, short in _PROXY.items() if name in call.params}
    return proxy | {"AccessKeyId": call.params["XksProxyAuthenticationCredential"]["AccessKeyId"]}


@operation("ConnectCustomKeyStore")
def connect_custom_key_store(call: Call) -> dict[str, Any]:
    """Its keys can be used again."""
    store = _found(call)
    if store.state in ("DISCONNECTING", "FAILED"):
        raise ServiceError("CustomKeyStoreInvalidStateException", f"{store.store_id} is {store.state}.")
    store.state = "CONNECTED"
    for key in call.region.keys.values():
        if key.store_id == store.store_id and key.state == states.UNAVAILABLE:
            key.state = key.resumes
    return {}


@operation("DisconnectCustomKeyStore")
def disconnect_custom_key_store(call: Call) -> dict[str, Any]:
    """Its keys are Unavailable until it is connected; a pending deletion stays pending."""
    store = _found(call)
    if store.state in ("DISCONNECTING", "DISCONNECTED"):
        raise ServiceError("CustomKeyStoreInvalidStateException", f"{store.store_id} is {store.state}.")
    store.state = "DISCONNECTED"
    for key in call.region.keys.values():
        if key.store_id == store.store_id and key.state not in states.DYING:
            key.resumes, key.state = key.state, states.UNAVAILABLE
    return {}


@operation("UpdateCustomKeyStore")
def update_custom_key_store(call: Call) -> dict[str, Any]:
    """A few things at any time, anything else only while disconnected; of all of them only the name is kept."""
    store = _found(call)
    if set(call.params) - WHILE_CONNECTED and store.state != "DISCONNECTED":
        raise ServiceError("CustomKeyStoreInvalidStateException", f"{store.store_id} is {store.state}.")
    if "NewCustomKeyStoreName" in call.params:
        store.facts["CustomKeyStoreName"] = call.params["NewCustomKeyStoreName"]
    return {}


@operation("DeleteCustomKeyStore")
def delete_custom_key_store(call: Call) -> dict[str, Any]:
    """Only when it is disconnected and holds no keys."""
    store = _found(call)
    if any(key.store_id == store.store_id for key in call.region.keys.values()):
        raise ServiceError("CustomKeyStoreHasCMKsException", f"{store.store_id} contains KMS keys.")
    if store.state != "DISCONNECTED":
        raise ServiceError("CustomKeyStoreInvalidStateException", f"{store.store_id} is {store.state}.")
    del call.region.stores[store.store_id]
    return {}
