"""The command line: ``hashmargin`` and its commands, one file each.

A command imports the rest of the package when it runs, so that ``--help`` answers quickly.
"""

from __future__ import annotations

import click
from click.shell_completion import add_completion_class

from exporter import __version__
from exporter.cli import (
    backtest,
    capture,
    check_config,
    completion,
    demo,
    doctor,
    explain,
    init,
    maintenance,
    obligations,
    outlook,
    plan,
    probe,
    report,
    rigs,
    rma,
    run,
    scan,
    schedule,
    setpoints,
    shed,
    simulate,
    state,
    statement,
    status,
    top,
)
from exporter.cli.errors import EXIT_CODES


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  hashmargin demo                                     run the exporter with a simulated site
  hashmargin init 10.0.0.0/20                         find rigs, ask questions, and write a site.yml that runs
  hashmargin scan 10.0.0.0/20 > rigs.csv              find rigs and write an inventory file
  hashmargin check-config --config.file site.yml      check a configuration without starting it
  hashmargin doctor --config.file site.yml            show what is wrong with this installation
  hashmargin run --config.file site.yml               serve http://0.0.0.0:9852/metrics
  hashmargin probe 10.1.0.17                          read one rig and show why it fails
  hashmargin status                                   show the state of the site in one line, with an exit code
  hashmargin top                                      show the site live: firing, down, losing most
  hashmargin rigs --status down                       list rigs: filter, sort, as table, CSV or JSON
  hashmargin rma                                      list rigs and boards to be repaired, and what they lose
  hashmargin maintenance add c1-001 --for 4h          announce planned downtime
  hashmargin obligations list                         show calls, caps and awards, and report on an event
  hashmargin explain c1-001                           show how the verdict of a rig is computed
  hashmargin plan --megawatts 5                       choose the blocks that free 5 MW for AI hosting
  hashmargin state backup FILE                        copy the state file while the exporter runs
  hashmargin outlook                                  compare converting blocks now with later
  hashmargin schedule                                 show in which hours each block should run
  hashmargin setpoints                                list at which operating point each rig should run
  hashmargin shed --kilowatts 2000                    list which rigs to turn down for 2 MW, least loss first
  hashmargin statement --customer acme ...            state what a hosted customer owes, and why
  hashmargin report --month 2026-11 ...               report a day or a month of a site
  hashmargin backtest --sample                        compute what the verdicts would have earned

{EXIT_CODES}

\b
Shell completion in bash (replace bash by zsh or fish for those):
  eval "$(_HASHMARGIN_COMPLETE=bash_source hashmargin)"
""",
)
@click.version_option(__version__, prog_name="hashmargin")
def main() -> None:
    """Prometheus exporter for the margin of bitcoin-mining rigs.

    hashmargin reads the rigs of one site and never changes them. It prices their hashrate and power, and shows which
    rigs would earn more if their power went to AI hosting.
    """


for _command in (
    init.init,
    run.run,
    check_config.check_config,
    doctor.doctor,
    demo.demo,
    scan.scan,
    probe.probe,
    capture.capture,
    status.status,
    top.top,
    rigs.rigs,
    rma.rma,
    maintenance.maintenance,
    obligations.obligations,
    plan.plan,
    explain.explain,
    outlook.outlook,
    schedule.schedule,
    setpoints.setpoints,
    shed.shed,
    backtest.backtest,
    statement.statement,
    report.report,
    state.state,
    simulate.simulate,
):
    main.add_command(_command)

add_completion_class(completion.Bash)
