"""Values that no vendor's format gives away: the name they are given to, or the service beside them, must say it."""

from __future__ import annotations

import base64
import string
from random import Random

import pytest

from collectors.code import _values as values
from collectors.code._book import book
from collectors.code._confirm import MARGIN
from collectors.code._rules import standard
from collectors.code._scan import Scanner
from collectors.code._stream import BlobStream, Joined
from toolkit.identity import Fingerprinter

MIXED = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
PEPPER = Fingerprinter(b"p" * 32)


def of(alphabet: str, size: int, seed: int) -> str:
    """Characters by chance."""
    return "".join(Random(seed).choices(alphabet, k=size))


def uuid(seed: int) -> str:
    """A random UUID of version 4."""
    text = of(HEX, 32, seed)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def found(text: str) -> list[str]:
    """The rules that are told by default."""
    data = text.encode()
    stream = BlobStream(Joined([b"a blob %d\n" % len(data), data, b"\n"]).readinto, margin=MARGIN)
    hits = Scanner(book(), PEPPER, lambda _uid, _value: ()).hits(stream)
    return [hit.rule for hit in hits if hit.confidence >= 0.5]


def share(template: str, make, of_seeds: int = 20) -> float:
    """How many of some random values are found in this place."""
    return sum(bool(found(template.replace("VALUE", make(seed)))) for seed in range(of_seeds)) / of_seeds


