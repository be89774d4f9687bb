{{/* All objects of a controller: what its subchart's only template includes. */}}
{{- define "doris-operator.controller" -}}
{{- $name := include "doris-operator.name" . -}}
{{- $watch := .Values.global.watch -}}
{{- if and $watch.namespaces $watch.namespaceSelector -}}
{{- fail "global.watch: name namespaces or give a namespaceSelector, not both" -}}
{{- end -}}
{{- if and $watch.teamsBind (not $watch.namespaceSelector) -}}
{{- fail "global.watch.teamsBind: only with a namespaceSelector" -}}
{{- end -}}
{{- /* What a controller does not know it would pass over, and look after clusters that it is to leave alone. */ -}}
{{- $known := splitList "," (index .Chart.Annotations "doris-operator.dev/watch") -}}
{{- range $way := list "namespaces" "namespaceSelector" "denyNamespaces" -}}
{{- if and (get $watch $way) (not (has $way $known)) -}}
{{- fail (printf "global.watch.%s: this version of the %s does not know it yet" $way $.Chart.Name) -}}
{{- end -}}
{{- end -}}
{{- $minor := include "doris-operator.minor" . | int -}}
{{- if .Values.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "doris-operator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
  {{- with .Values.serviceAccount.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
# The pods ask for the token themselves.
automountServiceAccountToken: false
---
{{- end }}
{{ include "doris-operator.rbac" . }}
---
{{ include "doris-operator.deployment" . }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
spec:
  # Every process has numbers of its own.
  clusterIP: None
  selector: {{- include "doris-operator.selector" . | nindent 4 }}
  ports:
    - name: http
      port: 8080
      targetPort: http
{{- if and .Values.podDisruptionBudget.enabled (gt (.Values.replicas | int) 1) }}
---
apiVersion: {{ ge $minor 21 | ternary "policy/v1" "policy/v1beta1" }}
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels: {{- include "doris-operator.selector" . | nindent 6 }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "doris-operator.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    # Health and metrics, nothing else listens.
    - ports:
        - {port: http, protocol: TCP}
      {{- with .Values.networkPolicy.metricsFrom }}
      from: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- if .Values.serviceMonitor.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "doris-operator.labels" . | nindent 4 }}
    {{- with .Values.serviceMonitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels: {{- include "doris-operator.selector" . | nindent 6 }}
  endpoints:
    - port: http
      path: /metrics
      interval: {{ .Values.serviceMonitor.interval }}
{{- end }}
{{- end -}}
