import os
import re
from pathlib import Path

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import parse_configuration, read_configuration
from hakoiri.credential_proxy.errors import ConfigurationError

AWS = '[credentials.a]\nkind = "aws"\nservices = ["bedrock"]\nregions = ["us-east-1"]\n'
HEADER = '[credentials.a]\nkind = "header"\nheader = "X-Api-Key"\nhosts = ["api.example.com"]\n'
BASIC = '[credentials.a]\nkind = "basic"\nhosts = ["api.example.com"]\nvalue_env = "KEY"\n'


def test_an_empty_file_is_valid_and_injects_nothing() -> None:
    configuration = parse_configuration("")
    assert configuration.credentials == {}
    assert not configuration.is_injected_towards(Authority("api.example.com", 443))


def test_the_examples_of_the_manual_are_valid() -> None:
    manual = (Path(__file__).parents[3] / "docs/operations/credentials.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    configuration = parse_configuration("\n".join(examples))
    kinds = {credential.kind for credential in configuration.credentials.values()}
    assert kinds == {"header", "basic", "query", "secret", "aws"}


def test_the_hosts_of_every_credential_are_known() -> None:
    text = AWS + HEADER.replace("credentials.a", "credentials.b") + 'value_env = "KEY"\n'
    configuration = parse_configuration(text)
    for host in ("bedrock-runtime.us-east-1.amazonaws.com", "api.example.com"):
        assert configuration.is_injected_towards(Authority(host, 8080))
    assert not configuration.is_injected_towards(Authority("s3.us-east-1.amazonaws.com", 443))


def test_every_buckets_host_gets_keys_where_every_bucket_is_named() -> None:
    text = AWS.replace("bedrock", "s3") + "buckets = ['*']\n"
    configuration = parse_configuration(text)
    assert configuration.is_injected_towards(Authority("any.s3.us-east-1.amazonaws.com", 443))
    assert not configuration.is_injected_towards(Authority("any.s3.eu-west-1.amazonaws.com", 443))


def test_an_address_as_endpoint_counts_on_its_own_port_only() -> None:
    text = AWS + 'endpoint = "http://127.0.0.1:9"\n[network]\nallow_addresses = ["127.0.0.1:9"]\n'
    configuration = parse_configuration(text)
    assert configuration.is_injected_towards(Authority("127.0.0.1", 9))
    assert not configuration.is_injected_towards(Authority("127.0.0.1", 10))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "not TOML"),
        ("[other]", "other"),
        ('[credentials.a]\nkind = "x"', "credentials.a"),
        ('[credentials."../a"]\nkind = "aws"', "credentials"),
        (AWS + 'key = "x"', "key"),
        (AWS + 'source = "static"', "access_key_id_env"),
        (AWS + 'access_key_id_env = "X"', "static"),
        (AWS.replace("us-east-1", "us-east-1.evil.test/"), "regions"),
        (AWS.replace("bedrock", "S3"), "services"),
        (AWS.replace("bedrock", "s3"), 'buckets may be ["*"]'),
        (AWS + 'buckets = ["b"]', "s3"),
        (AWS.replace("bedrock", "s3") + 'buckets = ["with.dots"]', "without dots"),
        (AWS.replace("bedrock", "iam").replace("us-east-1", "eu-west-1"), "us-east-1"),
        (AWS.replace('regions = ["us-east-1"]', ""), "services and regions"),
        ('[credentials.a]\nkind = "aws"', "where the keys may go"),
        (AWS + '[credentials.a.hosts]\n"A.test" = {service = "s3", region = "r"}', "a.test"),
        (AWS + '[credentials.a.hosts]\n"a.test" = {service = "s3"}', "region"),
        (AWS + 'source = "file"', "keys_file"),
        (AWS + 'keys_file = "/a"', 'source = "file"'),
        (AWS + 'source = "file"\nkeys_file = "a"', "absolute"),
        (AWS + 'source = "command"', "keys_command"),
        (AWS + 'source = "command"\nkeys_command = ["a"]', "absolute"),
        (AWS + 'external_id = "x"', "role_arn"),
        (AWS + 'source = "static"\nrole_arn = "arn:aws:iam::123456789012:role/r"', "chain"),
        (AWS + 'role_arn = "role"', "role_arn"),
        (AWS + "ports = [0]", "ports"),
        (HEADER, "value_env"),
        (HEADER + 'value_env = "A"\nvalue_file = "/b"', "value_env"),
        (HEADER + 'value_file = "b"', "absolute"),
        (HEADER.replace("X-Api-Key", "Host") + 'value_env = "A"', "header"),
        (HEADER.replace("X-Api-Key", "a\\r\\nb") + 'value_env = "A"', "header"),
        (HEADER.replace("api.example.com", "API.example.com") + 'value_env = "A"', "hosts"),
        (HEADER.replace("api.example.com", "a.example.com:1") + 'value_env = "A"', "hosts"),
        (HEADER + 'value_command = ["pass"]', "absolute"),
        (HEADER + 'value_command = ["/pass", "a\\u0000"]', "NUL"),
        (HEADER + "value_command = []", "value_command"),
        (HEADER + 'value_env = "A"\nvalue_ttl_s = 5', "value_command"),
        (HEADER + 'value_env = "A"\ntemplate = "token"', "{secret} once"),
        (HEADER + 'value_env = "A"\ntemplate = "{secret}{secret}"', "{secret} once"),
        (HEADER + 'value_env = "A"\ntemplate = "a\\n{secret}"', "template"),
        (BASIC + 'username = "a:b"', "username"),
        (BASIC, "username"),
        (BASIC.replace("basic", "query") + 'parameter = "a&b"', "parameter"),
        (BASIC.replace("basic", "secret") + 'endpoint = "https://a.test"', "endpoint"),
        (AWS + 'endpoint = "https://a.example.com/path"', "path"),
        (AWS + 'endpoint = "https://u@a.example.com"', "character"),
        (AWS + 'endpoint = "ftp://a.example.com"', "https://host"),
        (AWS + 'endpoint = "http://a.example.com"', "network.hosts"),
        (AWS + 'endpoint = "http://127.0.0.1:9"', 'add "127.0.0.1:9"'),
        ('[network]\nallow_addresses = ["127.0.0.1"]', "address and port"),
        ('[network]\nallow_addresses = ["127.0.0.0/8:1"]', "address and port"),
        ('[network]\nallow_addresses = ["127.0.0.1:70000"]', "address and port"),
        ('[network]\nnameservers = ["127.0.0.1"]', "address and port"),
        ('[network]\nnameservers = ["ns.example.test:53"]', "address and port"),
        ("[network]\ndns_ttl_max_s = 4", "dns_ttl_max_s: must not be less"),
        ("[network]\ndns_ttl_min_s = 61", "dns_negative_ttl_max_s: must not be less"),
        ("[network]\ndns_ttl_min_s = -1", "dns_ttl_min_s"),
        ('[network.hosts]\n"A.test" = "127.0.0.1"', "a.test"),
        ('[network.hosts]\n"a.test" = "b.test"', "not an address"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_the_mend(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_configuration(text)
    assert said in str(refused.value)


def test_a_file_is_read_only_when_nobody_else_can_write_it(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(AWS)
    file.chmod(0o640)
    assert "a" in read_configuration(file).credentials
    for mode in (0o660, 0o602):
        file.chmod(mode)
        with pytest.raises(ConfigurationError, match="chmod go-w"):
            read_configuration(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(AWS)
    file.chmod(0o600)
    os.chown(file, 12345, 12345)
    with pytest.raises(ConfigurationError, match="chown"):
        read_configuration(file)


def test_links_pipes_directories_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("")
    link = tmp_path / "link.toml"
    link.symlink_to(real)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigurationError):
            read_configuration(path)


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    for content, said in ((b"#" * (1024 * 1024 + 1), "larger"), (b"\xff", "UTF-8")):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(ConfigurationError, match=said):
            read_configuration(file)
