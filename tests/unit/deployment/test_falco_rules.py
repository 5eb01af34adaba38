"""Falco is not installed here: the rules are checked for form, references and field names."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[3] / "deployment/falco/hakoiri_rules.yaml"
FIELDS = {
    name
    for line in (Path(__file__).parent / "falco_fields.txt").read_text().splitlines()
    if not line.startswith("#")
    for name in line.split()
}
CLASSES = {name.partition(".")[0] for name in FIELDS}
FIELD = re.compile(rf"(?<![\w./])((?:{'|'.join(sorted(CLASSES))})\.[a-z0-9_.]+)(\[[^\]]*\])?")
PRIORITIES = {"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"}

DOCUMENT: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())
RULES = [entry for entry in DOCUMENT if "rule" in entry]
MACROS = {entry["macro"]: entry["condition"] for entry in DOCUMENT if "macro" in entry}
LISTS = {entry["list"]: entry["items"] for entry in DOCUMENT if "list" in entry}


def is_known(name: str, key: str) -> bool:
    if key:
        return f"{name}[]" in FIELDS
    head = ".".join(name.split(".")[:2])
    return name in FIELDS or f"{head}.*" in FIELDS


def fields_of(text: str) -> list[tuple[str, str]]:
    return [(match[1].rstrip("."), match[2] or "") for match in FIELD.finditer(text)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule"])
def test_a_rule_is_whole_and_about_our_containers(rule: dict[str, Any]) -> None:
    assert set(rule) == {"rule", "desc", "condition", "output", "priority", "tags"}
    assert rule["priority"] in PRIORITIES
    assert "hakoiri_container" in rule["condition"]
    assert "%container.label[hakoiri.instance]" in rule["output"]
    assert rule["condition"].count("(") == rule["condition"].count(")")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule"])
def test_every_field_is_one_of_falcos(rule: dict[str, Any]) -> None:
    found = fields_of(rule["condition"]) + fields_of(rule["output"])
    assert len(found) > 3
    assert [name + key for name, key in found if not is_known(name, key)] == []
    percent = re.findall(r"%([a-z0-9_.]+(?:\[[^\]]*\])?)", rule["output"])
    assert len(percent) == len(fields_of(rule["output"]))


def test_macros_and_lists_are_defined_and_used() -> None:
    text = " ".join([*(rule["condition"] for rule in RULES), *MACROS.values()])
    for name in [*MACROS, *LISTS]:
        assert name in text
    used = set(re.findall(r"\bhakoiri_[a-z_]+\b", text))
    assert used == set(MACROS) | set(LISTS)
    for condition in MACROS.values():
        assert [f for f in fields_of(condition) if not is_known(*f)] == []


@pytest.mark.parametrize("name", ["proc.nmae", "evt.typ", "fd.path", "container.labell[a]"])
def test_a_misspelt_field_would_be_found(name: str) -> None:
    ((field, key),) = fields_of(f"{name} = 1")
    assert not is_known(field, key)
