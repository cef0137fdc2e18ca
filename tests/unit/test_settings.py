"""Loading settings: which source wins, and how every error is reported."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck
from hypothesis import given as given_by_hypothesis
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from exporter.model.fields import offline
from exporter.settings.describe import as_json, as_text, describe, warnings
from exporter.settings.load import ConfigError, load
from exporter.settings.model import Settings

MINIMAL = "site: prairie-1\n"
FULL = """\
site: prairie-1
polling: {interval: 60s}
tariff: ppa
tariffs:
  ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}
  Night.Rate-2: {kind: fixed, usd_per_kilowatt_hour: 0.03}
blocks:
  container-1: {capacity_kilowatts: 500}
network: {kind: bitcoin_core, url: "http://127.60.0.1:8332", username: rpc, password: hunter2}
bitcoin: {kind: fixed, usd: 70370}
fleet:
  defaults: {username: root, password: hunter3}
  rigs:
    - {name: a-01, address: 127.60.0.5, block: container-1, rated_watts: 3500}
"""


def given(
    directory: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    file = directory / "site.yml"
    file.write_text(text, encoding="utf-8")
    secrets_dir = None
    if secrets is not None:
        secrets_dir = directory / "secrets"
        secrets_dir.mkdir()
        for name, value in secrets.items():
            (secrets_dir / name).write_text(value, encoding="utf-8")
    return load(file, overrides=overrides, environ=environ, secrets_dir=secrets_dir)


def errors(
    directory: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        given(directory, text, environ, secrets, overrides)
    return [str(problem).removeprefix(f"{directory}/") for problem in caught.value.errors]


def test_a_minimal_file_runs_on_defaults(tmp_path: Path) -> None:
    settings = given(tmp_path, MINIMAL)
    assert (settings.site, settings.evaluation_interval, settings.polling.interval) == ("prairie-1", 15.0, 30.0)
    assert (settings.rigs, settings.network, settings.ai) == ((), None, None)


def test_flags_win_over_environment_over_secrets_over_the_file(tmp_path: Path) -> None:
    text = "site: file\npolling: {interval: 60s, deadline: 6s, max_in_flight: 6, max_backoff: 6m}\n"
    secrets = {"polling__deadline": "7s\n", "polling__max_in_flight": "7", "polling__max_backoff": "7m"}
    environ = {"HASHMARGIN_POLLING__MAX_IN_FLIGHT": "8", "HASHMARGIN_POLLING__MAX_BACKOFF": "8m", "HOME": "/root"}
    polling = given(tmp_path, text, environ, secrets, {"polling.max_backoff": "9m"}).polling
    assert (polling.interval, polling.deadline, polling.max_in_flight, polling.max_backoff) == (60.0, 7.0, 8, 540.0)


def test_names_that_a_variable_cannot_spell_are_found_in_the_file(tmp_path: Path) -> None:
    environ = {
        "HASHMARGIN_BLOCKS__CONTAINER_1__CAPACITY_KILOWATTS": "750",
        "HASHMARGIN_TARIFFS__NIGHT_RATE_2__USD_PER_KILOWATT_HOUR": "0.01",
    }
    settings = given(tmp_path, FULL, environ)
    assert settings.blocks["container-1"].capacity_kilowatts == 750
    assert list(settings.tariffs) == ["ppa", "Night.Rate-2"]


def test_lists_and_mappings_are_json_in_a_variable_and_other_values_stay_text(tmp_path: Path) -> None:
    environ = {
        "HASHMARGIN_NETWORK__PASSWORD": "[1]",
        "HASHMARGIN_FLEET__RIGS": '[{"name": "b", "address": "127.60.0.9"}]',
        "HASHMARGIN_FLEET__DEFAULTS__PASSWORD": "0123",
    }
    settings = given(tmp_path, FULL, environ)
    assert [rig.name for rig in settings.rigs] == ["b"]
    assert settings.rigs[0].logins
    assert settings.rigs[0].logins[0].password == "0123"
    assert settings.network is not None
    assert settings.network.model_dump()["password"].get_secret_value() == "[1]"


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "rigs.csv").write_text("name,address\na,127.60.0.5\n", encoding="utf-8")
    assert [rig.name for rig in given(tmp_path, MINIMAL + "fleet: {csv: [rigs.csv]}").rigs] == ["a"]


def test_a_state_file_that_is_no_state_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = f"{MINIMAL}state:\n  path: site.yml\n"
    (problem,) = errors(tmp_path, text)
    assert problem.startswith("site.yml:3: state.path: 'site.yml' is a text that hashmargin did not write")
    assert "give it a file of its own" in problem
    assert [file.name for file in tmp_path.iterdir()] == ["site.yml"]
    (tmp_path / "site.yml").write_text(text.replace("site.yml", "state.sqlite"))
    assert load(tmp_path / "site.yml").state.path == tmp_path / "state.sqlite"


def test_blocks_are_those_listed_and_those_that_only_rigs_name(tmp_path: Path) -> None:
    text = MINIMAL + "fleet: {rigs: [{address: 127.60.0.5, block: yard}, {address: 127.60.0.6}]}\n"
    assert [block.name for block in given(tmp_path, text).fleet_blocks] == ["yard"]
    assert [(block.name, block.capacity_watts) for block in given(tmp_path, FULL).fleet_blocks] == [
        ("container-1", 500_000.0)
    ]


def test_the_only_tariff_is_the_sites(tmp_path: Path) -> None:
    text = MINIMAL + "tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}\n"
    assert given(tmp_path, text).default_tariff == given(tmp_path, text).site_settings.tariff == "ppa"


TWO_CONTRACTS = """\
tariff: ppa
tariffs:
  ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}
  hosted:
    kind: fixed
    usd_per_kilowatt_hour: 0.07
    terms:
      metered_at: utility
