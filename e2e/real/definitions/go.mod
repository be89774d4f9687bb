// Definitions of other projects' kinds that the chart and the examples make objects of. Nothing is compiled: the files are read.
module doris-operator.dev/e2e/real/definitions

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.2.0
	github.com/fluxcd/helm-controller v1.4.0
	github.com/fluxcd/kustomize-controller v1.7.3
	github.com/fluxcd/source-controller v1.7.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
