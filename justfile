# `just RECIPE`. What `.ci/run` calls, a step at a time, and the long forms of some tests.

# All that CI runs
ci:
    .ci/run

format:
    cargo fmt --all

# What the README says, and the lints
test:
    cargo test
    cargo clippy --all-targets -- -D warnings

spelling:
    .ci/typos

schedules:
    .ci/jobs

licences:
    .ci/deny

demo:
    .ci/demo

clients:
    .ci/clients

stores:
    .ci/stores

page:
    .ci/page

analysts:
    .ci/analysts

workbook:
    .ci/workbook

warehouse:
    .ci/warehouse

engine:
    .ci/engine

# The wheel and the Debian package, optimised, into dist/, after both were installed and run where nothing else is
dist:
    .ci/dist release

# Long forms of the tests of chance: kills at 100 instants, 200 flipped bits, 300 random months
soak:
    COHORTS_SEEDS=300 cargo test --lib standing_and_ledger
    COHORTS_CRASHES=100 COHORTS_FLIPS=200 cargo test --test it -- crash:: damage::a_flipped_bit forget::a_call_that_is_killed

# The same on buckets: 1,000 seeds of failing stores, 100 races, 100 kills
soak-stores:
    COHORTS_SEEDS=1000 cargo test --lib store::bucket
    COHORTS_RACES=100 COHORTS_CRASHES=100 .ci/stores

# Workspaces in which nothing changes, 24 months each, through the whole program
calibrate:
    COHORTS_WORKSPACES=10 cargo test --test it -- --ignored --nocapture calibration::