"""


def test_a_tariffs_own_terms_reach_the_economics(tmp_path: Path) -> None:
    environ = {"HASHMARGIN_TARIFFS__HOSTED__TERMS__OVERHEAD": "1.2"}
    settings = given(tmp_path, MINIMAL + TWO_CONTRACTS, environ=environ).site_settings
    assert list(settings.tariffs) == ["hosted"]
    _, power = settings.at("hosted")
    assert (power.metered_at, power.overhead) == ("utility", 1.2)
    assert settings.at("ppa") == (settings.economics, settings.power)


def test_errors_in_a_tariffs_own_settings_are_reported(tmp_path: Path) -> None:
    text = MINIMAL + TWO_CONTRACTS
    assert errors(tmp_path, text + "      resale_tariff: gird\n") == [
        "site.yml:10: tariffs.hosted.terms.resale_tariff: there is no tariff 'gird': choose from hosted, ppa"
    ]
    assert errors(tmp_path, text + "      overhead: 103\n      demand_charge: 4\n") == [
        (
            "site.yml:11: tariffs.hosted.terms.demand_charge: there is no key 'demand_charge': "
            "did you mean 'demand_charge_usd_per_kilowatt_month'?"
        ),
    ]
    assert errors(tmp_path, text + "      overhead: 103\n") == [
        (
            "site.yml:10: tariffs.hosted.terms.overhead: 103 is implausible, expected 1 to 2 (PUE), "
            "else write accept_implausible: true beside it"
        ),
    ]


def test_a_value_that_is_refused_stands_once_in_its_sentence(tmp_path: Path) -> None:
    text = MINIMAL + (
        'schedules: {n: {timezone: UTC, mining: [{from: "06:00", to: "07:00", days: [mon, mo]}]}}\n'
        'blocks: {c: {capacity_kilowatts: 0}, "d\\ne": {}}\n'
        "network: {kind: mempool, url: 'http://'}\n"
        "tariffs: {day: {kind: fixed, usd_per_kilowatt_hour: 5.2}}\n"
    )
    days = "mon, tue, wed, thu, fri, sat, sun"
    assert errors(tmp_path, text) == [
        f"site.yml:2: schedules.n.mining.0.days.1: 'mo' must be one of {days}: did you mean 'mon'?",
        "site.yml:3: blocks.c.capacity_kilowatts: '0' must be above 0",
        "site.yml:3: blocks.d\\ne: 'd\\ne' is not a name: it must have visible characters only",
        "site.yml:5: tariffs.day: 5.2 USD per kWh is implausible, expected at most 2: is it in cents?",
        "site.yml:4: network.url: 'http://' is not an http:// or https:// address",
    ]
    assert errors(tmp_path, f"site: {'n' * 201}\n") == [
        f"site.yml:1: site: '{'n' * 80}' must have 200 or fewer characters"
    ]


def test_a_list_whose_entries_are_refused_is_not_called_short_too(tmp_path: Path) -> None:
    text = MINIMAL + "bitcoin: {kind: median, sources: [{kind: krakn}]}\n"
    assert errors(tmp_path, text) == ["site.yml:2: bitcoin.sources.0: there is no kind 'krakn': did you mean 'kraken'?"]
    assert errors(tmp_path, text.replace("{kind: krakn}", "")) == [
        "site.yml:2: bitcoin.sources: must have 1 or more entries"
    ]


def test_a_file_nested_too_deeply_is_an_error(tmp_path: Path) -> None:
    found = errors(tmp_path, f"site: {'[' * 5_000}{']' * 5_000}\n")
    assert found == ["site.yml: is nested too deeply"]


def test_a_section_that_is_there_but_empty_is_as_if_left_out(tmp_path: Path) -> None:
    settings = given(tmp_path, MINIMAL + "polling:\nai:\nblocks: {container-1: }\n")
    assert settings.polling.interval == 30.0
    assert settings.blocks["container-1"].convertible


def test_yaml_11s_surprises_do_not_happen(tmp_path: Path) -> None:
    text = (
        "site: no\n"
        "schedules: {nights: {timezone: America/Chicago, mining: [{from: 22:00, to: 06:00}]}}\n"
        "fleet: {rigs: [{name: 007, address: 127.60.0.5, position: 12, customer: 2026-03-21}]}\n"
    )
    settings = given(tmp_path, text)
    assert settings.site == "no"
    rig = settings.rigs[0]
    assert (rig.name, rig.position, rig.customer) == ("007", "12", "2026-03-21")


def test_anchors_and_merges_are_understood(tmp_path: Path) -> None:
    text = MINIMAL + (
        "tariffs:\n"
        "  ppa: &base {kind: fixed, usd_per_kilowatt_hour: 0.05}\n"
        "  night: {<<: *base, usd_per_kilowatt_hour: 0.03}\n"
        "tariff: night\n"
    )
    assert given(tmp_path, text).tariffs["night"].kind == "fixed"


def test_all_errors_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
site: prairie-1
log: {levle: info}
polling: {interval: 30x, max_in_flight: 0}
schedules: {n: {timezone: America/Chicag, mining: []}}
blocks: {container-1: {capacity_kilowatts: lots}}
tariff: ppp
tariffs:
  ppa: {kind: fixed, usd_per_kwh: 0.05}
  day: {kind: time_of_us}
bitcoin: {kind: fixed, usd: 70370}
power: {metered_at: pduu}
fleet:
  rigs:
    - {name: a, address: 127.60.0.5, tariff: paa, custmer: acme}
site: x
"""
    assert errors(tmp_path, text) == [
        "site.yml:15: site is already set in line 1",
        "site.yml:2: log.levle: there is no key 'levle': did you mean 'level'?",
        "site.yml:3: polling.interval: '30x' is not a duration: write it like 15s, 5m, 1h30m or 2d",
        "site.yml:3: polling.max_in_flight: '0' must be 1 or more",
        "site.yml:4: schedules.n.timezone: there is no time zone 'America/Chicag': did you mean 'America/Chicago'?",
        "site.yml:14: fleet.rigs.0.custmer: there is no key 'custmer': did you mean 'customer'?",
        "site.yml:5: blocks.container-1.capacity_kilowatts: 'lots' must be a number",
        "site.yml:8: tariffs.ppa.usd_per_kilowatt_hour: is required",
        "site.yml:8: tariffs.ppa.usd_per_kwh: there is no key 'usd_per_kwh': did you mean 'usd_per_kilowatt_hour'?",
        "site.yml:9: tariffs.day: there is no kind 'time_of_us': did you mean 'time_of_use'?",
        "site.yml:11: power.metered_at: 'pduu' must be one of rig, pdu, feeder, utility: did you mean 'pdu'?",
        "site.yml:6: tariff: there is no tariff 'ppp': did you mean 'ppa'?",
        "site.yml:14: fleet.rigs.0: there is no tariff 'paa': did you mean 'ppa'?",
    ]


