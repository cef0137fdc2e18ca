// Settings of pint (https://cloudflare.github.io/pint) for these rules: `make linters`.

checks {
  disabled = [
    // An alert that is held by a recording rule has no comparison there: its condition was met before.
    // MiningWatchdog fires always, on purpose.
    "alerts/comparison",
  ]
}

rule {
  // A lag of one interval is nothing in a mean of 30 days.
  match { name = "customer:mining_margin_usd_per_day:avg30d" }
  disable = ["rule/dependency"]
}

rule {
  // Counts of rigs with a fault, which are recorded at another interval: for alerts that wait for ten minutes, and for panels.
  match { name = "block:mining_rig_(stopped_without_pool|without_pool|overheating):count" }
  disable = ["rule/dependency"]
}

rule {
  // If a block costs nothing, the site's ratio is unknown: not a number, not the ratio of the other blocks.
  match { name = "site:mining_allin_(breakeven_hashprice_usd_per_petahash_day|cost_usd_per_bitcoin):ratio" }
  disable = ["promql/nan"]
}
