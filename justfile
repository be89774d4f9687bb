# What CI runs, by name: `.ci/run` runs all of it on a machine with nothing but the toolchains.

# The recipes.
default:
    @just --list --unsorted

# All tests. Those that need the real Kubernetes build it first where Go is there, and say so where it is not.
test:
    cargo test --workspace

# Format, lints and tests.
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace

# A real Kubernetes control plane with simulated nodes on this machine, until Ctrl-C.
control-plane *arguments:
    cargo run -p scenarios --bin control-plane -- up {{ arguments }}

# kubectl and the Python client against the real control plane; needs `pip install -r e2e/clients/requirements.txt`.
clients-real:
    cargo run -p scenarios --bin control-plane -- run -- e2e/clients/kubectl.sh
    cargo run -p scenarios --bin control-plane -- run -- python3 e2e/clients/python_client.py

# Everything, as CI does.
ci:
    .ci/run
