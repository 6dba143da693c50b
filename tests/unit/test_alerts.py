"""Which changes become an alert, and how often? The rules alone, with the time handed in."""

from __future__ import annotations

import pytest

from oxcart.errors import Failure, Kind
from oxcart.telemetry.alerts import Alert, AlertLimits, AlertRules
from oxcart.telemetry.events import (
    FinishedJob,
    JobsFinished,
    JobsStalled,
    KommoBlocked,
    KommoReauthNeeded,
    KommoTokenRefreshed,
    KommoUnblocked,
    RedisAccepts,
    RedisFailureChanged,
    RedisLost,
    RedisReady,
    RedisRefuses,
)

REFUSED = Failure("TCP_REFUSED", Kind.TRANSIENT, True, "The server refused the connection.", "Wait for its restart.")
QUOTA = Failure("QUOTA_USED", Kind.QUOTA, True, "The month's commands are used up.", "Upgrade the plan.")
LOST = RedisLost("redis.example", 6379, REFUSED)
LOST_BY_QUOTA = RedisLost("redis.example", 6379, QUOTA)


def ready(away_seconds: float) -> RedisReady:
    return RedisReady("redis.example", 6379, tls=True, server_version="8.2", away_seconds=away_seconds, attempts=9)


def finished(verdict: str, number: int) -> JobsFinished:
    return JobsFinished(
        "crm", [FinishedJob(f"ox-{n}", "sync", verdict, 5.0, 1.0, 1, None, None) for n in range(number)]
    )


def told(alerts: list[Alert]) -> list[str]:
    return [f"{alert.name} {alert.state}" for alert in alerts]


@pytest.fixture
def rules() -> AlertRules:
    return AlertRules(AlertLimits(failed_jobs=10), now=0.0)


def test_a_redis_that_is_back_within_a_minute_is_no_alert(rules: AlertRules) -> None:
    rules.see(LOST, 0.0)

    assert rules.look(59.9) == []
    assert rules.see(ready(59.9), 59.9) == []
    assert rules.look(120.0) == []


def test_a_redis_away_for_a_minute_is_told_once_and_its_return_once(rules: AlertRules) -> None:
    rules.see(LOST, 0.0)
    (raised,) = rules.look(60.0)

    assert told([raised]) == ["redis.away raised"]
    assert (raised.code, raised.advice, raised.since) == ("TCP_REFUSED", "Wait for its restart.", 0.0)
    assert rules.look(600.0) == [], "one for each change, not one for each look"
    assert told(rules.see(ready(3600), 3600.0)) == ["redis.away cleared"]
    assert rules.look(9999.0) == []


def test_an_outage_that_changes_its_reason_is_still_one_outage(rules: AlertRules) -> None:
    rules.see(LOST, 0.0)
    rules.see(RedisFailureChanged("redis.example", 6379, REFUSED, away_seconds=30.0), 30.0)

    assert told(rules.look(61.0)) == ["redis.away raised"]
    assert rules.see(RedisFailureChanged("redis.example", 6379, REFUSED, away_seconds=90.0), 90.0) == []


def test_a_used_quota_is_told_at_once(rules: AlertRules) -> None:
    assert told(rules.see(LOST_BY_QUOTA, 0.0)) == ["quota.used raised"]
    assert rules.see(RedisFailureChanged("redis.example", 6379, QUOTA, away_seconds=9.0), 9.0) == []
    assert rules.look(3600.0) == []
    assert told(rules.see(ready(7200), 7200.0)) == ["quota.used cleared"]


def test_a_quota_found_late_ends_with_the_outage_it_belongs_to(rules: AlertRules) -> None:
    rules.see(LOST, 0.0)
    rules.look(61.0)
    rules.see(RedisFailureChanged("redis.example", 6379, QUOTA, away_seconds=99.0), 99.0)

    assert told(rules.see(ready(120), 120.0)) == ["redis.away cleared", "quota.used cleared"]


def test_failed_jobs_are_an_alert_from_the_limit_on_within_the_window(rules: AlertRules) -> None:
    assert rules.see(finished("failed", 9), 0.0) == []
    assert rules.see(finished("completed", 500), 1.0) == []
    (raised,) = rules.see(finished("failed", 1), 299.0)

    assert told([raised]) == ["jobs.failing raised"]
    assert "oxcart jobs reasons --queue crm" in raised.advice
    assert rules.see(finished("failed", 50), 299.5) == []


def test_failed_jobs_spread_over_time_are_no_alert(rules: AlertRules) -> None:
    for minute in range(60):
        assert rules.see(finished("failed", 1), minute * 60.0) == []


def test_attempts_that_will_be_tried_again_do_not_count_as_failed_jobs(rules: AlertRules) -> None:
    assert rules.see(finished("retry_later", 1000), 0.0) == []


def test_failing_is_over_when_the_window_has_fewer_and_may_begin_again(rules: AlertRules) -> None:
    rules.see(finished("failed", 10), 0.0)

    assert rules.look(299.0) == []
    assert told(rules.look(300.0)) == ["jobs.failing cleared"]
    assert rules.look(301.0) == []
    assert told(rules.see(finished("failed", 10), 400.0)) == ["jobs.failing raised"]


