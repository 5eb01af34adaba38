"""Whether a way to a model is one on which its tokens are counted. No I/O.

Only the model path is. A rule that puts a model's credential on requests would be a way round a
budget of tokens or spend, so under one it is closed.
"""

from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import BEDROCK, AwsCredential, Credential
from hakoiri.credential_proxy.decision import Forward, RefusedError
from hakoiri.credential_proxy.model_way import ANTHROPIC_HOST


def check_is_counted(forward: Forward, binding: Binding, configuration: Configuration) -> None:
    """Check that a request which may go out does not reach a model uncounted.

    Raises:
        RefusedError: it does, and a budget of tokens or spend is in force.
    """
    if forward.route != "intercepted":
        return
    is_signed_for_model = (
        forward.injection is not None
        and forward.injection.scope is not None
        and forward.injection.scope.service == BEDROCK
    )
    names = set(forward.secrets)
    if forward.injection is not None:
        names.add(forward.injection.credential)
    opens_model = is_signed_for_model or any(
        _is_for_model(configuration.credentials.get(name)) for name in names
    )
    if not opens_model:
        return
    limits = configuration.budgets.limits_for(binding.tenant, binding.policy.budget)
    if any(each.limits_model for each in limits):
        reason = (
            "a budget of tokens or spend is in force, and what goes to a model by a rule is not"
            " counted; reach it through [model]"
        )
        authority = forward.upstream.authority
        raise RefusedError(403, "model-not-counted", reason, authority=authority, rule=forward.rule)


def _is_for_model(credential: Credential | None) -> bool:
    if credential is None or isinstance(credential, AwsCredential):
        return False
    return credential.is_for(ANTHROPIC_HOST)
