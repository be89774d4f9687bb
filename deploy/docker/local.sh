#!/usr/bin/env bash
# Puts a controller's image together by buildah without fetching anything: the Dockerfile's last stage, with a program that is built here.
# Needs buildah. Static by musl where its toolchain is installed, else by glibc, which is enough for a program that only knows addresses.
set -euo pipefail
cd "$(dirname "$0")/../.."

controller=${1:-cluster-controller}
target=$(rustc -vV | sed -n 's/^host: //p')
musl=${target/-gnu/-musl}
if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ]; then target=$musl; fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/out/sbom"

export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PWD=/ --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
cargo build --locked --release --workspace --bin "$controller" --bin sbom --target "$target" --target-dir target/image
cp "target/image/$target/release/$controller" "$stage/out/"
cargo metadata --locked --format-version 1 --filter-platform "$target" | "target/image/$target/release/sbom" "$controller" \
  >"$stage/out/sbom/$controller.cdx.json"

version=$("$stage/out/$controller" --version | awk '{ print $2 }')
name="doris-operator/$controller:$version"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
buildah build --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" --build-context "build=$stage" --target "$controller" \
  --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" -f deploy/docker/Dockerfile -t "$name" .
echo "$name"
