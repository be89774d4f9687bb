#!/usr/bin/env bash
# What people do with kubectl, tried on the server that KUBECONFIG names: kube-sim or a real one, with nodes that run pods.
# Prints a line a check and 'N passed, N failed' at the end; fails if a check did.
set -uo pipefail
cd "$(dirname "$0")"

namespace="kubectl-$$"
passed=0
failed=0
output=$(mktemp)
trap 'kubectl delete namespace "$namespace" --wait=false >/dev/null 2>&1; kubectl delete crd gadgets.clients.example.org --wait=false >/dev/null 2>&1; rm -f "$output"' EXIT

# Runs a command or one of the functions below under a time limit.
run() {
  timeout 120 bash -c '"$@"' run "$@" >"$output" 2>&1
}

# check NAME PATTERN COMMAND...: the command succeeds and what it prints matches the extended regular expression.
check() {
  local name=$1 pattern=$2
  shift 2
  if run "$@" && grep -Eq -- "$pattern" "$output"; then pass "$name"; else fail "$name" "$pattern"; fi
}

# refused NAME PATTERN COMMAND...: the command fails, and says why.
refused() {
  local name=$1 pattern=$2
  shift 2
  if run "$@"; then fail "$name" "a refusal"; return; fi
  if grep -Eq -- "$pattern" "$output"; then pass "$name"; else fail "$name" "$pattern"; fi
}

pass() {
  passed=$((passed + 1))
  echo "ok   $1"
}

fail() {
  failed=$((failed + 1))
  echo "FAIL $1: wanted $2, got:"
  sed 's/^/       /' "$output"
}

k() { kubectl --namespace "$namespace" "$@"; }

as_reader() { kubectl --as="system:serviceaccount:$namespace:reader" --namespace "$namespace" "$@"; }

# until_it_works COMMAND...: what was just made known may need a moment to be known everywhere.
until_it_works() {
  local try
  for try in $(seq 1 50); do
    "$@" && return
    sleep 0.2
  done
  return 1
}

has_a_set() { k get replicasets -l app=web -o name | grep web-; }

export -f k as_reader until_it_works has_a_set
export namespace

check "the server's version" 'Server Version: v1\.' kubectl version
check "resources are discovered" 'deployments +deploy +apps/v1 +true +Deployment' kubectl api-resources
check "a namespace is created" 'created' bash -c 'echo "{apiVersion: v1, kind: Namespace, metadata: {name: $namespace}}" | kubectl create -f -'

# Client-side apply.
check "apply creates" 'deployment.apps/web created' k apply -f web.yaml
check "apply again changes nothing" 'deployment.apps/web unchanged' k apply -f web.yaml
check "a Deployment's rollout ends" 'successfully rolled out' k rollout status deployment/web --timeout=60s
check "get prints a table" 'NAME +READY +UP-TO-DATE +AVAILABLE +AGE' k get deployments
check "the table counts ready pods" 'web +2/2 +2 +2 ' k get deployments
check "a wide table names the containers" 'web +image-1 +app=web' k get deployments -o wide
check "pods are listed by label" 'Running' k get pods -l app=web
check "describe tells the rollout's story" 'ScalingReplicaSet' k describe deployment web
check "describe a pod" 'Scheduled' k describe pod -l app=web
check "events are listed" 'SuccessfulCreate' k get events

# Patches of three kinds, labels, scale.
check "a strategic patch keeps the container" 'patched' k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}'
check "it did" '^image-1 A$' k get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env[0].name}'
check "a merge patch" 'patched' k patch deployment web --type merge -p '{"metadata":{"annotations":{"a":"b"}}}'
check "a JSON patch" 'patched' k patch deployment web --type json -p '[{"op":"test","path":"/metadata/annotations/a","value":"b"},{"op":"remove","path":"/metadata/annotations/a"}]'
check "a label" 'labeled' k label deployment web tier=front
check "scale" 'scaled' k scale deployment web --replicas=3
check "wait for a field" 'condition met' k wait deployment web --for=jsonpath='{.status.readyReplicas}'=3 --timeout=60s
check "rollout restart" 'restarted' k rollout restart deployment/web
check "rollout status of the restart" 'successfully rolled out' k rollout status deployment/web --timeout=90s
check "rollout history" '^2 ' k rollout history deployment/web

