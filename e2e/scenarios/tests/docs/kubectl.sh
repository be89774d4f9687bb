#!/bin/bash
# kubectl as the documentation's commands find it: whatever would change something is tried by the server and not done, whatever lasts
# is cut short, and whatever needs a container is checked for the pod that it names.
set -euo pipefail
real=$REAL_KUBECTL
# Pages name a server of their own.
export KUBECONFIG=$WORLD_KUBECONFIG

verb='' args=("$@") rest=()
for ((i = 0; i < ${#args[@]}; i++)); do
  case ${args[i]} in
  -n | --namespace) i=$((i + 1)) ;;
  -*) ;;
  *)
    verb=${args[i]} rest=("${args[@]:i+1}")
    break
    ;;
  esac
done
namespace=default
for ((i = 0; i < ${#args[@]}; i++)); do
  case ${args[i]} in
  -n | --namespace) namespace=${args[i + 1]} ;;
  --namespace=*) namespace=${args[i]#*=} ;;
  --) break ;;
  esac
done
has() { # flag: whether one of the arguments is it or begins with it and a "="
  local argument
  for argument in "${args[@]}"; do
    if [ "$argument" = "$1" ] || [[ $argument == "$1="* ]]; then return 0; fi
  done
  return 1
}

case $verb in
apply | create | patch | annotate | label | scale | delete)
  if ! has --dry-run; then set -- "$@" --dry-run=server; fi
  # Here somebody else installed what the pages install anew.
  if has --server-side && ! has --force-conflicts; then set -- "$@" --force-conflicts; fi
  exec "$real" "$@"
  ;;
wait)
  # The object has to be there and the condition one that can be asked for; what it waits for is another test's.
  kept=()
  for argument in "$@"; do [[ $argument == --timeout=* ]] || kept+=("$argument"); done
  said=$("$real" "${kept[@]}" --timeout=1s 2>&1) || [[ $said == *"timed out waiting"* ]] || { echo "$said" >&2 && exit 1; }
  ;;
get)
  if has --watch || has -w; then
    timeout 2 "$real" "$@" || [ $? = 124 ]
  else
    exec "$real" "$@"
  fi
  ;;
exec | logs | port-forward)
  # The target: the first word that is no option's value.
  target='' container=''
  for ((i = 0; i < ${#rest[@]}; i++)); do
    case ${rest[i]} in
    --) break ;;
    -c | --container) container=${rest[i + 1]} i=$((i + 1)) ;;
    -n | --namespace) i=$((i + 1)) ;;
    -*) ;;
    *) [ -n "$target" ] || target=${rest[i]} ;;
    esac
  done
  [[ $target == */* ]] || target=pod/$target
  "$real" -n "$namespace" get "$target" -o name
  if [ -n "$container" ]; then
    "$real" -n "$namespace" get "$target" -o jsonpath='{.spec.containers[*].name}' | tr ' ' '\n' | grep -qx "$container"
  fi
  ;;
rollout)
  # There is no trial of it: the object has to be there.
  target=${rest[1]}
  [[ $target == */* ]] || target=$target/${rest[2]}
  "$real" -n "$namespace" get "$target" -o name
  ;;
describe | explain | version | api-resources)
  exec "$real" "$@"
  ;;
*)
  echo "the test of the documentation does not know what to do with kubectl $verb" >&2
  exit 1
  ;;
esac
