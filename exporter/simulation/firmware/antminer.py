"""Stock Antminers: cgminer API on 4028, one command per connection, none joined; web interface on 80, digest login.

They report no power.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, refusal, section
from exporter.simulation.faults import encode
from exporter.simulation.firmware import Family
from exporter.simulation.http import Digest, Http, Request, Response, error_page
from exporter.simulation.machine import BoardVitals, Machine, Model, Vitals
from exporter.simulation.pools import clock_text, metric_text, pools

_DESCRIPTION: Final = "cgminer 1.0.0"
_COMPILED: Final = "Tue Dec  6 16:12:30 CST 2022"
_VERSION: Final = "49.0.1.3"
_CHAINS: Final = 4  # slots that the firmware reports, whether a board is in them or not
_SLEEP_MODE: Final = "1"


def ghs(hashrate: float) -> float:
    """Write a hashrate as Antminers do."""
    return round(hashrate / 1e9, 2)


def _board_sensors(vitals: Vitals, board: BoardVitals) -> dict[str, list[int]]:
    """Four sensors of each kind: two at the inlet side, two at the outlet side."""
    spread = board.pcb - board.inlet
    return {
        "temp_pcb": [round(board.pcb), round(board.inlet + spread * 0.4), round(board.pcb - 3), round(board.pcb - 2)],
        "temp_chip": [
            round(board.chip),
            round(board.inlet + spread * 0.6),
            round(board.chip - 3),
            round(board.chip - 2),
        ],
        "temp_pic": [round(vitals.inlet + spread * factor) for factor in (0.7, 0.2, 0.6, 0.6)],
    }


# --- TCP 4028 -------------------------------------------------------------------------------------------------------


def _version_row(machine: Machine) -> dict[str, Any]:
    return {"BMMiner": "1.0.0", "Miner": _VERSION, "CompileTime": _COMPILED, "Type": machine.model.code}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = _version_row(machine) | {"API": "3.1"}
    return section(_DESCRIPTION, 22, "CGMiner versions", vitals.now, "VERSION", [row])


def summary_row(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    """Return cgminer's summary of the rig."""
    now: float | str = ghs(vitals.hashrate)
    average: float | str = ghs(vitals.average)
    if machine.model.generation == "old":  # older builds write rates as text
        now, average = f"{now:.2f}", f"{average:.2f}"
    return {
        "Elapsed": vitals.elapsed,
        "GHS 5s": now,
        "GHS av": average,
        "GHS 30m": ghs(vitals.average),
        "Found Blocks": 0,
        "Getwork": vitals.accepted,
        "Accepted": vitals.accepted,
        "Rejected": vitals.rejected,
        "Hardware Errors": vitals.hardware_errors,
        "Utility": round(vitals.accepted * 60 / max(vitals.elapsed, 1), 2),
        "Discarded": vitals.accepted * 1_100,
        "Stale": vitals.stale,
        "Get Failures": 1,
        "Local Work": vitals.accepted * 1_101,
        "Remote Failures": 0,
        "Network Blocks": vitals.elapsed // 600,
        "Total MH": round(vitals.accepted * vitals.share_difficulty * 4294.967296),
        "Work Utility": round(vitals.accepted * vitals.share_difficulty * 60 / max(vitals.elapsed, 1), 2),
        "Difficulty Accepted": float(vitals.accepted * vitals.share_difficulty),
        "Difficulty Rejected": float(vitals.rejected * vitals.share_difficulty),
        "Difficulty Stale": float(vitals.stale * vitals.share_difficulty),
        "Best Share": vitals.share_difficulty * 24_613,
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Pool Rejected%": 0.0,
        "Pool Stale%": 0.0,
        "Last getwork": int(vitals.now),
    }


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [summary_row(machine, vitals)])


