"""Scopes: what a mapping file says has the last word, what it does not say is not told, what it cannot mean is refused."""

from __future__ import annotations

import pytest

from toolkit import scopes
from toolkit.conditions import frame_of
from toolkit.errors import PolicyError

KEYS = [
    {"locator": "file:///srv/pay/a.pem", "tags": ["team=payments"], "environment": "prod"},
    {"locator": "file:///srv/web/b.pem", "tags": ["scope=hipaa"], "environment": "test"},
    {"locator": "file:///srv/web/c.pem", "owner": "Web"},
]


def told(mapping, rows=KEYS, subject="key"):
    """The words of each row, or None."""
    frame = frame_of(subject, rows)
    return [
        None if value is None else set(value)
        for value in scopes.tell(subject, frame, scopes.parse(mapping)).astype(object).where(lambda v: v.notna(), None)
    ]


def test_without_a_mapping_columns_and_tags_speak_and_nothing_is_guessed():
    """An environment and a tag are told; a key without either is not."""
    assert [{"production"}, {"ephi", "not:production"}, None] == told({})


def test_a_row_matches_by_pattern_whatever_the_case_and_all_of_it_must():
    """`*` stands for anything; two fields of one match must both hold, a list means any."""
    rows = [
        {"match": {"locator": "FILE:///srv/pay/*", "tag": ["team=pay*", "x"]}, "scopes": ["cardholder-data"]},
        {"match": {"locator": "file:///srv/*", "owner": "web"}, "scopes": ["x-shop"], "not": ["nss"]},
    ]
    assert [{"production", "cardholder-data"}, {"ephi", "not:production"}, {"x-shop", "not:nss"}] == told({"map": rows})


def test_the_mapping_has_the_last_word_and_its_later_rows_over_earlier_ones():
    """The tag says ephi, the file says not; a second row takes back what the first gave."""
    rows = [
        {"match": {"locator": "*"}, "scopes": ["federal"], "not": ["ephi"]},
        {"match": {"locator": "*/b.pem"}, "not": ["federal"]},
    ]
    assert {"not:ephi", "not:federal", "not:production"} == told({"map": rows})[1]


def test_a_row_may_be_about_one_kind_of_subject():
    """What is said of certificates is not said of keys."""
    mapping = {"map": [{"match": {"locator": "*"}, "subject": ["certificate"], "scopes": ["public-trust"]}]}
    assert [None] == told(mapping, [{"locator": "a"}])
    assert [{"public-trust"}] == told(mapping, [{"locator": "a"}], subject="certificate")


def test_a_default_closes_the_world():
    """What nothing names is in the default's scopes, and everything is out of all that is not named."""
    assert [{"production", "isms", "not:*"}, {"ephi", "not:production", "isms", "not:*"}, {"isms", "not:*"}] == told(
        {"default": ["isms"]}
    )
    assert {"not:*"} == told({"default": []})[2]


def test_the_inventory_as_a_whole_has_its_own_table():
    """What the organisation is, for what only a person can attest."""
    mapping = {"inventory": {"scopes": ["financial-entity"], "not": ["nss"]}}
    assert [{"financial-entity", "not:nss"}] == told(mapping, [{"keys": 1}], subject="inventory")
    assert None is told(mapping)[2]


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"maps": []}, "unknown maps"),
        ({"default": ["pci"]}, "no scope is called pci"),
        ({"map": [{"match": {"locator": "*"}}]}, "`scopes` or `not`"),
        ({"map": [{"scopes": ["nss"]}]}, "it needs `match`"),
        ({"map": [{"match": {"size_bits": "1"}, "scopes": ["nss"]}]}, "unknown size_bits"),
        ({"map": [{"match": {"locator": 1}, "scopes": ["nss"]}]}, "a text or a list of texts"),
        ({"map": [{"match": "x", "scopes": ["nss"]}]}, "a table is needed"),
        ({"inventory": {"in": ["nss"]}}, "unknown in"),
    ],
)
def test_what_a_mapping_cannot_mean_is_refused(mapping, says):
    """A misspelt scope or field would silently put nothing in scope."""
    with pytest.raises(PolicyError, match=says):
        scopes.parse(mapping)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path):
    """The path stands in the message."""
    place = tmp_path / "scopes.toml"
    assert None is scopes.in_workspace(tmp_path)
    place.write_text("default = [")
    assert place == scopes.in_workspace(tmp_path)
    with pytest.raises(PolicyError, match=r"scopes\.toml"):
        scopes.load(place)