def test_stalled_jobs_of_one_incident_are_told_once_and_added_up(rules: AlertRules) -> None:
    assert told(rules.see(JobsStalled("crm", ("1", "2")), 0.0)) == ["jobs.stalled raised"]
    assert rules.see(JobsStalled("crm", ("3",)), 500.0) == []
    assert rules.look(1099.0) == []
    (cleared,) = rules.look(1100.0)

    assert told([cleared]) == ["jobs.stalled cleared"]
    assert "3 in all" in cleared.text


def test_a_quota_is_near_when_the_month_at_this_rate_needs_four_fifths_of_it() -> None:
    rules = AlertRules(AlertLimits(commands_per_month=500_000), now=0.0)
    assert rules.look(86_400.0) == [], "idling alone fits Upstash's free plan"

    for hour in range(24):
        rules.see(finished("completed", 5), 86_400.0 + hour * 3600)
    assert rules.look(2 * 86_400.0) == []

    for hour in range(24):
        rules.see(finished("completed", 40), 2 * 86_400.0 + hour * 3600)
    (raised,) = rules.look(3 * 86_400.0)
    assert told([raised]) == ["quota.near raised"]
    assert "500,000" in raised.text
    assert rules.look(3 * 86_400.0 + 60) == []
    assert told(rules.look(5 * 86_400.0)) == ["quota.near cleared"]


def test_the_first_hour_is_too_short_to_judge_a_month_by() -> None:
    rules = AlertRules(AlertLimits(commands_per_month=1000), now=0.0)
    rules.see(finished("completed", 100_000), 10.0)

    assert rules.look(3599.0) == []
    assert told(rules.look(3600.0)) == ["quota.near raised"]


def test_without_a_quota_nothing_is_projected(rules: AlertRules) -> None:
    rules.see(finished("completed", 100_000), 10.0)

    assert rules.look(86_400.0) == []


REFUSED_ACCOUNT = KommoReauthNeeded("connection-1", "first.kommo.com", "the refresh token was revoked")


def test_an_account_that_must_be_connected_again_is_told_once_and_its_return_once(rules: AlertRules) -> None:
    (raised,) = rules.see(REFUSED_ACCOUNT, 100.0)

    assert told([raised]) == ["kommo.reauth_needed raised"]
    assert (raised.account, raised.since, raised.severity) == ("first.kommo.com", 100.0, "error")
    assert "oxcart kommo connect first.kommo.com" in raised.advice
    assert rules.see(REFUSED_ACCOUNT, 200.0) == []
    (cleared,) = rules.see(KommoTokenRefreshed("connection-1", "first.kommo.com"), 7300.0)
    assert told([cleared]) == ["kommo.reauth_needed cleared"]
    assert (cleared.account, cleared.since) == ("first.kommo.com", 100.0)
    assert told(rules.see(REFUSED_ACCOUNT, 8000.0)) == ["kommo.reauth_needed raised"]


def test_each_account_speaks_for_itself(rules: AlertRules) -> None:
    rules.see(REFUSED_ACCOUNT, 0.0)
    second = KommoReauthNeeded("connection-2", "second.kommo.com", "it was uninstalled")

    assert [alert.account for alert in rules.see(second, 1.0)] == ["second.kommo.com"]
    assert rules.see(KommoTokenRefreshed("connection-3", "third.kommo.com"), 2.0) == [], "a refresh is no news"
    (cleared,) = rules.see(KommoTokenRefreshed("connection-2", "second.kommo.com"), 3.0)
    assert cleared.account == "second.kommo.com"


def test_a_block_is_one_alert_however_often_a_probe_prolongs_it(rules: AlertRules) -> None:
    assert told(rules.see(KommoBlocked(600.0), 0.0)) == ["kommo.blocked raised"]
    assert rules.see(KommoBlocked(1200.0), 700.0) == []
    assert rules.see(KommoBlocked(2400.0), 2000.0) == []
    (cleared,) = rules.see(KommoUnblocked(), 5000.0)

    assert told([cleared]) == ["kommo.blocked cleared"]
    assert cleared.since == 0.0
    assert told(rules.see(KommoBlocked(600.0), 6000.0)) == ["kommo.blocked raised"]


def test_a_block_whose_end_another_process_told_does_not_hide_the_next_one(rules: AlertRules) -> None:
    rules.see(KommoBlocked(600.0), 0.0)

    assert told(rules.see(KommoBlocked(600.0), 700.0 + 86_400.0)) == ["kommo.blocked raised"]


def test_the_end_of_a_block_that_another_process_met_is_told(rules: AlertRules) -> None:
    assert told(rules.see(KommoUnblocked(), 50.0)) == ["kommo.blocked cleared"]


def test_a_spent_quota_is_told_too_by_a_server_that_stays_connected(rules: AlertRules) -> None:
    assert told(rules.see(RedisRefuses(QUOTA), 5.0)) == ["quota.used raised"]
    assert told(rules.see(RedisRefuses(QUOTA), 6.0)) == []
    assert told(rules.see(RedisAccepts(60.0), 65.0)) == ["quota.used cleared"]
    assert told(rules.see(RedisAccepts(1.0), 70.0)) == []