# Server-side apply.
check "server-side apply creates" 'serverside-applied' k apply --server-side --field-manager=one -f settings.yaml
refused "another manager's value is a conflict" 'conflict.*"one".*\.data\.level' bash -c 'sed s/info/debug/ settings.yaml | k apply --server-side --field-manager=two -f -'
check "which can be forced" 'serverside-applied' bash -c 'sed s/info/debug/ settings.yaml | k apply --server-side --field-manager=two --force-conflicts -f -'
check "and shows in the managed fields" '^one two$|^two one$|^two$' k get configmap settings --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].manager}'
check "diff finds nothing after an apply" '^nothing$' bash -c 'sed s/info/debug/ settings.yaml | k diff --server-side --field-manager=two -f - && echo nothing'

shared() { sed "s/name: settings/name: shared/; s/info/$1/" settings.yaml; }
export -f shared
check "what another manager has" 'serverside-applied' bash -c 'shared info | k apply --server-side --field-manager=one -f -'
check "is kubectl's too once it applied the same by itself" 'configured' bash -c 'shared info | k apply -f -'
check "and no conflict when it goes on by server-side apply" 'serverside-applied' bash -c 'shared debug | k apply --server-side -f -'
refused "while others have one" 'conflict' bash -c 'shared error | k apply --server-side --field-manager=two -f -'

# A custom resource with a schema, rules, columns, status and scale.
check "a custom resource definition" 'created' kubectl create -f gadgets.yaml
check "is established" 'condition met' kubectl wait crd gadgets.clients.example.org --for=condition=Established --timeout=30s
check "takes an object" 'gadget.clients.example.org/g created' until_it_works k create -f gadget.yaml
check "prints its own columns" 'NAME +SIZE +READY' k get gadgets
check "is found by its short name" '^g +3 ' k get gd --no-headers
refused "a broken rule is told in its own words" 'spec.size: Invalid value: .*size must be odd' k patch gadget g --type merge -p '{"spec":{"size":4}}'
check "an unknown field in a patch is warned of" 'Warning: unknown field "spec.sise"' k patch gadget g --type merge -p '{"spec":{"sise":4}}'
refused "and refused in an apply" 'unknown field "spec.sise"' bash -c 'sed "s/{}/{sise: 4}/" gadget.yaml | k apply --validate=strict -f -'
check "explain knows its fields" 'How many\.' kubectl explain gadget.spec.size
check "scale of a custom resource" 'scaled' k scale gadget g --replicas=5
ready='{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Made","message":"","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":GENERATION}]}}'
check "a status is written beside the spec" 'patched' k patch gadget g --subresource status --type merge -p "${ready/GENERATION/1}"
refused "wait does not believe a condition of an older generation" 'timed out' k wait gadget g --for=condition=Ready --timeout=2s
check "it believes one of this generation" 'condition met' bash -c "k patch gadget g --subresource status --type merge -p '${ready/GENERATION/2}' && k wait gadget g --for=condition=Ready --timeout=30s"

# Rights.
check "an administrator may do anything" '^yes$' kubectl auth can-i '*' '*'
check "a service account with a role" 'rolebinding.rbac.authorization.k8s.io/reader created' k create -f reader.yaml
check "a typed object is created from the command line" 'created' k create role nobody --verb=get --resource=pods
check "may read pods" '^yes$' as_reader auth can-i list pods
refused "may not delete them" '^no' as_reader auth can-i delete pods
check "lists them" 'web-' as_reader get pods
refused "is refused by name, verb and resource" "system:serviceaccount:$namespace:reader\" cannot delete resource \"pods\"" as_reader delete pods --all

# Deletion.
check "deletion in the foreground waits for what is owned" 'deleted' k delete deployment web --cascade=foreground --timeout=60s
check "nothing is left of it" '^none$' bash -c 'test -z "$(k get replicasets,pods -l app=web -o name)" && echo none'
check "again" 'created' k apply -f web.yaml
check "its set is made" 'replicaset.apps/web-' until_it_works has_a_set
check "deletion that orphans" 'deleted' k delete deployment web --cascade=orphan --timeout=60s
check "leaves the set behind" 'replicaset.apps/web-' k get replicasets -l app=web -o name
check "a namespace goes with all that is in it" 'deleted' kubectl delete namespace "$namespace" --timeout=90s

echo "kubectl: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
