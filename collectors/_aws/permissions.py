"""Which IAM action lets a call through, and which calls only read.

IAM spells some services and operations in its own way; the exceptions stand here, all else is `service:Operation`.
Source: service authorization reference, "Actions, resources, and condition keys for AWS services" (the prefix of each
service, and for S3 the table of API operations and actions in the S3 user guide).

>>> permission("resourcegroupstaggingapi", "GetResources"), permission("s3", "ListBuckets")
('tag:GetResources', 's3:ListAllMyBuckets')
>>> only_reads("kms:DescribeKey"), only_reads("kms:Decrypt"), only_reads("secretsmanager:GetSecretValue")
(True, False, False)
"""

from __future__ import annotations

import re
from typing import Final

_PREFIX: Final = {
    "resourcegroupstaggingapi": "tag", "efs": "elasticfilesystem", "cloudhsmv2": "cloudhsm", "opensearch": "es",
    "elbv2": "elasticloadbalancing", "elb": "elasticloadbalancing", "stepfunctions": "states", "docdb": "rds",
    "neptune": "rds", "amp": "aps", "mq": "mq", "memorydb": "memorydb", "kafka": "kafka", "emr": "elasticmapreduce",
}  # fmt: skip
_ACTION: Final = {
    ("s3", "ListBuckets"): "s3:ListAllMyBuckets",
    ("s3", "GetBucketEncryption"): "s3:GetEncryptionConfiguration",
    ("s3", "GetBucketLocation"): "s3:GetBucketLocation",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListObjects"): "s3:ListBucket",
    ("apigateway", "GetDomainNames"): "apigateway:GET",
}
_READS: Final = re.compile(
    r"[a-z0-9-]+:(?:List|Get|Describe|Lookup|BatchGet|GenerateCredentialReport$)|apigateway:GET$"
)
# They begin like reading, and give out a secret, make something, or change something.
_NEVER: Final = re.compile(
    r"secretsmanager:(?:BatchGetSecretValue|GetSecretValue|GetRandomPassword)|ssm:GetParameter\w*|kms:GetParametersForImport"
    r"|sts:Get(?:SessionToken|FederationToken|WebIdentityToken)\w*|ecr(?:-public)?:GetAuthorizationToken"
    r"|codeartifact:GetAuthorizationToken|lambda:GetFunction|ec2:GetPasswordData|ec2:GetConsole\w*|redshift:GetClusterCredentials\w*"
    r"|cognito-idp:Get\w*|sso:GetRoleCredentials|rds:Get\w*Token|acm:GetAcmeAccount\w*|payment-cryptography:GetParametersFor\w*"
)


def permission(service: str, operation: str) -> str:
    """The IAM action of an operation; `service` is botocore's name of it."""
    return _ACTION.get((service, operation), f"{_PREFIX.get(service, service)}:{operation}")


def only_reads(action: str) -> bool:
    """Whether the call behind an action lists or describes, and gives out no secret."""
    return bool(_READS.match(action)) and not _NEVER.fullmatch(action)