def test_several_areas_of_a_template_are_a_tariff_each(tmp_path: Path) -> None:
    text = "site: x\ntariff: spot-WEST\ntariffs: {spot: {kind: template, template: nyiso, areas: [WEST, CAPITL]}}\n"
    settings = given(tmp_path, text)
    assert sorted(settings.tariffs) == ["spot-CAPITL", "spot-WEST"]
    assert [getattr(tariff, "area", None) for tariff in settings.tariffs.values()] == ["WEST", "CAPITL"]


@pytest.mark.parametrize(
    ("zone", "suggestion"),
    [
        ("CST", "use America/Chicago, or Asia/Shanghai in China"),
        ("cdt", "use America/Chicago"),
        ("PT", "use America/Los_Angeles"),
        ("CEST", "use Europe/Berlin or another city of Central Europe"),
        ("UTC-6", "use that of a city, or Etc/GMT+6 without summer time"),
        ("+05:00", "use that of a city, or Etc/GMT-5 without summer time"),
        ("Chicago", "did you mean 'America/Chicago'?"),
        ("new york", "did you mean 'America/New_York'?"),
        ("America/Chicag", "did you mean 'America/Chicago'?"),
    ],
)
def test_a_wrong_time_zone_is_answered_with_a_real_one(tmp_path: Path, zone: str, suggestion: str) -> None:
    text = f"site: x\nschedules: {{n: {{timezone: '{zone}', mining: []}}}}\n"
    assert errors(tmp_path, text) == [f"site.yml:2: schedules.n.timezone: there is no time zone '{zone}': {suggestion}"]


