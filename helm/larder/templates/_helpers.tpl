{{- define "larder.fullname" -}}
{{- $name := contains "larder" .Release.Name | ternary .Release.Name (printf "%s-larder" .Release.Name) }}
{{- .Values.fullnameOverride | default $name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "larder.webhookName" -}}{{ include "larder.fullname" . }}-webhook{{- end }}

{{- define "larder.tokenSecret" -}}
{{- .Values.token.existingSecret | default (printf "%s-token" (include "larder.fullname" .)) }}
{{- end }}

{{- /* Labels of a component: (list $ "registry"). */}}
{{- define "larder.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: larder
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "larder.labels" -}}
{{- $root := index . 0 -}}
{{ include "larder.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{- define "larder.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "larder.fullname" $root }}-{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels: {{- include "larder.labels" . | nindent 2 }}
{{- end }}

{{- /* An image: (list $ repository digest). */}}
{{- define "larder.image" -}}
{{- $root := index . 0 }}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ index . 1 }}
{{- with index . 2 }}@{{ . }}{{ else }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "larder.webhookEnabled" -}}
{{- if kindIs "invalid" .Values.webhook.enabled }}{{ not .Values.mirror.enabled | ternary "true" "" }}{{ else }}{{ .Values.webhook.enabled | ternary "true" "" }}{{ end }}
{{- end }}

{{- /* Whether somebody else than Larder keeps the webhook's certificate: the Secret's name. */}}
{{- define "larder.webhookSecret" -}}
{{- if .Values.webhook.certManager.enabled }}{{ include "larder.webhookName" . }}-tls{{ else }}{{ .Values.webhook.certificate.existingSecret }}{{ end }}
{{- end }}

{{- /* The storage driver of object storage; empty: the file system. */}}
{{- define "larder.objectStorage" -}}
{{- with .Values.registry.persistence }}{{ if .s3 }}s3{{ else if .gcs }}gcs{{ else if .azure }}azure{{ end }}{{ end }}
{{- end }}

{{- define "larder.proxyPrefix" -}}localhost:{{ .Values.proxy.hostPort }}{{- end }}

{{- /* Whether the proxies' metrics can be read from elsewhere. */}}
{{- define "larder.proxyMetricsReachable" -}}
{{- if not (regexMatch `^(127\.|localhost:|\[::1\]:)` .Values.proxy.metrics.listen) }}true{{ end }}
{{- end }}

{{- define "larder.podSecurityContext" -}}
{{- $defaults := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .podSecurityContext)) }}
{{- end }}

{{- define "larder.securityContext" -}}
{{- $defaults := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .securityContext)) }}
{{- end }}

{{- define "larder.podMetadata" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $values := get $root.Values $component -}}
labels:
  {{- include "larder.selector" . | nindent 2 }}
  {{- with $values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  checksum/config: {{ include (eq $component "proxy" | ternary "larder.proxyConfigFile" "larder.configFile") $root | sha256sum }}
  {{- with $values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{- /* What all pods have in common, but for containers and volumes. */}}
{{- define "larder.podSpec" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}{{ $values := get $root.Values $component -}}
serviceAccountName: {{ include "larder.fullname" $root }}-{{ $component }}
automountServiceAccountToken: {{ ne $component "proxy" }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
securityContext: {{- include "larder.podSecurityContext" $values | nindent 2 }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $values $key }}
{{ $key }}: {{- kindIs "string" . | ternary (print " " .) (toYaml . | nindent 2) }}
{{- end }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range $values.topologySpreadConstraints }}
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "larder.selector" (list $root $component) | fromYaml)) }}
  - {{ toYaml (merge (deepCopy .) $selector) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* What is larder's own of a container's environment; the rest is a person's. */}}
{{- define "larder.proxyEnv" -}}
{{- with .Values.httpProxy }}
{{- if or .http .https }}
{{- with .http }}
- {name: HTTP_PROXY, value: {{ . | quote }}}
{{- end }}
{{- with .https }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
{{- end }}
- name: NO_PROXY # the cluster's own is never reached by way of a proxy
  value: {{ printf "localhost,127.0.0.1,::1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)%s" (empty .noProxy | ternary "" (printf ",%s" .noProxy)) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "larder.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
