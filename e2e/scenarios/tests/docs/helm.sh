#!/bin/bash
# Helm as the documentation's commands find it: both versions. What would be installed is rendered and tried by the server.
set -euo pipefail
export KUBECONFIG=$WORLD_KUBECONFIG

try() { # helm, arguments
  local helm=$1
  shift
  case $1 in
  install | upgrade)
    local namespace=default kept=() i
    local all=("${@:2}")
    for ((i = 0; i < ${#all[@]}; i++)); do
      case ${all[i]} in
      --wait | --create-namespace | --take-ownership | --force-conflicts | --install) ;;
      --namespace | -n)
        namespace=${all[i + 1]}
        kept+=("${all[i]}")
        ;;
      *) kept+=("${all[i]}") ;;
      esac
    done
    # Rendered for the server that is asked, where `install` would ask it; objects without a namespace go where the release is.
    "$helm" template "${kept[@]}" --kube-version 1.36 >"rendered-$$.yaml"
    "$REAL_KUBECTL" apply --server-side --force-conflicts --dry-run=server --validate=strict -n "$namespace" -f "rendered-$$.yaml"
    ;;
  uninstall)
    # No release is here; the call has to be one that Helm understands.
    local said
    said=$("$helm" "$@" --dry-run 2>&1) || [[ $said == *"release: not found"* ]] || { echo "$said" >&2 && return 1; }
    ;;
  template | show | lint) "$helm" "$@" ;;
  *)
    echo "the test of the documentation does not know what to do with helm $1" >&2
    return 1
    ;;
  esac
}

try "$HELM3" "$@" >/dev/null
try "$HELM4" "$@"