def test_errors_outside_the_file_name_variable_secret_or_flag(tmp_path: Path) -> None:
    environ = {
        "HASHMARGIN_WEB_LISTEN_ADDRESS": "127.60.0.1:1",
        "HASHMARGIN_POLLING__INTERVALL": "30s",
        "HASHMARGIN_BITCOIN__USD": "much",
        "HASHMARGIN_EXPOSITION": "[1",
    }
    assert errors(tmp_path, FULL, environ, {"polling__deadline": "soon"}, {"log.format": "jsn"}) == [
        "HASHMARGIN_WEB_LISTEN_ADDRESS: no such setting: did you mean HASHMARGIN_WEB__LISTEN_ADDRESS?",
        "--log.format: 'jsn' must be one of logfmt, json: did you mean 'json'?",
        "secrets/polling__deadline: 'soon' is not a duration: write it like 15s, 5m, 1h30m or 2d",
        "environment variable HASHMARGIN_POLLING__INTERVALL: there is no key 'intervall': did you mean 'interval'?",
        "environment variable HASHMARGIN_EXPOSITION: must be a mapping (lines of `key: value`)",
        "environment variable HASHMARGIN_BITCOIN__USD: 'much' must be a number",
    ]


def test_a_secret_file_for_no_setting_is_an_error_and_other_programs_secrets_are_ignored(tmp_path: Path) -> None:
    found = errors(tmp_path, FULL, secrets={"netwrok__password": "x", "postgres": "y"})
    assert found == ["secrets/netwrok__password: there is no setting 'netwrok': did you mean 'network'?"]


def test_kubernetes_service_variables_are_no_error(tmp_path: Path) -> None:
    environ = {
        "HASHMARGIN_SERVICE_HOST": "10.0.0.1",
        "HASHMARGIN_SERVICE_PORT_HTTP": "9852",
        "HASHMARGIN_PORT": "tcp://10.0.0.1:9852",
        "HASHMARGIN_PORT_9852_TCP_ADDR": "10.0.0.1",
    }
    assert given(tmp_path, MINIMAL, environ | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).site == "prairie-1"
    assert len(errors(tmp_path, MINIMAL, environ)) == 4


