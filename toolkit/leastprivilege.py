"""The policy that lets a collector read and do nothing else: as IAM JSON, CloudFormation or Terraform.

Made from what collectors declare (`reads`), action by action: no wildcard gets in, and one that is declared is refused.
The same permissions give the same bytes, so that a review sees a change and nothing else. The role trusts one
principal, which whoever deploys it names, and asks for an external id where one is given.

Refuses to: make a policy of permissions that are no IAM actions (files, PKCS#11 calls).

>>> print(document(("kms:ListKeys", "kms:DescribeKey"), form="iam"))
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "KeyatlasReadsKms",
      "Effect": "Allow",
      "Action": [
        "kms:DescribeKey",
        "kms:ListKeys"
      ],
      "Resource": "*"
    }
  ]
}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from toolkit.errors import ConfigError

FORMS: Final = ("iam", "cloudformation", "terraform")
_ACTION: Final = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]*")
# IAM counts the characters of a managed policy without white space (IAM user guide, "IAM and AWS STS quotas").
_LONGEST: Final = 6144
_SAYS: Final = "What keyatlas needs to read, and nothing more."
_TRUST: Final = """variable "keyatlas_principal_arn" {
  description = "The principal that runs keyatlas and may assume the role."
  type        = string
}

variable "keyatlas_external_id" {
  description = "Asked for when the role is assumed, if it is given."
  type        = string
  default     = ""
}

data "aws_iam_policy_document" "keyatlas_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.keyatlas_principal_arn]
    }

    dynamic "condition" {
      for_each = var.keyatlas_external_id == "" ? [] : [var.keyatlas_external_id]

      content {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [condition.value]
      }
    }
  }
}

resource "aws_iam_role" "keyatlas" {
  name               = "keyatlas-reader"
  description        = "What keyatlas needs to read, and nothing more."
  assume_role_policy = data.aws_iam_policy_document.keyatlas_trust.json
}

resource "aws_iam_role_policy_attachment" "keyatlas" {
  role       = aws_iam_role.keyatlas.name
  policy_arn = aws_iam_policy.keyatlas.arn
}
"""


_LOCAL: Final = "file:read"


def document(reads: Iterable[str], *, form: str) -> str:
    """The permissions in one of `FORMS`.

    Raises:
        ConfigError: a permission is no IAM action, or they are too many for one managed policy.
    """
    told = policy(reads)
    if form == "iam":
        return json.dumps(told, indent=2)
    if form == "cloudformation":
        return json.dumps(_template(told), indent=2)
    if form == "terraform":
        return _terraform(told)
    raise ConfigError(f"no policy is written as {form}", advice=f"use one of: {', '.join(FORMS)}")


def policy(reads: Iterable[str]) -> dict[str, Any]:
    """The IAM policy of permissions: a statement a service, each action by its name.

    Raises:
        ConfigError: a permission is no IAM action, or they are too many for one managed policy.
    """
    # Log files may lie on this machine too: reading them is asked of its owner, not of IAM.
    actions = sorted(set(reads) - {_LOCAL}) or sorted(set(reads))
    wrong = [action for action in actions if not _ACTION.fullmatch(action)]
    if wrong or not actions:
        raise ConfigError(
            f"not IAM actions: {', '.join(wrong) or 'nothing is read'}",
            advice="leave --as out: only collectors of AWS have an IAM policy",
        )
    services = sorted({action.split(":")[0] for action in actions})
    statements = [
        {
            "Sid": f"KeyatlasReads{''.join(part.capitalize() for part in service.split('-'))}",
            "Effect": "Allow",
            "Action": [action for action in actions if action.split(":")[0] == service],
            "Resource": "*",
        }
        for service in services
    ]
    told = {"Version": "2012-10-17", "Statement": statements}
    if len(json.dumps(told, separators=(",", ":"))) > _LONGEST:
        raise ConfigError("too many permissions for one managed policy", advice="name fewer collectors at once")
    return told


def _template(told: dict[str, Any]) -> dict[str, Any]:
    external = {"Fn::If": ["HasExternalId", {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}, _NO_VALUE]}
    trust = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "PrincipalArn"}}, "Action": "sts:AssumeRole"}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": _SAYS,
        "Parameters": {
            "PrincipalArn": {
                "Type": "String",
                "Description": "The principal that runs keyatlas and may assume the role.",
            },
            "ExternalId": {
                "Type": "String",
                "Default": "",
                "Description": "Asked for when the role is assumed, if it is given.",
            },
        },
        "Conditions": {"HasExternalId": {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExternalId"}, ""]}]}},
        "Resources": {
            "ReadPolicy": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"Description": _SAYS, "PolicyDocument": told},
            },
            "ReadRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "Description": _SAYS,
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{**trust, "Condition": external}],
                    },
                    "ManagedPolicyArns": [{"Ref": "ReadPolicy"}],
                },
            },
        },
        "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["ReadRole", "Arn"]}}},
    }


_NO_VALUE: Final = {"Ref": "AWS::NoValue"}


def _terraform(told: dict[str, Any]) -> str:
    # JSON is an expression of Terraform's language, and `policy` allows no text that could be a template in it.
    inner = json.dumps(told, indent=2).replace("\n", "\n  ")
    head = f'resource "aws_iam_policy" "keyatlas" {{\n  name        = "keyatlas-read"\n  description = "{_SAYS}"\n'
    return f"{head}  policy      = jsonencode({inner})\n}}\n\n{_TRUST}".rstrip("\n")
