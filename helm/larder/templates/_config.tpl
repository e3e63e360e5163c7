{{- /* larder.yaml, for registry and controller. */}}
{{- define "larder.configFile" -}}
{{- $config := dict }}
{{- with include "larder.registries" (list . true) | fromYamlArray }}{{ $_ := set $config "registries" . }}{{ end }}
{{- range $key := list "allowedOrigins" "updateInterval" "updateFilters" "checkTimeout" "expiryDelay" }}
{{- with get $.Values.config $key }}{{ $_ := set $config $key . }}{{ end }}
{{- end }}
{{- $_ := set $config "sweep" .Values.config.sweep }}
{{- $_ := set $config "scrub" .Values.config.scrub }}
{{- if .Values.config.store.maxSize }}{{ $_ := set $config "store" .Values.config.store }}{{ end }}
{{- if not (or .Values.config.store.maxSize .Values.registry.persistence.enabled (include "larder.objectStorage" .)) }}
{{- $_ := set $config "store" (mergeOverwrite (deepCopy .Values.config.store) (dict "maxSize" .Values.registry.persistence.spoolSize)) }}
{{- end }}
{{- with include "larder.objectStorage" . }}
{{- $_ := set $config "objectStorage" (dict "redirect" $.Values.registry.persistence.redirect "maxSpool" $.Values.registry.persistence.spoolSize) }}
{{- $driver := deepCopy (get $.Values.registry.persistence .) }}
{{- if and (eq . "gcs") $.Values.registry.persistence.existingSecret }}{{ $_ := set $driver "keyfile" "/var/run/larder/storage/key.json" }}{{ end }}
{{- $_ := set $config "storage" (dict . $driver) }}
{{- end }}
{{- with include "larder.eventsConfig" . | fromYaml }}{{ $_ := set $config "events" . }}{{ end }}
{{- $_ := set $config "webhook" (pick .Values.webhook "ignorePullPolicyAlways" "ignoredImages" "acceptedImages" "ignoredNamespaces" "noProxyNodeSelectors" "comparingOwners") }}
{{- toYaml $config }}
{{- end }}

{{- /* larder-proxy.yaml: nodes have no credentials. */}}
{{- define "larder.proxyConfigFile" -}}
{{- $config := dict "registries" (include "larder.registries" (list . false) | fromYamlArray) }}
{{- with .Values.config.allowedOrigins }}{{ $_ := set $config "allowedOrigins" . }}{{ end }}
{{- toYaml $config }}
{{- end }}

{{- /* registries: with the paths of the files that larder.registryVolume mounts: (list $ withCredentials). */}}
{{- define "larder.registries" -}}
{{- $root := index . 0 }}{{ $credentials := index . 1 }}{{ $all := list }}
{{- range $i, $entry := $root.Values.config.registries }}
{{- $registry := omit $entry "caFrom" "credentialsFrom" }}
{{- if $entry.caFrom }}{{ $_ := set $registry "caFile" (printf "/var/run/larder/registries/%d/ca.crt" $i) }}{{ end }}
{{- if and $credentials $entry.credentialsFrom }}{{ $_ := set $registry "credentialsFile" (printf "/var/run/larder/registries/%d/config.json" $i) }}{{ end }}
{{- $all = append $all $registry }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{- /* The sources of a projected volume with the files of config.registries: (list $ withCredentials); empty where there is none. */}}
{{- define "larder.registrySources" -}}
{{- $root := index . 0 }}{{ $credentials := index . 1 }}
{{- range $i, $entry := $root.Values.config.registries }}
{{- with $entry.caFrom }}
- {{ empty .secret | ternary "configMap" "secret" }}:
    name: {{ .secret | default .configMap }}
    items: [{key: {{ .key | default "ca.crt" }}, path: {{ $i }}/ca.crt}]
{{- end }}
{{- with $credentials | ternary $entry.credentialsFrom nil }}
- secret:
    name: {{ .secret }}
    items: [{key: {{ .key | default ".dockerconfigjson" }}, path: {{ $i }}/config.json}]
{{- end }}
{{- end }}
{{- end }}

{{- /* events: with the paths of the files that larder.eventSources mounts; empty where there is no sink. */}}
{{- define "larder.eventsConfig" -}}
{{- with .Values.events }}
{{- if or .sink .existingSecret }}
{{- if .existingSecret }}
sinkFile: /var/run/larder/events/sink
{{- else }}
sink: {{ .sink | quote }}
{{- end }}
{{- with .source }}
source: {{ . | quote }}
{{- end }}
{{- if .caFrom }}
caFile: /var/run/larder/events/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The sources of a projected volume with the files of events; empty where there is none. */}}
{{- define "larder.eventSources" -}}
{{- with .Values.events }}
{{- with .existingSecret }}
- secret:
    name: {{ . }}
    items: [{key: sink, path: sink}]
{{- end }}
{{- with .caFrom }}
- {{ empty .secret | ternary "configMap" "secret" }}:
    name: {{ .secret | default .configMap }}
    items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end }}