ALIASES = "a: &a [1]\n" + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in pairwise("abcdefghij"))
"""Ten lines that stand for 9^9 values."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("site: [a\n", "site.yml:2: is not valid YAML"),
        ("site:\n\t- a\n", "indent with spaces, not tabs"),
        ("- a\n", "site.yml:1: must be a mapping"),
        ("a: &x [*x]\n", "contains itself"),
        (ALIASES, "site.yml:1: is not valid YAML: its aliases (*name) repeat over 1,000,000 values"),
        ("", "site.yml: site: is required"),
    ],
)
def test_a_file_that_is_no_configuration_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    (message,) = errors(tmp_path, text)
    assert expected in message


@pytest.mark.parametrize(
    "mistake",
    [
        "fleet: {logins: {a: sesame}}",
        "fleet: {logins: {a: {username: root, password: [sesame], cidr: [10.0.0.0/8]}}}",
        "tariffs: {a: {kind: http_json, url: 'http://x/', price: a, headers: 'Authorization: sesame'}}",
        "tariffs: {a: {kind: http_json, url: 'http://x/', price: a, body: 'password=sesame'}}",
        "tariffs: {a: {kind: http_json, url: 'htp://u:sesame@x/?token=sesame', price: a}}",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, mistake: str) -> None:
    found = errors(tmp_path, f"site: a\n{mistake}\n")
    assert found
    assert "sesame" not in "".join(found)


def test_a_missing_file_or_secrets_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml: does not exist"):
        load(tmp_path / "nowhere.yml")
    (tmp_path / "site.yml").write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(ConfigError, match="secrets directory: is not a directory"):
        load(tmp_path / "site.yml", secrets_dir=tmp_path / "nowhere")


def test_several_tariffs_need_a_default(tmp_path: Path) -> None:
    found = errors(tmp_path, FULL.replace("tariff: ppa\n", ""))
    assert found == ["site.yml: tariff: is required, as there are several: ppa, Night.Rate-2"]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("customers: {acme: {tariff: pap}}", "customers.acme.tariff: there is no tariff 'pap': did you mean 'ppa'?"),
        (
            "customers: {acme: {contract: gold}}",
            "customers.acme.contract: there is no contract 'gold': none is defined",
        ),
        ("blocks: {c: {tariff: pap}}", "blocks.c.tariff: there is no tariff 'pap': did you mean 'ppa'?"),
        ("power: {resale_tariff: pap}", "power.resale_tariff: there is no tariff 'pap': did you mean 'ppa'?"),
        ("gpus: {tariff: pap}", "gpus.tariff: there is no tariff 'pap': did you mean 'ppa'?"),
        (
            "settlement: {day_ahead_tariff: pap, real_time_tariff: ppa, position_kilowatts: 1}",
            "settlement.day_ahead_tariff: there is no tariff 'pap': did you mean 'ppa'?",
        ),
        (
            "settlement: {day_ahead_tariff: ppa, real_time_tariff: ppa}",
            "settlement: position_kilowatts is required without by_date",
        ),
        (
            "peaks: {p: {load: gird, rate_usd_per_kilowatt_year: 70}}\nsystem_loads: {grid: {kind: ercot}}",
            "peaks.p.load: there is no source of system_loads 'gird': did you mean 'grid'?",
        ),
        (
            "peaks: {p: {load: g, rate_usd_per_kilowatt_year: 70, tariffs: [pap]}}\nsystem_loads: {g: {kind: ercot}}",
            "peaks.p.tariffs: there is no tariff 'pap': did you mean 'ppa'?",
        ),
        (
            "obligations: {o: {kind: schedule, path: x, blocks: [c2]}}\nblocks: {c1: {}}",
            "obligations.o.blocks: there is no block 'c2': choose from c1",
        ),
    ],
)
def test_tariffs_named_anywhere_exist(tmp_path: Path, section: str, expected: str) -> None:
    text = MINIMAL + "tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}\n" + section
    assert errors(tmp_path, text) == [f"site.yml:3: {expected}"]


def places(values: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in entries:
        yield (*at, key)
        yield from places(value, (*at, key))


EXAMPLE = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "examples" / "site.yml").read_text(encoding="utf-8"))
EXAMPLE["fleet"] |= {"csv": [], "ranges": [{"cidr": "10.1.0.0/30", "exclude": ["10.1.0.1"], "block": "container-1"}]}
JUNK = st.sampled_from([None, 5, -1e300, 1e400, True, "", "x", "22:00", [], [1], [[]], {}, {"x": 1}, {"kind": "x"}])
SPEECH = ("pydantic", "Input", "Value error", "type=", "Traceback", "object at 0x", "instance of")


@settings_of_hypothesis(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given_by_hypothesis(place=st.sampled_from(list(places(EXAMPLE))), junk=JUNK)
def test_junk_anywhere_is_refused_in_plain_words_or_accepted(
    tmp_path: Path, place: tuple[str | int, ...], junk: Any
) -> None:
    values = deepcopy(EXAMPLE)
    reduce(lambda inner, part: inner[part], place[:-1], values)[place[-1]] = junk
    file = tmp_path / "site.yml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    try:
        load(file)
    except ConfigError as error:
        found = list(map(str, error.errors))
        assert found
        assert all(one.startswith(str(file)) for one in found)
        assert not any(word in one for one in found for word in SPEECH)


def test_a_file_that_a_source_cannot_read_is_a_warning_except_offline(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    text = MINIMAL + (
        "tariffs: {spot: {kind: template, template: tibber, currency: USD, bearer_token_file: token}}\n"
        "bitcoin: {kind: median, sources: [{kind: kraken}, {kind: coinbase, ca_file: missing.pem}]}\n"
    )
    settings = given(tmp_path, text)
    found = f"bitcoin: ca_file {tmp_path}/missing.pem does not exist or cannot be read: the source fails until it can"
    assert [warning for warning in warnings(settings) if "_file" in warning] == [found]
    with offline():
        assert not any("_file" in warning for warning in warnings(settings))


SECRETS = ("hunter2", "hunter3")


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    settings = given(tmp_path, FULL)
    for shown in (repr(settings), str(settings), describe(settings), as_text(settings), as_json(settings)):
        assert not any(secret in shown for secret in SECRETS)
    assert yaml.safe_load(describe(settings))["network"]["password"] == "***"


def test_errors_do_not_show_secrets(tmp_path: Path) -> None:
    text = FULL.replace("password: hunter2", "password: [hunter2]").replace("password: hunter3", "pasword: hunter3")
    text += "ai: {rent_usd_per_kilowatt_month: 150, api_key: hunter2}\n"
    found = "\n".join(errors(tmp_path, text))
    assert "network.password: must be text" in found
    assert not any(secret in found for secret in SECRETS)


def test_what_is_described_loads_again_to_the_same(tmp_path: Path) -> None:
    text = FULL.replace(", username: rpc, password: hunter2", ", cookie_file: /run/bitcoin/.cookie").replace(
        "  defaults: {username: root, password: hunter3}\n", ""
    )
    settings = given(tmp_path, text)
    assert given(tmp_path, describe(settings)) == settings


@pytest.mark.parametrize("interval", ["1ms", "2h"])
def test_an_evaluation_interval_that_cannot_be_meant_is_refused(tmp_path: Path, interval: str) -> None:
    found = errors(tmp_path, MINIMAL + f"evaluation_interval: {interval}\n")
    assert found == [f"site.yml:2: evaluation_interval: '{interval}' must be from 1s to 1h"]


def test_a_typed_in_network_without_fees_is_warned_of(tmp_path: Path) -> None:
    text = MINIMAL + "network: {kind: fixed, difficulty: 1.3e+14, height: 941000"
    found = [list(warnings(given(tmp_path, text + end))) for end in ("}\n", ", block_fees: 0.02}\n")]
    assert [any("no block_fees" in warning for warning in warned) for warned in found] == [True, False]


def test_the_summary_counts_and_warns(tmp_path: Path) -> None:
    text = FULL.replace("  rigs:\n", "  ranges: [{cidr: 127.60.1.0/29}]\n  rigs:\n")
    summary = json.loads(as_json(given(tmp_path, text)))
    assert (summary["rigs"], summary["addresses_to_search"]) == (1, 6)
    assert summary["blocks"] == {"container-1": 1}
    assert summary["addresses_by_block"] == {"unassigned": 6}
    assert (summary["tariffs"], summary["addresses_by_tariff"]) == ({"ppa": 1}, {"ppa": 6})
    assert summary["sources"] == {
        "network": "bitcoin_core",
        "bitcoin": "fixed",
        "tariff:ppa": "fixed",
        "tariff:Night.Rate-2": "fixed",
    }
    assert any(warning.startswith("6 addresses without rated_watts") for warning in summary["warnings"])
    assert "rigs                 1\n" in as_text(given(tmp_path, text))


def test_the_summary_previews_the_shards_and_warns_of_empty_ones(tmp_path: Path) -> None:
    rows = "".join(f"    - {{address: 127.60.0.{number}, block: b{number % 3}}}\n" for number in range(1, 10))
    text = MINIMAL + f"sharding: {{total_shards: 4}}\nfleet:\n  ranges: [{{cidr: 127.60.1.0/29}}]\n  rigs:\n{rows}"
    summary = json.loads(as_json(given(tmp_path, text)))
    assert sorted(summary["shards"].values()) == [
        "0 blocks, 6 addresses",
        "1 block, 3 rigs",
        "1 block, 3 rigs",
        "1 block, 3 rigs",
    ]
    assert "shard 3" in as_text(given(tmp_path, text))
    text = text.replace("total_shards: 4", "total_shards: 5")
    assert any(warning.startswith("no rigs for shard ") for warning in warnings(given(tmp_path, text)))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("power:\n  overhead: 5", "site.yml:3: power.overhead: 5 is implausible, expected 1 to 2"),
        ("network:\n  url: x", "site.yml:2: network: needs a `kind`: bitcoin_core, "),
        (
            "network:\n  kind: bitcoin_cor",
            "site.yml:2: network: there is no kind 'bitcoin_cor': did you mean 'bitcoin_core'?",
        ),
        ("fleet:\n  ranges:\n    - cidr: 5", "site.yml:4: fleet.ranges.0.cidr: 5 is not an IPv4 range"),
    ],
)
def test_an_error_names_the_line_to_correct(tmp_path: Path, section: str, expected: str) -> None:
    assert errors(tmp_path, MINIMAL + section)[0].startswith(expected)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "network:\n  kind: bitcoin_core\n  url: http://127.0.0.1:8332\n  username: u\n  password: ${RPC_PASSWORD}",
            (
                "site.yml:6: network.password: ${RPC_PASSWORD} is not replaced: remove this line and set the "
                "environment variable HASHMARGIN_NETWORK__PASSWORD, or write the value into a file "
                "network__password of --config.secrets-dir"
            ),
        ),
        ("fleet:\n  csv:\n    - a.csv\n    - b.csv", "site.yml:4: fleet.csv.0: a.csv does not exist"),
        ("fleet:\n  file_sd: [b.json]", "site.yml:3: fleet.file_sd.0: b.json does not exist"),
        ('polling:\n  interval: "30"', "site.yml:3: polling.interval: '30' is not a duration: did you mean '30s'?"),
    ],
)
def test_a_frequent_error_is_reported_with_its_line_and_the_correction(
    tmp_path: Path, section: str, expected: str
) -> None:
    assert errors(tmp_path, MINIMAL + section)[0].replace(f"{tmp_path}/", "") == expected


def test_a_state_directory_that_does_not_exist_is_warned_of_and_not_created(tmp_path: Path) -> None:
    found = list(warnings(given(tmp_path, MINIMAL + "state: {path: elsewhere/state.sqlite}\n")))
    missing = f"the directory {tmp_path / 'elsewhere'} of state.path does not exist: `hashmargin run` creates it"
    assert missing in found
    assert not (tmp_path / "elsewhere").exists()
    assert any(warning.startswith("no state.path") for warning in warnings(given(tmp_path, MINIMAL)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("site: !!timestamp x", "this is no timestamp"),
        ("polling: {interval: !!float x}", "this is no float"),
        ("site: !!bool x", "this is no bool"),
        ("!!int x: 1", "this is no int"),
        (f"polling: {{max_in_flight: {'9' * 5_000}}}", "this is no int"),
        (f"evaluation_interval: {'9' * 400}w", "longer than any duration"),
        ('fleet: {csv: ["a\\0b"]}', "a character that no path can have"),
        ('fleet: {defaults: {password_file: "a\\0b"}}', "a character that no path can have"),
        ("site: " + "[" * 3_000 + "]" * 3_000, "nested too deeply"),
    ],
)
def test_a_value_that_python_cannot_hold_is_an_error_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    found = errors(tmp_path, text)
    assert all(error.startswith("site.yml") for error in found)
    assert any(reason in error for error in found)


AI_PRICES = """\
site: prairie-1
ai_prices:
  ornn: {kind: ornn, models: [H100 SXM], commitment: interruptible}
  vast: {kind: vastai_exporter, url: "http://127.0.0.1:8622/metrics/global", models: [h100_sxm5, B200]}
