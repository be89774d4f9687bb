# What CI runs, by name: `.ci/run` runs all of it on a machine with nothing but the toolchains.
# No recipe selects a package: alone it would be built with other features of its dependencies, and all of them anew.

# The recipes.
default:
    @just --list --unsorted

# A cluster comes to life on the simulators; Ctrl-C ends everything.
demo *arguments:
    cargo demo -- {{ arguments }}

# All tests. Those that need the real Kubernetes build it first where Go is there, and say so where it is not.
test:
    cargo test --workspace

# Format, lints and tests.
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace

# The scenarios on the real Kubernetes alone.
real:
    cargo test --test real_create --test real_control_plane

# Charts, Kustomize, roles and examples, by the real Helm 3 and 4 and on the real control plane.
delivery:
    cargo test --test delivery -- --nocapture

# The documentation: its commands, its YAML, its names and links.
docs:
    cargo test --test docs -- --nocapture

# Whether older real servers take everything that is delivered, and whether the charts install there.
delivery-old:
    REAL_KUBERNETES=1.30 cargo test --test delivery -- a_real_server installed --nocapture
    REAL_KUBERNETES=1.25 cargo test --test delivery -- a_real_server installed --nocapture

# The image of a controller, put together by buildah without a network: with a program that is built here.
image controller="cluster-controller":
    deploy/docker/local.sh {{ controller }}

# A cluster on older real Kubernetes versions, which are built first where they are not: minutes each.
real-old:
    REAL_KUBERNETES=1.30 cargo test --test real_create -- basic:: --nocapture
    REAL_KUBERNETES=1.25 cargo test --test real_create -- basic:: --nocapture

# A real Kubernetes control plane with simulated nodes and Doris members on this machine, until Ctrl-C.
control-plane *arguments:
    cargo run --bin control-plane -- up {{ arguments }}

# kubectl and the Python client against kube-sim, which must run (`cargo run --bin kube-sim -- --nodes 3 --kubeconfig FILE`) and be named by KUBECONFIG.
clients:
    e2e/clients/kubectl.sh
    python3 e2e/clients/python_client.py

# The same against the real control plane; needs `pip install -r e2e/clients/requirements.txt`.
clients-real:
    cargo run --bin control-plane -- run -- sh -c 'e2e/clients/kubectl.sh && python3 e2e/clients/python_client.py'

# Recorded conversations with a real API server, against a real API server (`just test` has them against the simulated one).
conversations-real:
    cargo build --bin conformance
    cargo run --bin control-plane -- run --zone z1 --bind-claims-at-once -- sh -c '"${CARGO_TARGET_DIR:-target}/debug/conformance" --together 6 --server "$KUBERNETES_SERVER" --token "$KUBERNETES_TOKEN"'

# Everything, as CI does.
ci:
    .ci/run
