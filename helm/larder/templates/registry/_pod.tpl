{{- /* The pod of the registry, whether a StatefulSet or a Deployment makes it. */}}
{{- define "larder.registry.template" -}}
{{- $storage := .Values.registry.persistence }}
{{- $driver := include "larder.objectStorage" . }}
{{- $sources := include "larder.registrySources" (list . true) }}
{{- $events := include "larder.eventSources" . -}}
metadata: {{- include "larder.podMetadata" (list $ "registry") | nindent 2 }}
spec:
  {{- include "larder.podSpec" (list $ "registry") | nindent 2 }}
  containers:
  - name: registry
    image: {{ include "larder.image" (list $ .Values.image.repository .Values.image.digest) }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
    - registry
    - --config=/etc/larder/larder.yaml
    - --data=/var/lib/larder
    - --listen=:7439
    - --metrics-listen=:7440
    - --token-file=/var/run/larder/token/token
    {{- if .Values.tls.enabled }}
    - --tls-cert-dir=/var/run/larder/tls
    {{- end }}
    - --proxy={{ include "larder.proxyPrefix" . }}
    - --mirror-mode={{ .Values.mirror.enabled }}
    - --mirrors={{ .Values.registry.mirrors }}
    {{- if $driver }}
    - --peers={{ include "larder.fullname" . }}-registry.{{ .Release.Namespace }}.svc:7439
    {{- end }}
    {{- range .Values.pullSecrets.namespaces }}
    - --pull-secret-namespaces={{ . }}
    {{- end }}
    - --log-level={{ .Values.log.level }}
    - --log-format={{ .Values.log.format }}
    env:
    - name: POD_NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    - name: POD_NAME # of which an event tells that the store is full
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    - name: POD_UID
      valueFrom: {fieldRef: {fieldPath: metadata.uid}}
    {{- if $driver }}
    - name: POD_IP
      valueFrom: {fieldRef: {fieldPath: status.podIP}}
    {{- end }}
    {{- range $name, $key := $storage.existingSecretKeys }}
    - name: {{ $name }}
      valueFrom: {secretKeyRef: {name: {{ $storage.existingSecret }}, key: {{ $key }}}}
    {{- end }}
    {{- with include "larder.proxyEnv" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with .Values.registry.env }}{{ toYaml . | nindent 4 }}{{ end }}
    ports:
    - {name: registry, containerPort: 7439}
    - {name: metrics, containerPort: 7440}
    {{- include "larder.probes" . | nindent 4 }}
    securityContext: {{- include "larder.securityContext" .Values.registry | nindent 6 }}
    resources: {{- toYaml .Values.registry.resources | nindent 6 }}
    volumeMounts:
    - {name: config, mountPath: /etc/larder, readOnly: true}
    - {name: token, mountPath: /var/run/larder/token, readOnly: true}
    {{- if .Values.tls.enabled }}
    - {name: tls, mountPath: /var/run/larder/tls, readOnly: true}
    {{- end }}
    - {name: data, mountPath: /var/lib/larder}
    {{- if $sources }}
    - {name: registries, mountPath: /var/run/larder/registries, readOnly: true}
    {{- end }}
    {{- if $events }}
    - {name: events, mountPath: /var/run/larder/events, readOnly: true}
    {{- end }}
    {{- if and (eq $driver "gcs") $storage.existingSecret }}
    - {name: storage, mountPath: /var/run/larder/storage, readOnly: true}
    {{- end }}
  volumes:
  - name: config
    configMap:
      name: {{ include "larder.fullname" . }}-config
      items: [{key: larder.yaml, path: larder.yaml}]
  - name: token
    secret: {secretName: {{ include "larder.tokenSecret" . }}, defaultMode: 0440}
  {{- if .Values.tls.enabled }}
  - name: tls
    secret:
      secretName: {{ include "larder.fullname" . }}-registry-tls
      items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
      defaultMode: 0440
  {{- end }}
  {{- if or $driver (not $storage.enabled) }}
  - name: data
    emptyDir: {} # the kubelet would end the pod at a limit; the registry has one of its own
  {{- else if $storage.existingClaim }}
  - name: data
    persistentVolumeClaim: {claimName: {{ $storage.existingClaim }}}
  {{- end }}
  {{- with $sources }}
  - name: registries
    projected:
      defaultMode: 0440
      sources: {{- trim . | nindent 6 }}
  {{- end }}
  {{- with $events }}
  - name: events
    projected:
      defaultMode: 0440
      sources: {{- trim . | nindent 6 }}
  {{- end }}
  {{- if and (eq $driver "gcs") $storage.existingSecret }}
  - name: storage
    secret: {secretName: {{ $storage.existingSecret }}, defaultMode: 0440}
  {{- end }}
{{- end }}
