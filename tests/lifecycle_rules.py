"""What a bucket's lifecycle rules do to an object or an upload of some age.

After "Lifecycle configuration elements" of the Amazon S3 User Guide, as far as our policy goes: one
`Prefix` in a filter, `Transitions` and `Expiration` by `Days`, `AbortIncompleteMultipartUpload`. A
prefix is a text, not a folder; an empty one, or none, is every key. Whatever else a rule says is an
error here: what this cannot evaluate must not be in the policy.
"""

from typing import Any, Final

ACTIONS: Final = {"AbortIncompleteMultipartUpload", "Expiration", "Transitions"}


class UnknownRuleError(Exception):
    """A rule says something that is not evaluated here."""


def fate_of_object(policy: dict[str, Any], key: str, *, age_days: float) -> str:
    """Return `kept`, `deleted`, or the storage class that it has by then."""
    fate, since = "kept", -1
    for rule in _rules(policy, key):
        expiration = rule.get("Expiration", {})
        if expiration and _days(expiration, "Days") <= age_days:
            return "deleted"
        for transition in rule.get("Transitions", []):
            days = _days(transition, "Days", "StorageClass")
            if since < days <= age_days:
                fate, since = str(transition["StorageClass"]), days
    return fate


def is_upload_aborted(policy: dict[str, Any], key: str, *, age_days: float) -> bool:
    """Whether a multipart upload that was never completed is given up by then."""
    return any(
        _days(rule["AbortIncompleteMultipartUpload"], "DaysAfterInitiation") <= age_days
        for rule in _rules(policy, key)
        if "AbortIncompleteMultipartUpload" in rule
    )


def _rules(policy: dict[str, Any], key: str) -> list[dict[str, Any]]:
    if policy.keys() != {"Rules"}:
        raise UnknownRuleError(f"fields: {sorted(policy)}")
    for rule in policy["Rules"]:
        if rule.keys() - ACTIONS != {"ID", "Status", "Filter"}:
            raise UnknownRuleError(f"fields: {sorted(rule)}")
        if rule["Status"] not in ("Enabled", "Disabled") or rule["Filter"].keys() != {"Prefix"}:
            raise UnknownRuleError(f"rule: {rule}")
    return [
        rule
        for rule in policy["Rules"]
        if rule["Status"] == "Enabled" and key.startswith(rule["Filter"]["Prefix"])
    ]


def _days(action: dict[str, Any], field: str, *others: str) -> int:
    if action.keys() != {field, *others} or type(action[field]) is not int or action[field] < 1:
        raise UnknownRuleError(f"action: {action}")
    days: int = action[field]
    return days
