{{- define "hashmargin.name" -}}
{{- $chart := default .Chart.Name .Values.nameOverride }}
{{- $name := contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) }}
{{- default $name .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "hashmargin.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hashmargin.labels" -}}
{{ include "hashmargin.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: exporter
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "hashmargin.metadata" -}}
name: {{ include "hashmargin.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "hashmargin.labels" . | nindent 2 }}
{{- end }}

{{- /* What a monitor needs to scrape a shard; the argument holds the chart's scope and the monitor's values. */}}
{{- define "hashmargin.endpoint" -}}
port: http
interval: {{ .monitor.interval }}
scheme: {{ .root.Values.probes.scheme | lower }}
{{- with .monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
relabelings:
  - targetLabel: site
    replacement: {{ .root.Values.config.site | quote }}
{{- end }}

{{/* The path of the readiness probe. With a web configuration, /-/ready may need a login unless the site's configuration opens it. */}}
{{- define "hashmargin.readyPath" -}}
{{- $web := .Values.config.web | default dict -}}
{{- if and $web.config_file (not $web.open_health_checks) -}}/-/healthy{{- else -}}/-/ready{{- end -}}
{{- end -}}