def stats_row(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    """Return the state of chains and fans. There are more chains than boards."""
    model = machine.model
    row: dict[str, Any] = {
        "STATS": 0,
        "ID": "BTM_SOC0",
        "Elapsed": vitals.elapsed,
        "Calls": 0,
        "Wait": 0,
        "Max": 0,
        "Min": 99_999_999,
        "GHS 5s": ghs(vitals.hashrate),
        "GHS av": ghs(vitals.average),
        "rate_30m": ghs(vitals.average),
        "Mode": 2,
        "miner_count": len(vitals.boards),
        "frequency": round(model.frequency),
        "fan_num": model.fans,
    }
    row |= {f"fan{index}": rpm for index, rpm in enumerate(vitals.fans, 1)}
    row["temp_num"] = len(vitals.boards)
    boards = {board.index: board for board in vitals.boards}
    for slot in range(_CHAINS):
        row |= _chain(model, vitals, boards.get(slot), slot + 1)
    return row | {
        "total_rateideal": ghs(vitals.expected),
        "rate_unit": "GH",
        "total_freqavg": round(model.frequency),
        "total_acn": model.chips * len(vitals.boards),
        "total rate": ghs(vitals.average),
        "temp_max": 0,
        "no_matching_work": vitals.hardware_errors,
        "miner_version": _VERSION,
        "miner_id": machine.serial.lower(),
    }


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [_version_row(machine), stats_row(machine, vitals)]
    return section(_DESCRIPTION, 70, "CGMiner stats", vitals.now, "STATS", rows)


def _chain(model: Model, vitals: Vitals, board: BoardVitals | None, number: int) -> dict[str, Any]:
    if board is None:
        return {
            f"temp_pcb{number}": "0-0-0-0",
            f"temp_chip{number}": "0-0-0-0",
            f"temp_pic{number}": "0-0-0-0",
            f"freq{number}": 0,
            f"chain_acn{number}": 0,
            f"chain_acs{number}": "",
            f"chain_hw{number}": 0,
            f"chain_rate{number}": "",
        }
    sensors = _board_sensors(vitals, board)
    return {
        f"temp{number}": max(sensors["temp_pcb"]),
        f"temp2_{number}": max(sensors["temp_chip"]),
        **{f"{kind}{number}": "-".join(map(str, values)) for kind, values in sensors.items()},
        f"freq{number}": round(model.frequency),
        f"chain_acn{number}": model.chips,
        f"chain_acs{number}": " ooo" * (model.chips // 3),
        f"chain_hw{number}": board.hardware_errors,
        f"chain_rate{number}": f"{ghs(board.hashrate):.2f}",
    }


def pool_rows(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    """List the pools, as cgminer does."""
    return [
        {
            "POOL": pool.index,
            "URL": pool.url,
            "Status": pool.status,
            "Priority": pool.index,
            "Quota": 1,
            "Long Poll": "N",
            "Getworks": pool.accepted,
            "Accepted": pool.accepted,
            "Rejected": pool.rejected,
            "Discarded": pool.accepted * 1_100,
            "Stale": pool.stale,
            "Get Failures": 0,
            "Remote Failures": 0,
            "User": pool.worker,
            "Last Share Time": clock_text(pool.last_share_age) if pool.active else "0",
            "Diff": metric_text(pool.difficulty) if pool.active else "",
            "Diff1 Shares": 0,
            "Proxy Type": "",
            "Proxy": "",
            "Difficulty Accepted": float(pool.accepted * pool.difficulty),
            "Difficulty Rejected": float(pool.rejected * pool.difficulty),
            "Difficulty Stale": float(pool.stale * pool.difficulty),
            "Last Share Difficulty": float(pool.difficulty) if pool.active else 0.0,
            "Has Stratum": True,
            "Stratum Active": pool.active,
            "Stratum URL": pool.host if pool.active else "",
            "Has GBT": False,
            "Best Share": float(pool.accepted * 1_000),
            "Pool Rejected%": 0.0,
            "Pool Stale%%": 0.0,
        }
        for pool in pools(machine, vitals)
    ]


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = pool_rows(machine, vitals)
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


def _devs(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    row = {
        "ASC": 0,
        "Name": "BTM_SOC",
        "ID": 0,
        "Enabled": "Y",
        "Status": "Alive",
        "Tenperature": 0.0,  # the firmware's own spelling
        "MHS av": 0.0,
        "MHS 5s": 0.0,
        "Accepted": vitals.accepted,
        "Rejected": vitals.rejected,
        "Hardware Errors": 0,
        "Difficulty Accepted": vitals.accepted * vitals.share_difficulty,
        "Difficulty Rejected": vitals.rejected * vitals.share_difficulty,
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Diff1 Work": 0,
        "Total MH": 0.0,
        "Utility": 0.0,
        "Last Share Difficulty": vitals.share_difficulty,
        "Last Share Pool": 0,
        "Last Share Time": int(vitals.now),
        "Last Valid Work": int(vitals.now),
        "Device Elapsed": vitals.elapsed,
    }
    return section(_DESCRIPTION, 9, "1 ASC(s)", vitals.now, "DEVS", [row])


# --- HTTP 80 --------------------------------------------------------------------------------------------------------


def _web(machine: Machine, vitals: Vitals, message: str, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "STATUS": {"STATUS": "S", "when": int(vitals.now), "Msg": message, "api_version": "1.0.0"},
        "INFO": {"miner_version": _VERSION, "CompileTime": _COMPILED, "type": machine.model.code},
        name: rows,
    }


def _web_rates(vitals: Vitals) -> dict[str, Any]:
    return {
        "elapsed": vitals.elapsed,
        "rate_5s": ghs(vitals.hashrate),
        "rate_30m": ghs(vitals.average),
        "rate_avg": ghs(vitals.average),
        "rate_ideal": ghs(vitals.rated),
        "rate_unit": "GH/s",
    }


def _web_summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    troubles = {
        "rate": "low hashrate" if vitals.boards_lost else "",
        "network": "",
        "fans": f"ERROR_FAN_LOST: fan lost, only find {len(vitals.fans) - 1}" if vitals.fans_lost else "",
        "temp": "ERROR_TEMP_TOO_HIGH: over max temp" if vitals.hot else "",
    }
    row = _web_rates(vitals) | {
        "hw_all": vitals.hardware_errors,
        "bestshare": vitals.share_difficulty * 24_613,
        "status": [
            {"type": kind, "status": "e" if message else "s", "code": 1 if message else 0, "msg": message}
            for kind, message in troubles.items()
        ],
    }
    return _web(machine, vitals, "summary", "SUMMARY", [row])


def _web_stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    chain = [
        {
            "index": board.index,
            "freq_avg": round(machine.model.frequency),
            "rate_ideal": round(ghs(vitals.rated) / machine.model.boards, 2),
            "rate_real": ghs(board.hashrate),
            "asic_num": machine.model.chips,
            "asic": " ooo" * (machine.model.chips // 3),
            **_board_sensors(vitals, board),
            "hw": board.hardware_errors,
            "eeprom_loaded": True,
            "sn": board.serial,
            "hwp": 0.0,
        }
        for board in vitals.boards
    ]
    row = _web_rates(vitals) | {
        "chain_num": len(chain),
        "fan_num": len(vitals.fans),
        "fan": list(vitals.fans),
        "hwp_total": 0.0,
        "miner-mode": 0 if vitals.mining else 1,
        "freq-level": 100,
        "chain": chain,
    }
    return _web(machine, vitals, "stats", "STATS", [row])


def _web_pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "index": pool.index,
            "url": pool.url,
            "user": pool.worker,
            "status": pool.status,
            "priority": pool.index,
            "getworks": pool.accepted,
            "accepted": pool.accepted,
            "rejected": pool.rejected,
            "discarded": pool.accepted * 1_100,
            "stale": pool.stale,
            "diff": metric_text(pool.difficulty) if pool.active else "",
            "diff1": 0,
            "diffa": pool.accepted * pool.difficulty,
            "diffr": pool.rejected * pool.difficulty,
            "diffs": pool.stale * pool.difficulty,
            "lsdiff": pool.difficulty if pool.active else 0,
            "lstime": clock_text(pool.last_share_age) if pool.active else "0",
        }
        for pool in pools(machine, vitals)
    ]
    return _web(machine, vitals, "pools", "POOLS", rows)


def _system_info(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {
        "minertype": machine.model.code,
        "nettype": "DHCP",
        "netdevice": "eth0",
        "macaddr": machine.mac,
        "hostname": "Antminer",
        "ipaddress": machine.address,
        "netmask": "255.255.255.0",
        "gateway": "",
        "dnsservers": "",
        "system_mode": "GNU/Linux",
        "system_kernel_version": "Linux 4.6.0-xilinx-gff8137b-dirty #25 SMP PREEMPT Fri Nov 23 15:30:52 CST 2018",
        "system_filesystem_version": _COMPILED,
        "firmware_type": "Release",
        "serinum": machine.serial,
    }


def _network_info(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {
        "nettype": "DHCP",
        "netdevice": "eth0",
        "macaddr": machine.mac,
        "ipaddress": machine.address,
        "netmask": "255.255.255.0",
        "conf_nettype": "DHCP",
        "conf_hostname": "Antminer",
        "conf_ipaddress": "",
        "conf_netmask": "",
        "conf_gateway": "",
        "conf_dnsservers": "",
    }


def _miner_conf(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "pools": [{"url": pool.url, "user": pool.worker, "pass": "x"} for pool in pools(machine, vitals)],
        "api-listen": True,
        "api-network": True,
        "api-groups": "A:stats:pools:devs:summary:version",
        "api-allow": "A:0/0,W:*",
        "bitmain-fan-ctrl": False,
        "bitmain-fan-pwm": "100",
        "bitmain-use-vil": True,
        "bitmain-freq": f"{machine.model.frequency:.0f}",
        "bitmain-voltage": "1360",
        "bitmain-ccdelay": "0",
        "bitmain-pwth": "0",
        "bitmain-work-mode": "0" if vitals.mining else _SLEEP_MODE,
        "bitmain-freq-level": "100",
    }


def _miner_type(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {"miner_type": machine.model.code, "subtype": "CVCtrl_BHB42XXX", "fw_version": _VERSION}


def _blink(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {"blink": False}


_PAGES: Final[dict[str, Callable[[Machine, Vitals], dict[str, Any]]]] = {
    "summary": _web_summary,
    "stats": _web_stats,
    "pools": _web_pools,
    "get_system_info": _system_info,
    "get_network_info": _network_info,
    "get_miner_conf": _miner_conf,
    "get_blink_status": _blink,
    "miner_type": _miner_type,
}

_LOGIN: Final = Digest("antMiner Configuration", "root", "root")


def _page(machine: Machine, request: Request, now: float) -> Response:
    refusal = _LOGIN.challenge(machine, request, now)
    if refusal is not None:
        return refusal
    path = request.path.partition("?")[0]
    if path in {"/", "/index.html"}:
        return Response(b"<html><head><title>Ant Miner</title></head><body></body></html>", content_type="text/html")
    page = _PAGES.get(path.removeprefix("/cgi-bin/").removesuffix(".cgi"))
    if page is None or request.method != "GET" or not path.startswith("/cgi-bin/"):
        return error_page(HTTPStatus.NOT_FOUND)
    return Response(encode(page(machine, machine.vitals(now)), machine.fault), content_type="text/plain")


def model(
    name: str,
    generation: str,
    terahash: float,
    watts: float,
    chips: int,
    frequency: float,
    *,
    firmware: str = "Antminer",
) -> Model:
    """Make the nameplate of an air-cooled Antminer; its ``name`` decides which firmware it runs."""
    return Model(
        name=f"{firmware} {name}",
        code=f"Antminer {name}",
        generation=generation,
        terahash=terahash,
        watts=watts,
        boards=3,
        chips=chips,
        fans=4,
        fan_rpm=6_000.0,
        frequency=frequency,
    )


FAMILY: Final = Family(
    name="antminer",
    models=(
        model("S19j Pro", "old", 100.0, 3_050.0, 126, 545.0),
        model("S19 XP", "mid", 140.0, 3_010.0, 110, 675.0),
        model("S21", "new", 200.0, 3_500.0, 108, 490.0),
    ),
    ports={
        4028: Cgminer(
            "antminer",
            {"version": _version, "summary": _summary, "stats": _stats, "pools": _pools, "devs": _devs},
            refuse=refusal(_DESCRIPTION),
            terminator=b"\0",
        ),
        80: Http("antminer", _page),
    },
    mac_prefix="28:E2:97",
    weight=0.60,
    credentials=("root", "root"),
)