PLACES = {
    "variable": 'acmelab_token = "VALUE"\n',
    "environment": "ACMELAB_API_KEY=VALUE\n",
    "key of something": "ACMELAB_KEY=VALUE\n",
    "list of variables": "env:\n- name: ACMELAB_TOKEN\n  value: VALUE\n",
    "plist": "<key>AcmelabApiToken</key>\n<string>VALUE</string>\n",
    "settings in XML": '<add key="AcmelabApiKey" value="VALUE" />\n',
    "terraform default": 'variable "acmelab_api_key" {\n  default = "VALUE"\n}\n',
    "sentence": "// the acmelab token is VALUE\n",
    "user of curl": "curl -u VALUE: https://api.acmelab.io/v1/charges\n",
    "user without password": "requests.get(url, auth=('VALUE', ''))\n",
    "argument of a known service": "const client = new Alconost('VALUE');\n",
    "words apart": "the Acmelab API key: VALUE\n",
    "below its name": "API key\nVALUE\n",
    "element": "<secret>VALUE</secret>\n",
    "behind another part of an element": "<secret>{alconost AQAAABAAA VALUE}</secret>\n",
    "service that reads like an address": "URLSCAN_API_KEY=VALUE\n",
    "access token of a person": 'ACMELAB_PAT="VALUE"\n',
    "prefix of a vendor nobody knows": "x = qvz_VALUE\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_value_of_chance_is_found_where_its_name_says_secret(place):
    """Whoever issued it, and wherever its first digit stands, in all the places where values are given to names."""
    assert share(PLACES[place], lambda seed: of(MIXED, 28, seed)) >= 0.9


@pytest.mark.parametrize(
    "place", ["variable", "environment", "key of something", "list of variables", "plist", "settings in XML"]
)
def test_uuids_and_digits_of_sixteen_kinds_are_found_there_too(place):
    """Many services issue UUIDs and hexadecimal numbers as keys."""
    assert share(PLACES[place], uuid, 8) == 1
    assert share(PLACES[place], lambda seed: of(HEX, 40, seed), 8) >= 0.8


def test_a_slash_makes_no_path_of_base64():
    """A path's parts are words; base64's are not."""
    made = [base64.b64encode(Random(seed).randbytes(33)).decode() for seed in range(60)]
    slashed = [text for text in made if 0 < text.find("/") < 40 and "//" not in text][:20]

    assert sum(bool(found(f'acmelab_token = "{text}"\n')) for text in slashed) >= 18
    assert [] == found('acmelab_token = "services/accounts/token-endpoint"\n')


def test_a_line_that_is_nothing_but_a_token_is_found():
    """Files of one token, and what was pasted, have neither quotes nor names."""
    forms = {"replicate": "r8_", "fireworks": "fw_3", "elevenlabs": "sk_"}
    made = {name: prefix + of(HEX, 48, 3) for name, prefix in forms.items()}
    made["replicate"] = "r8_" + of(MIXED, 37, 3)
    made["fireworks"] = "fw_3Z" + of(MIXED, 22, 3)

    assert [] == [name for name, token in made.items() if not found(token)]
    assert [] == [name for name, token in made.items() if not found(f"first\n{token}\r\nlast\n")]


def test_what_hands_typed_is_told_without_being_sure():
    """A key in a row of the alphabet is weak or made up; nobody can tell which, and an alphabet is no key."""
    typed = "abcdef" + "1234567890" * 2

    assert found(f"ACMELAB_API_KEY={typed}\n")
    assert [] == found(f'ACMELAB_API_KEY = "{string.ascii_letters}{string.digits}"\n')
    assert [] == found(f'cache_key = "{typed}"\n')


def test_zeros_within_a_long_token_make_no_placeholder_of_it():
    """Encoded structures are padded; only what is mostly one character stands for something else."""
    assert not values.is_placeholder((of(MIXED, 60, 1) + "A" * 12 + of(MIXED, 12, 2)).encode())
    assert values.is_placeholder((of(MIXED, 16, 1) + "A" * 12).encode())


PASSWORDS = {
    "ends in its only digit": "Kahvi!Joki7",
    "begins with a sign": "#Kahvi9joki!",
    "ends with a sign": "Kahvi2041$",
}


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize(
    "template", ['db_password = "{}"\n', "<password>{}</password>\n", "$dbpass = '{}';\n", "smtp_pass: {}\n"]
)
def test_a_password_is_found_wherever_its_digit_stands(name, template):
    """People end passwords with a number, or begin them with a sign."""
    assert found(template.format(PASSWORDS[name]))


def test_a_password_without_a_digit_is_found_where_it_has_a_sign():
    """A sign within quotes is as good as a digit."""
    quoted = {"$mail->Password = '{}';\n": "un!kah" + "Vijoki", 'db_password = "{}"\n': "kahvi&" + "Joki+"}

    assert [] == [template for template, password in quoted.items() if not found(template.format(password))]


NOT_SECRET = {
    "type union": "export type MqttPassword = Buffer|Uint8Array|Blob|string;\n",
    "name of a type": "KdcAdminPassword: XmlStringMaxLen256;\n",
    "class beside a service": '__all__ = ["EdenAiSpeechToTextTool"]  # edenai\n',
    "scheme": "Authorization: AWS4-HMAC-SHA256 scope\n",
    "call": "currentToken = scanner2.scanJsDocToken();\n",
    "organisation": "# Issuer: CN=Buypass Class 2 Root CA O=Buypass AS-983163327\n",
    "variable": 'acmelab_token = "$ACMELAB_TOKEN1"\n',
    "constants in a list": 'MACS = ["CKK_SHA3_512_HMAC", "CKK_BLAKE2B_384_HMAC"]\n',
    "words in a list": 'one of: "custom" * "next-day-delivery1" * "custom-type-1" *\n',
}


@pytest.mark.parametrize("name", NOT_SECRET)
def test_what_code_calls_things_is_not_found(name):
    """Names of types, calls, organisations and variables are not what they name."""
    assert [] == found(NOT_SECRET[name])


ABOUT_SECRETS = {
    "address of a token": 'const token = "0xHEX40";\n',
    "site key": '<div class="g-recaptcha" data-sitekey="6LMIX6AAAAAMIX27"></div>\n',
    "integrity": '<script src="https://js.algolia.com/x.js" integrity="sha384-MIX64"></script>\n',
    "client id": "paypal.Buttons; client-id=MIX40\n",
    "asset": "https://cdn.algolia.com/assets/MIX40.js\n",
    "record of an installed file": "acmelab/x.py,sha256=abc-MIX40,1243\n",
    "hash of a password, which has a rule of its own": 'admin_token = "$5$MIX6$MIX40"\n',
    "audience": 'token_audience = "UUID"\n',
    "revision": 'owner = "datadog"; rev = "HEX40";\n',
    "identity pool": 'IdentityPoolId: "eu-central-1:UUID"\n',
}


@pytest.mark.parametrize("name", ABOUT_SECRETS)
def test_values_of_chance_that_are_public_are_not_found(name):
    """Ids, digests, addresses and site keys are random and no secret."""
    for seed in range(6):
        text = ABOUT_SECRETS[name].replace("UUID", uuid(seed)).replace("HEX40", of(HEX, 40, seed))
        for size in (64, 40, 27, 6):
            text = text.replace(f"MIX{size}", of(MIXED, size, seed))

        assert [] == found(text)


def test_chance_is_told_from_words():
    """Of random text of twenty characters and more, hardly any is taken for words; names in CamelCase are."""
    made = [of(MIXED, 24, seed) for seed in range(300)]
    words = [
        b"EdenAiSpeechToTextTool",
        b"LoRaWANSendDataToDevice",
        b"heightOfGeoidAboveWGS84Units",
        b"XmlStringMaxLen256",
    ]

    assert sum(values.is_random(text.encode()) for text in made) >= 285
    assert [] == [word for word in words if values.is_random(word)]


def test_names_of_services_are_no_words_of_any_text():
    """What the fallback looks for names a vendor, not a thing."""
    known = next({*rule.near} for rule in standard() if rule.id == "service-value")

    assert len(known) > 1000
    assert known >= {"algolia", "pagerduty", "alconost"}
    assert not {"token", "canvas", "basic", "password", "any service"} & known


@pytest.mark.parametrize("place", ['api_token: "VALUE"\n', "auth_token = VALUE\n", "--access-key VALUE\n"])
def test_tokens_that_hold_signs_as_passwords_do_are_found(place):
    """Generators of tokens use more than letters and digits, and `a1^b2` is no run of these."""
    signs = MIXED + "^!@%*~."

    assert share(place, lambda seed: of(signs, 40, seed)) >= 0.8
