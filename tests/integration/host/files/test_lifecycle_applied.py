"""The script puts the rules on a bucket of a real S3 server, and no others away."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.lifecycle_rules import fate_of_object
from tests.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server

from hakoiri.cli.demo.server_process import free_port
from hakoiri.cli.doctor.checklist_facts import read_lifecycle
from hakoiri.cli.doctor.finding import Finding, State
from hakoiri.cli.doctor.lifecycle_check import check_lifecycle
from hakoiri.host.settings import Settings

pytestmark = pytest.mark.root

SCRIPT = Path(__file__).parents[4] / "deployment/s3/apply-lifecycle.sh"

# The two calls that the script makes of the aws command line, by the same library.
AWS = """#!{python}
import json, sys
import boto3
from botocore.exceptions import ClientError
words = sys.argv[1:]
assert words[0] == "s3api"
options = dict(zip(words[2::2], words[3::2]))
client = boto3.client("s3", endpoint_url=options["--endpoint-url"],
    aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="planted-store-secret",
    region_name="us-east-1")
try:
    if words[1] == "get-bucket-lifecycle-configuration":
        assert (options["--query"], options["--output"]) == ("Rules[].ID", "text")
        found = client.get_bucket_lifecycle_configuration(Bucket=options["--bucket"])
        print("\\t".join(rule["ID"] for rule in found["Rules"]))
    else:
        assert words[1] == "put-bucket-lifecycle-configuration"
        client.put_bucket_lifecycle_configuration(Bucket=options["--bucket"],
            LifecycleConfiguration=json.loads(options["--lifecycle-configuration"]))
except ClientError as error:
    sys.exit(f"An error occurred ({{error.response['Error']['Code']}})")
"""


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket(f"b-{os.urandom(6).hex()}")


@pytest.fixture
def path(tmp_path: Path) -> str:
    aws = tmp_path / "aws"
    aws.write_text(AWS.format(python=sys.executable))
    aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


def apply(
    s3: S3Server, path: str, *words: str, endpoint: str | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [str(SCRIPT), *words, "--", "--endpoint-url", endpoint or s3.endpoint]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )


def rules(s3: S3Server, bucket: str) -> list[dict[str, Any]]:
    found = s3.client().get_bucket_lifecycle_configuration(Bucket=bucket)
    return [json.loads(json.dumps(rule)) for rule in found["Rules"]]


def test_the_rules_are_put_and_put_again(s3: S3Server, bucket: str, path: str) -> None:
    for _ in range(2):
        done = apply(s3, path, "--without-glacier", f"s3://{bucket}/some/prefix")
        assert (done.returncode, done.stderr) == (0, "")
    policy = {"Rules": rules(s3, bucket)}
    assert {rule["ID"] for rule in policy["Rules"]} == {
        "hakoiri-abandoned-uploads",
        "hakoiri-archive",
    }
    key = "some/prefix/tenants/acme/packs/ab/x"
    assert fate_of_object(policy, key, age_days=9999) == "kept"
    assert fate_of_object(policy, "some/prefix/archive/x", age_days=9999) == "deleted"


def test_the_rules_of_others_are_not_thrown_away(s3: S3Server, bucket: str, path: str) -> None:
    other = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 3},
    }
    s3.client().put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [other]}
    )
    refused = apply(s3, path, f"s3://{bucket}")
    assert refused.returncode == 1
    assert "has the rule theirs" in refused.stderr
    assert [rule["ID"] for rule in rules(s3, bucket)] == ["theirs"]
    done = apply(s3, path, "--replace", "--without-glacier", f"s3://{bucket}")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rules(s3, bucket)) == 2


def test_a_server_without_storage_classes_says_so(s3: S3Server, bucket: str, path: str) -> None:
    """SeaweedFS has none: the whole policy was never on a real bucket here."""
    done = apply(s3, path, f"s3://{bucket}")
    assert done.returncode == 1
    assert "NotImplemented" in done.stderr


def test_a_server_that_does_not_answer_is_not_taken_for_one_without_rules(
    s3: S3Server, bucket: str, path: str
) -> None:
    done = apply(s3, path, "s3://no-such-bucket-of-ours")
    assert done.returncode == 1
    assert "cannot read the rules" in done.stderr
    with pytest.raises(ClientError):
        rules(s3, bucket)


def examined(
    s3: S3Server, bucket: str, tmp_path: Path, *, secret: str = SECRET_ACCESS_KEY
) -> Finding:
    """What `hakoiri doctor --production` says of the bucket's rules."""
    key = tmp_path / "key.toml"
    key.write_text(f'access_key_id = "{ACCESS_KEY_ID}"\nsecret_access_key = "{secret}"\n')
    key.chmod(0o600)
    settings = Settings.model_validate(
        {
            "object_store_url": f"s3://{bucket}/some/prefix",
            "object_store": {"credentials_file": key, "endpoint": s3.endpoint},
        }
    )
    return check_lifecycle("lifecycle", settings, read_lifecycle(settings, bucket=bucket))


def test_the_checklist_sees_whether_the_rules_are_there(
    s3: S3Server, bucket: str, path: str, tmp_path: Path
) -> None:
    lacking = examined(s3, bucket, tmp_path)
    assert lacking.state is State.WARNING
    assert f"deployment/s3/apply-lifecycle.sh s3://{bucket}/some/prefix" in lacking.mend
    apply(s3, path, "--without-glacier", f"s3://{bucket}/some/prefix")
    assert examined(s3, bucket, tmp_path).state is State.OK
    refused = examined(s3, bucket, tmp_path, secret="another")
    assert refused.state is State.OPEN
    assert "the store answered" in refused.text
    assert "another" not in refused.text


def test_the_checklist_waits_for_no_store_that_is_away(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    away = S3Server(port=free_port(), directory=tmp_path, command=[])
    found = examined(away, bucket, tmp_path)
    assert found.state is State.OPEN
    assert "EndpointConnectionError" in found.text