"""
RENTAL = """\
ai:
  gpu_rental:
    price_usd_per_gpu_hour: {price}
    utilization: 0.7
    power_usd_per_kilowatt_hour: 0.05
    kilowatts_per_gpu: 1.275
    gpu_capex_usd: 30000
    capex_usd_per_kilowatt: 0
    opex_usd_per_gpu_year: 0
"""


@pytest.mark.parametrize(
    ("rental", "refused"),
    [
        ("vast\n    gpu_model: NVIDIA H100 80GB HBM3", []),
        ("ornn\n    commitment: interruptible", []),
        ("{low: 1.6, base: 2, high: 2.7}", []),
        ("'2.5'", []),
        ("vst", ["price_usd_per_gpu_hour: there is no feed of ai_prices 'vst': did you mean 'vast'?"]),
        ("vast", ["needs gpu_model, as the feed vast has several: H100 SXM, B200"]),
        ("ornn", ["commitment: the feed ornn has no firm prices"]),
        (
            "vast\n    gpu_model: H100 PCIe",
            ["gpu_model: there is no GPU model of the feed vast 'H100 PCIe': choose from B200, H100 SXM"],
        ),
        ("25", ["price_usd_per_gpu_hour: 25 is implausible, expected 0.3 to 15 USD per GPU-hour"]),
        ("{low: 3, base: 2, high: 4}", ["price_usd_per_gpu_hour: write low <= base <= high, not 3, 2, 4"]),
        ("[2]", ["price_usd_per_gpu_hour"]),
    ],
)
def test_a_price_is_a_figure_a_band_or_a_feed_that_has_it(tmp_path: Path, rental: str, refused: list[str]) -> None:
    text = AI_PRICES + RENTAL.replace("{price}", rental)
    if not refused:
        assert given(tmp_path, text).ai is not None
        return
    found = errors(tmp_path, text)
    assert len(found) == len(refused)
    assert all(words in sentence for words, sentence in zip(refused, found, strict=True)), found


def test_a_market_of_own_gpus_names_a_feed_that_there_is(tmp_path: Path) -> None:
    market = "{feed: %s, model: %s, utilization: 0.7, kilowatts_per_gpu: 1.275}"
    entries = ", ".join(market % each for each in (("vast", "B200"), ("vats", "B200"), ("vast", "H200")))
    found = errors(tmp_path, AI_PRICES + f"gpus: {{market: [{entries}]}}\n")
    assert [sentence.split(": ", 1)[1] for sentence in found] == [
        "gpus.market.1.feed: there is no feed of ai_prices 'vats': did you mean 'vast'?",
        "gpus.market.2.model: there is no GPU model of the feed vast 'H200': did you mean 'B200'?",
    ]


def test_a_feed_with_an_error_of_its_own_gives_no_second_one(tmp_path: Path) -> None:
    text = AI_PRICES.replace("[H100 SXM]", "[]") + RENTAL.replace("{price}", "ornn")
    (only,) = errors(tmp_path, text)
    assert "ai_prices.ornn.models" in only


def test_the_summary_names_the_feeds_that_are_on(tmp_path: Path) -> None:
    def feeds(text: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(as_json(given(tmp_path, text)))["sources"]
        return {name: kind for name, kind in found.items() if name.startswith("ai_price")}

    assert feeds(AI_PRICES) == {"ai_price:ornn": "ornn", "ai_price:vast": "vastai_exporter"}
    assert feeds(FULL) == {}


def test_leases_belong_to_one_shard_each(tmp_path: Path) -> None:
    lease = "{start: 2026-07-01, firm_kilowatts: 20000, usd_per_kilowatt_month: 150}"
    text = f"site: x\nai_leases: {{a: {lease}, b: {lease}, c: {lease}}}\nsharding: {{total_shards: 3, shard: %d}}\n"
    served = [name for shard in range(3) for name in given(tmp_path, text % shard).site_settings.leases]
    assert sorted(served) == ["a", "b", "c"]


def test_the_service_manager_provides_the_directory_of_the_state_unless_a_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "site.yml"
    environ = {"STATE_DIRECTORY": "/var/lib/hashmargin:/var/lib/other"}
    for content, expected in (
        ("", Path("/var/lib/hashmargin/state.sqlite")),
        ("state: {interval: 30s}", Path("/var/lib/hashmargin/state.sqlite")),
        ("state: {path: mine.sqlite}", tmp_path / "mine.sqlite"),
        ("state: {path: null}", None),
    ):
        config.write_text(f"site: prairie-1\n{content}\n", encoding="utf-8")
        assert load(config, environ=environ).state.path == expected
    assert load(config, environ={}).state.path is None


def test_the_summary_counts_customers_rigs_by_contract(tmp_path: Path) -> None:
    uptime = "uptime: {measure: sla, promised: 0.98}"
    contract = f"{{timezone: UTC, usd_per_kilowatt_hour: 0.08, curtailment_credit_share: 0, {uptime}}}"
    rigs = "{address: 127.60.0.5, customer: acme}, {address: 127.60.0.6, customer: birch}, {address: 127.60.0.7}"
    customers = f"customers: {{acme: {{contract: gold}}, birch: }}\ncontracts: {{gold: {contract}}}\n"
    text = f"site: s\nfleet: {{rigs: [{rigs}]}}\n{customers}"
    assert json.loads(as_json(given(tmp_path, text)))["contracts"] == {"gold": 1, "none": 1}
