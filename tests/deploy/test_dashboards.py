"""Does each expression of the Prometheus rules and of the Grafana dashboard name a metric that /metrics has?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.http_site import WELL

from oxcart.conditions import BY_CODE
from oxcart.errors import Failure, Kind
from oxcart.http.prometheus import render
from oxcart.telemetry.events import FinishedJob, JobsFinished, RedisLost
from oxcart.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "oxcart.rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "oxcart.json"


def rules() -> list[dict[str, Any]]:
    """As Prometheus loads them."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """The names in /metrics, each with its labels, after a job and a failure of Redis."""
    metrics = Metrics()
    metrics(JobsFinished("crm", [FinishedJob("1", "sync", "completed", 1.0, 1.0, 1, None, None)]))
    metrics(RedisLost("h", 1, Failure("TCP_RESET", Kind.TRANSIENT, True, "reset", "wait")))
    body, _ = render(metrics.counts(), WELL, "text/plain")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("expression", [*expressions()])
def test_an_expression_names_what_there_is(expression: str, series: dict[str, set[str]]) -> None:
    named = re.findall(r"\bworker_\w+", expression)

    assert named
    assert set(named) <= set(series)
    labels = {label for name in named for label in series[name]} | {"le", "instance"}
    asked = re.findall(r"by \(([^)]*)\)", expression) + re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression)
    assert {label.strip() for each in asked for label in each.split(",")} <= labels


def test_the_files_are_whole() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    names = [rule["alert"] for rule in rules()]

    assert len(names) == len(set(names))
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in rules())
    assert {rule["labels"]["severity"] for rule in rules()} == {"error", "warning"}
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
    assert all(target["legendFormat"] for panel in panels for target in panel["targets"])


def test_a_condition_that_a_rule_names_exists() -> None:
    codes = re.findall(r"[A-Z]+_[A-Z_]+", " ".join(expressions()))

    assert codes
    assert set(codes) <= set(BY_CODE)


@pytest.mark.parametrize("language", ["", "ru/"])
def test_each_rule_is_in_the_handbook(language: str) -> None:
    page = (DEPLOY.parent / "docs" / language / "on-call.md").read_text(encoding="utf-8")

    for rule in rules():
        assert f"`{rule['alert']}`" in page
