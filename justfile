# The commands of this project; `just` lists them.

[private]
default:
    @just --list --unsorted

# Install and build what the real tests need; nothing to do when it is there
tools:
    @tests/cluster/tools.sh

# A whole Kubernetes for tests: `just cluster up`, `just cluster kubectl get pods -A`, `just cluster down`
[positional-arguments]
cluster *args:
    @tests/cluster/cluster "$@"

# Try every promise of the test cluster
cluster-selftest:
    @tests/cluster/selftest

# What has to be green before every push: format, lints, documentation, dependencies, fast tests
test:
    @tests/run

# The charts, without a cluster; with words only those checks: `just charts plan refused`
[positional-arguments]
charts *words:
    @tests/helm/render "$@"

# Whole rollouts on the test cluster, as root; with names only those: `just real errors`
[positional-arguments]
real *names:
    @cargo test --locked --test real -- "$@"

# Canaries that succeed and fail, on a Kubernetes inside one process; with --once it ends by itself
[positional-arguments]
demo *args:
    @cargo run --locked --release --quiet -- demo "$@"

# A tour on a Kubernetes of its own: a good release, a bad one, and the way back
[positional-arguments]
tour *args:
    @examples/tour.sh "$@"

# What the controller costs: memory, processor, writes, reaction; `just bench --canaries 10000 --active 1000`
[positional-arguments]
bench *args:
    @cargo build --locked --release --quiet --bin serin --example bench
    @target/release/examples/bench "$@"

# Ten thousand stories told to the core, and releases on the embedded cluster with everything that can happen, each from its seed
seeds stories="10000" releases="300":
    @STORIES={{stories}} cargo test --locked --release --lib stories -- --nocapture
    @SEEDS={{releases}} cargo test --locked --release --test it seeds_come -- --nocapture

# A crash before and after every write of every tale, with a fresh and with a late view
crashes:
    @CRASHES=all cargo test --locked --release --test it crash_at -- --nocapture

# The comparison with stable, each figure of its statistics from 2,000 played attempts, or as many as are named
statistics runs="all":
    @STATISTICS={{runs}} cargo test --locked --release --test it statistics -- --nocapture --test-threads=1

# Everything that decides what lands
ci:
    @.ci/run
