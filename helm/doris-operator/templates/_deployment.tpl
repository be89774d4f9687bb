{{- define "doris-operator.deployment" -}}
{{- $minor := include "doris-operator.minor" . | int -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "doris-operator.name" . }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "doris-operator.labels" . | nindent 4 }}
  {{- with .Values.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {{- include "doris-operator.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "doris-operator.selector" . | nindent 8 }}
        # The clusters' network policies let these in.
        app.kubernetes.io/part-of: doris-operator
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: controller
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "doris-operator.serviceAccount" . }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
      {{- with .Values.global.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        {{- if ge $minor 19 }}
        seccompProfile: {type: RuntimeDefault}
        {{- end }}
        {{- with .Values.podSecurityContext }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      containers:
        - name: controller
          image: {{ include "doris-operator.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy | default .Values.global.image.pullPolicy }}
          {{- with .Values.extraArgs }}
          args: {{- toYaml . | nindent 12 }}
          {{- end }}
          env: {{- include "doris-operator.env" . | nindent 12 }}
          ports:
            - {name: http, containerPort: 8080, protocol: TCP}
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            initialDelaySeconds: 10
            periodSeconds: 10
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 2
          {{- with .Values.resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
      {{- with .Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .Values.topologySpreadConstraints }}
      topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 8 }}
      {{- else if ge $minor 18 }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "doris-operator.selector" . | nindent 14 }}
      {{- end }}
{{- end -}}

{{- define "doris-operator.env" -}}
{{- $global := .Values.global -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: LEADER_NAMESPACE
  value: $(POD_NAMESPACE)
- name: LISTEN_ADDRESS
  value: {{ .Values.listenAddress | quote }}
- name: LOG_FORMAT
  value: {{ $global.log.format }}
- name: RUST_LOG
  value: {{ $global.log.filter | quote }}
- name: CLUSTER_DOMAIN
  value: {{ $global.clusterDomain }}
- name: CONCURRENCY
  value: {{ .Values.concurrency | quote }}
- name: LEASE_SECONDS
  value: {{ .Values.leaseSeconds | quote }}
{{- with $global.watch.namespaces }}
- name: WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- with $global.watch.namespaceSelector }}
- name: WATCH_NAMESPACE_SELECTOR
  value: {{ . | quote }}
{{- end }}
{{- with $global.watch.denyNamespaces }}
- name: DENY_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- with $global.installation }}
- name: INSTALLATION
  value: {{ . | quote }}
{{- end }}
{{- if .Values.sharded }}
- name: SHARDED
  value: "true"
{{- end }}
{{- with $global.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
