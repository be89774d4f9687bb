{{/* A controller's rights, from files/rbac of its subchart: what it does in its own namespace, and in those that it looks after. */}}
{{- define "doris-operator.rbac" -}}
{{- $name := include "doris-operator.name" . -}}
{{- $watch := .Values.global.watch -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}-leader
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
rules: {{- (.Files.Get "files/rbac/own.yaml" | fromYaml).rules | toYaml | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}-leader
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}-leader
subjects: {{- include "doris-operator.subjects" . | nindent 2 }}
{{- $rules := (.Files.Get "files/rbac/watched.yaml" | fromYaml).rules }}
{{- range $namespace := $watch.namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ $namespace }}
  labels: {{- include "doris-operator.labels" $ | nindent 4 }}
rules: {{- $rules | toYaml | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ $namespace }}
  labels: {{- include "doris-operator.labels" $ | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects: {{- include "doris-operator.subjects" $ | nindent 2 }}
{{- else }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
rules: {{- $rules | toYaml | nindent 2 }}
{{- if not (and $watch.namespaceSelector $watch.teamsBind) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}
subjects: {{- include "doris-operator.subjects" . | nindent 2 }}
{{- end }}
{{- if $watch.namespaceSelector }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}-namespaces
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
rules: {{- (.Files.Get "files/rbac/namespaces.yaml" | fromYaml).rules | toYaml | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}-namespaces
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}-namespaces
subjects: {{- include "doris-operator.subjects" . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "doris-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "doris-operator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
