# Recipes for people; CI runs `.ci/run`.

# What the README says, and the lints
test:
    cargo test
    cargo clippy --all-targets -- -D warnings

# Long forms of the tests of chance: kills at 100 instants, 200 flipped bits
soak:
    COHORTS_CRASHES=100 COHORTS_FLIPS=200 cargo test --test it -- crash:: damage::a_flipped_bit

# Workspaces in which nothing changes, 24 months each, through the whole program
calibrate:
    COHORTS_WORKSPACES=10 cargo test --test it -- --ignored --nocapture calibration::
