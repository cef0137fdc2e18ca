"""A customer behind prom-label-proxy, as docs/hosting.md sets it up, cannot read what is another's."""

import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterator

import pytest
from harness import HOST, ROOT, Prometheus, ask, free_port, program, wait_for
from prometheus_releases import CURRENT, LABEL_PROXY

SERIES = """\
# TYPE mining_customer_margin_usd_per_day gauge
mining_customer_margin_usd_per_day{{customer="acme"}} 12 {at}
mining_customer_margin_usd_per_day{{customer="birch"}} 30 {at}
# TYPE mining_rig_host_margin_usd_per_day gauge
mining_rig_host_margin_usd_per_day{{rig="a-1"}} 5 {at}
# TYPE mining_rig_inventory_info gauge
mining_rig_inventory_info{{rig="a-1",customer="acme"}} 1 {at}
mining_rig_inventory_info{{rig="b-1",customer="birch"}} 1 {at}
# EOF
"""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with two customers' series behind the documented proxy for one of them."""
    missing = CURRENT.missing or LABEL_PROXY.missing
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("customers")
    (folder / "series.txt").write_text(SERIES.format(at=int(time.time())), encoding="utf-8")
    imported = ("tsdb", "create-blocks-from", "openmetrics", "series.txt", "data")
    subprocess.run((CURRENT.program("promtool"), *imported), check=True, cwd=folder, capture_output=True)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    upstream, port = free_port(), free_port()
    (documented,) = re.findall(
        r"^prom-label-proxy .*$", (ROOT / "docs/hosting.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    arguments = documented.replace("127.0.0.1:9090", f"{HOST}:{upstream}").replace("127.0.0.1:9091", f"{HOST}:{port}")
    command = (
        CURRENT.program("prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--query.lookback-delta=1h",  # however long the tests take
        f"--web.listen-address={HOST}:{upstream}",
    )
    with (
        program("prometheus", *command, folder=folder) as prometheus,
        program("proxy", LABEL_PROXY.program("prom-label-proxy"), *arguments.split()[1:], folder=folder) as proxy,
    ):
        wait_for("Prometheus", lambda: prometheus.get(f"http://{HOST}:{upstream}/-/ready"))
        assert len(Prometheus(f"http://{HOST}:{upstream}").query("mining_customer_margin_usd_per_day")) == 2
        url = f"http://{HOST}:{port}"
        wait_for("the proxy", lambda: proxy.get(f"{url}/api/v1/query?query=1"))
        yield Prometheus(url)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("mining_customer_margin_usd_per_day", [12.0]),
        ("sum(mining_customer_margin_usd_per_day)", [12.0]),
        ('mining_customer_margin_usd_per_day{customer="birch"}', [12.0]),  # the proxy replaces the label
        ('mining_customer_margin_usd_per_day{customer=~".+"}', [12.0]),
        ('{__name__=~".+", customer!="acme"}', [12.0, 1.0]),
        ("mining_rig_host_margin_usd_per_day", []),
        ("mining_rig_host_margin_usd_per_day * on (rig) group_left (customer) mining_rig_inventory_info", []),
        ('label_replace(mining_customer_margin_usd_per_day, "customer", "birch", "", "")', [12.0]),
        ("count(mining_rig_inventory_info)", [1.0]),
    ],
)
def test_a_query_sees_the_customers_series_only(proxied: Prometheus, query: str, found: list[float]) -> None:
    assert sorted(value for _, value in proxied.query(query)) == sorted(found)


@pytest.mark.e2e
def test_neither_labels_nor_series_name_another(proxied: Prometheus) -> None:
    assert ask(f"{proxied.url}/api/v1/label/customer/values")["data"] == ["acme"]
    assert ask(f"{proxied.url}/api/v1/label/rig/values")["data"] == ["a-1"]
    everything = urllib.parse.urlencode({"match[]": '{__name__=~".+"}'})
    series = ask(f"{proxied.url}/api/v1/series?{everything}")["data"]
    assert {each["customer"] for each in series} == {"acme"}
    assert "birch" not in ask(f"{proxied.url}/federate?{everything}")
