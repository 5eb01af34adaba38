from typing import Literal

import pytest

from hakoiri.host.containers.environment import (
    INJECTED_OUTSIDE,
    agent_environment,
    reckoned_processors,
)


def test_bedrock_leads_to_the_relay_and_signs_nothing_inside() -> None:
    environment = agent_environment(
        provider="bedrock", region="eu-west-1", model="m", retries=3, processors=2
    )
    assert environment["ANTHROPIC_BEDROCK_BASE_URL"] == "http://127.0.0.1:3128"
    assert environment["CLAUDE_CODE_SKIP_BEDROCK_AUTH"] == "1"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert environment["ANTHROPIC_MODEL"] == "m"
    assert environment["CLAUDE_CODE_MAX_RETRIES"] == "3"


def test_the_rehearsal_takes_the_whole_signed_path() -> None:
    rehearsed = agent_environment(
        provider="rehearsal", region="r", model=None, retries=3, processors=2
    )
    assert rehearsed == agent_environment(
        provider="bedrock", region="r", model=None, retries=3, processors=2
    )


@pytest.mark.parametrize("provider", ["bedrock", "anthropic", "rehearsal"])
def test_there_is_no_key_in_it(provider: Literal["bedrock", "anthropic", "rehearsal"]) -> None:
    environment = agent_environment(
        provider=provider, region="r", model=None, retries=3, processors=2
    )
    held = {name: value for name, value in environment.items() if "KEY" in name or "SECRET" in name}
    assert set(held.values()) <= {INJECTED_OUTSIDE}
    aws = {name for name in environment if name.startswith("AWS_")}
    assert aws <= {"AWS_REGION", "AWS_CA_BUNDLE", "AWS_REQUEST_CHECKSUM_CALCULATION"}


@pytest.mark.parametrize(
    ("cpus", "processors", "reckoned"),
    [(1.0, 1, 1), (1.0, 2, 2), (1.5, 4, 2), (2.0, 64, 2), (9.5, 64, 9)],
)
def test_the_cli_reckons_with_two_processors_or_as_many_as_a_box_may_use_up(
    cpus: float, processors: int, reckoned: int
) -> None:
    assert reckoned_processors(cpus, processors=processors) == reckoned
    environment = agent_environment(
        provider="bedrock", region="r", model=None, retries=3, processors=reckoned
    )
    assert environment["WTF_numberOfProcessorCores"] == str(reckoned)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"])
def test_clients_trust_what_lies_beside_the_proxys_socket(name: str) -> None:
    environment = agent_environment(
        provider="bedrock", region="r", model=None, retries=3, processors=2
    )
    assert environment[name] == "/run/hakoiri/proxy/ca.pem"


def test_the_cli_starts_no_thread_to_collect_garbage() -> None:
    environment = agent_environment(
        provider="bedrock", region="r", model=None, retries=3, processors=2
    )
    assert environment["BUN_JSC_numberOfGCMarkers"] == "1"
    assert environment["BUN_JSC_useConcurrentGC"] == "0"
