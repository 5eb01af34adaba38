"""The presets as plain policies: what each lets through, and no more."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from pydantic import ValidationError

from hakoiri.cli.presets.package_source import PackageSource, origins_by_host
from hakoiri.credential_proxy.aws_hosts import regional_host
from hakoiri.wire.policy import ModelRoute, Policy, Rule

PACKAGE_METHODS: Final = ("GET", "HEAD")
"""Fetching needs no other; publishing, audits and searches that send data are refused."""

_RUNTIME: Final = "bedrock-runtime"
_FAULTS_TOLD: Final = 5
_MODEL_SAFE: Final = "-._~"


class PresetError(ValueError):
    """A preset cannot be made or added as asked; the message names the option and the mend."""


def bedrock(*, regions: Sequence[str], models: Sequence[str], credential: str, sdk: bool) -> Policy:
    """Return the way to Bedrock: the model path in the first region, and rules for SDK clients.

    With `sdk`, AWS SDKs in the container may call the models in each region, POST alone. Raises
    `PresetError`.
    """
    if not regions:
        raise PresetError("--region: name the region of the model's endpoint, such as eu-west-1")
    if len(regions) > 1 and not sdk:
        raise PresetError(
            "--region: the model path goes to one region; add --sdk for rules that let AWS SDKs"
            " reach the others"
        )
    route = _route(provider="bedrock", credential=credential, region=regions[0], models=models)
    for region in regions[1:]:
        _route(provider="bedrock", credential=credential, region=region, models=[])
    rules = [_sdk_rule(region, models, credential) for region in regions] if sdk else []
    return Policy(model=route, rules=rules)


def anthropic(*, models: Sequence[str], credential: str) -> Policy:
    """Return the way to Anthropic's API. Raises `PresetError`."""
    route = _route(provider="anthropic", credential=credential, region=None, models=models)
    return Policy(model=route)


def packages(sources: Iterable[PackageSource]) -> Policy:
    """Return rules that let packages be fetched from `sources`, with no credential.

    Methods are named, so TLS ends at the proxy: a raw tunnel would let anything be sent. Raises
    `PresetError`.
    """
    hosts = origins_by_host(sources)
    if not hosts:
        raise PresetError(
            "no package source was found that the proxy could reach; name one with --file-host"
        )
    try:
        return Policy(
            rules=[
                Rule(host=host, ports=ports, methods=list(PACKAGE_METHODS))
                for host, (ports, _) in hosts.items()
            ]
        )
    except ValidationError as error:
        raise PresetError("there are more package sources than a policy can hold") from error


def _route(
    *, provider: str, credential: str, region: str | None, models: Sequence[str]
) -> ModelRoute:
    if "" in models:
        raise PresetError("--model: is empty; name a model, or leave it out for all")
    try:
        return ModelRoute.model_validate(
            {
                "provider": provider,
                "credential": credential,
                "region": region,
                "models": list(dict.fromkeys(models)),
            }
        )
    except ValidationError as error:
        options = {"region": "--region", "models": "--model", "credential": "--credential"}
        faults = error.errors(include_input=False, include_url=False)[:_FAULTS_TOLD]
        told = (f"{options.get(str(one['loc'][0]), 'preset')}: {one['msg']}" for one in faults)
        raise PresetError("; ".join(told)) from error


def _sdk_rule(region: str, models: Sequence[str], credential: str) -> Rule:
    paths = [path for model in models for path in _model_paths(model)] or ["/model/*/*"]
    try:
        return Rule(
            host=regional_host(_RUNTIME, region),
            methods=["POST"],
            paths=paths,
            credential=credential,
        )
    except ValidationError as error:
        raise PresetError("--model: too many models, or an id that is no path") from error


def _model_paths(model: str) -> list[str]:
    """Return the paths of a model's calls: SDKs escape the colon, other clients may not."""
    if "/" in model or "*" in model:
        raise PresetError(
            f"--model: {model!r} holds a slash or a star, which no rule's path can hold; name the"
            " model's or the inference profile's id, or leave --sdk out"
        )
    spelled = dict.fromkeys((quote(model, safe=_MODEL_SAFE), quote(model, safe=_MODEL_SAFE + ":")))
    return [f"/model/{one}/*" for one in spelled]
