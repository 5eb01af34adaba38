"""Whether what the store archives ends some day, and nothing else does. Facts in, a finding out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hakoiri.cli.doctor.finding import Finding
from hakoiri.host.settings import Settings

ARCHIVE: Final = "archive/"
"""Below the store's own prefix: what nothing needs any more."""

Rule = Mapping[str, Any]
"""One rule of a bucket's lifecycle, as S3 tells it."""


@dataclass(frozen=True, slots=True)
class LifecycleTold:
    """A bucket's rules; `problem` says why they are not known."""

    rules: Sequence[Rule] | None
    problem: str = ""


def check_lifecycle(name: str, settings: Settings, told: LifecycleTold | None) -> Finding:
    """Judge the store's rules; `told` is None where it is no bucket."""
    if settings.collection.interval_s == 0:
        return Finding.warning(
            name, "nothing ever leaves the store", mend="unset HAKOIRI_COLLECTION__INTERVAL_S"
        )
    if told is None:
        return _of_directory(name, settings.collection.archive_age_s)
    if told.rules is None:
        return Finding.open(
            name,
            f"the bucket's rules cannot be read from here: {told.problem}",
            mend="let the store's key read them (s3:GetLifecycleConfiguration), or look with "
            "`aws s3api get-bucket-lifecycle-configuration --bucket BUCKET`",
        )
    return _of_bucket(name, told.rules, settings.object_store_url or "")


def _of_directory(name: str, archive_age_s: float) -> Finding:
    if archive_age_s == 0:
        return Finding.warning(
            name,
            "what is archived is never deleted",
            mend="unset HAKOIRI_COLLECTION__ARCHIVE_AGE_S",
        )
    days = archive_age_s / 86_400
    return Finding.ok(name, f"a directory: what is archived is deleted {days:g} days later")


def _of_bucket(name: str, rules: Sequence[Rule], url: str) -> Finding:
    prefix = prefix_of(url)
    if risky := [rule for rule in rules if touches_what_is_needed(rule, prefix)]:
        return Finding.warning(
            name,
            f"the rule {risky[0].get('ID', '?')} deletes or moves by age what may be needed",
            mend=f"let no rule touch another prefix than {prefix}{ARCHIVE} by age; "
            "see docs/operations/object-store.md",
        )
    if not any(_ends(rule, prefix + ARCHIVE) for rule in rules):
        return Finding.warning(
            name,
            "no rule of the bucket deletes what is archived",
            mend=f"`deployment/s3/apply-lifecycle.sh {url}`",
        )
    return Finding.ok(name, "the bucket deletes what is archived, by its age")


def prefix_of(url: str) -> str:
    """Return the store's own prefix in its bucket, with a slash, or nothing."""
    path = url.removeprefix("s3://").partition("/")[2].strip("/")
    return f"{path}/" if path else ""


def touches_what_is_needed(rule: Rule, prefix: str) -> bool:
    """Whether a rule deletes or moves by age what is below the prefix and not in the archive."""
    touched = _prefix_touched(rule)
    if touched is None or not ({"Expiration", "Transitions"} & set(rule)):
        return False
    if touched.startswith(prefix + ARCHIVE):
        return False
    return touched.startswith(prefix) or prefix.startswith(touched)


def _ends(rule: Rule, prefix: str) -> bool:
    return _prefix_touched(rule) == prefix and bool((rule.get("Expiration") or {}).get("Days"))


def _prefix_touched(rule: Rule) -> str | None:
    """Return the prefix on which a rule acts; None if it is off.

    A filter by tags or sizes besides counts as if it were none: it may fit any object.
    """
    if rule.get("Status") != "Enabled":
        return None
    kept = rule.get("Filter") or {}
    both = kept.get("And") or {}
    return str(kept.get("Prefix") or both.get("Prefix") or rule.get("Prefix") or "")
