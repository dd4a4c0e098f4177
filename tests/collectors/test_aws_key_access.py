"""Who may use a key, from a real reading to the finding: a key that everybody may use, and one that its account keeps."""

from __future__ import annotations

import json

import toolkit as tk

OWN, REGION = "111122223333", "eu-west-1"


def test_a_key_that_everybody_may_use_is_a_finding_with_first_priority(aws, signed_in):
    """The pack fails it, its risk needs action now, the repair is to narrow the policy; the other key passes."""
    region = aws.account(OWN).region(REGION)
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    region.key(alias="open", policy=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}))
    region.key(alias="kept")

    inv = tk.collect("aws_kms", regions=[REGION], protects=False, resume_minutes=0, show_progress=False)

    labels = dict(zip(tk.keys(inv)["subject_uid"], tk.keys(inv)["aliases"].map(list), strict=True))
    found = tk.assess(inv, "key_access")
    public = found[found["rule"] == "public-access"]
    told = {labels[uid][0]: verdict for uid, verdict in zip(public["subject_uid"], public["verdict"], strict=True)}
    assert {"alias/open": "FAIL", "alias/kept": "PASS"} == told
    urgent = tk.score(inv)[tk.score(inv)["gate"].notna()]
    assert [["alias/open"]] == [labels[uid] for uid in urgent["subject_uid"]]
    best = tk.priorities(inv, every=True)
    assert "narrow-policy" == best[best["gate"].notna()]["repair"].iloc[0]
