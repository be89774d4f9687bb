{{/* What the names of all objects begin with. */}}
{{- define "doris-operator.prefix" -}}
{{- with .Values.global.fullnameOverride -}}
{{- . | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- if contains "doris-operator" $.Release.Name -}}
{{- $.Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-doris-operator" ($.Release.Name | trunc 25 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of a controller's objects; its subchart is named as the controller. */}}
{{- define "doris-operator.name" -}}
{{- printf "%s-%s" (include "doris-operator.prefix" .) .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What a controller's pods are found by. Never changes: a Deployment's selector can't. */}}
{{- define "doris-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "doris-operator.labels" -}}
{{ include "doris-operator.selector" . }}
app.kubernetes.io/part-of: doris-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The minor version of the server, as a number. Some say "30+". */}}
{{- define "doris-operator.minor" -}}
{{- regexFind "^[0-9]+" .Capabilities.KubeVersion.Minor -}}
{{- end -}}

{{- define "doris-operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "doris-operator.name" .) -}}
{{- end -}}

{{- define "doris-operator.image" -}}
{{- $repository := .Values.image.repository | default (printf "doris-operator/%s" .Chart.Name) -}}
{{- with .Values.global.image.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Values.global.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
