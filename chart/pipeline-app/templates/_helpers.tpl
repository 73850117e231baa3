{{/*
Names and labels. Everything carries the release's name, and Pods are selected by `app` alone, as in the guide's chart: a
selector cannot be changed, so an upgrade from there would fail with any other.
*/}}
{{- define "pipeline-app.name" -}}
{{- .Release.Name -}}
{{- end -}}

{{- define "pipeline-app.selectorLabels" -}}
app: {{ include "pipeline-app.name" . }}
{{- end -}}

{{/* Labels of Pods. Nothing that changes without a release may stand here: it would restart every Pod. */}}
{{- define "pipeline-app.podLabels" -}}
{{ include "pipeline-app.selectorLabels" . }}
release: {{ .Release.Name }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of all other objects. */}}
{{- define "pipeline-app.labels" -}}
{{ include "pipeline-app.podLabels" . }}
{{ include "pipeline-app.versionLabels" . }}
{{- end -}}

{{/* The part of the labels that says which version this is. */}}
{{- define "pipeline-app.versionLabels" -}}
{{- $chart := printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") | trunc 63 | trimSuffix "-" -}}
chart: {{ $chart }}
helm.sh/chart: {{ $chart }}
app.kubernetes.io/version: {{ include "pipeline-app.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Labels of Pods that belong to the release and serve nobody, so that the Service must not select them. Call it with
(dict "context" $ "role" "test"). */}}
{{- define "pipeline-app.helperLabels" -}}
app: {{ printf "%s-%s" (include "pipeline-app.name" .context) .role }}
app.kubernetes.io/name: {{ printf "%s-%s" .context.Chart.Name .role }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{ include "pipeline-app.versionLabels" .context }}
{{- end -}}

{{/* The application's version, as far as a label can hold it. */}}
{{- define "pipeline-app.version" -}}
{{- include "pipeline-app.tag" . | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{- define "pipeline-app.tag" -}}
{{- include "pipeline-app.text" .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{/* What is text though it may look like a number: `--set image.tag=42` is one, and a large one from a file would be 4.2e+07. */}}
{{- define "pipeline-app.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else if not (kindIs "invalid" .) }}{{ . }}{{ end -}}
{{- end -}}

{{/* The image: by digest if there is one, else by tag. */}}
{{- define "pipeline-app.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ include "pipeline-app.tag" . }}
{{- end -}}
{{- end -}}

{{- define "pipeline-app.serviceAccountName" -}}
{{- $made := ternary (include "pipeline-app.name" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $made -}}
{{- end -}}

{{/* The ConfigMap of config.files: a new name for each content, so that Pods of stable keep theirs while a canary runs. */}}
{{- define "pipeline-app.configName" -}}
{{- printf "%s-config-%s" (include "pipeline-app.name" .) (.Values.config.files | toJson | sha256sum | trunc 10) -}}
{{- end -}}

{{/* Where metrics are served: `metrics` if they have a port of their own, else `http`. */}}
{{- define "pipeline-app.metricsPortName" -}}
{{- $port := .Values.metrics.port -}}
{{- if and $port (ne (int $port) (int .Values.service.targetPort)) -}}metrics{{- else -}}http{{- end -}}
{{- end -}}

{{/* Whether anything reads metrics.port. */}}
{{- define "pipeline-app.hasMetricsPort" -}}
{{- $read := or .Values.metrics.scrape .Values.metrics.serviceMonitor.enabled -}}
{{- if and $read (eq (include "pipeline-app.metricsPortName" .) "metrics") -}}true{{- end -}}
{{- end -}}

{{/* What keeps a container of this chart from anything that it does not need. */}}
{{- define "pipeline-app.helperSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  requests:
    cpu: 10m
    memory: 16Mi
  limits:
    memory: 64Mi
{{- end -}}

{{/* The same for a Pod. */}}
{{- define "pipeline-app.helperPodSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* History: what built the release, and the revision that the Canary names too. */}}
{{- define "pipeline-app.deploymentAnnotations" -}}
{{- $annotations := dict -}}
{{- $cause := list (printf "image %s" (include "pipeline-app.image" .)) -}}
{{- with include "pipeline-app.text" .Values.metadata.gitCommit -}}
  {{- $_ := set $annotations "pipeline-app/git-commit" . -}}
  {{- $cause = append $cause (printf "commit %s" .) -}}
{{- end -}}
{{- with include "pipeline-app.text" .Values.metadata.buildNumber -}}
  {{- $_ := set $annotations "pipeline-app/build-number" . -}}
  {{- $cause = append $cause (printf "build %s" .) -}}
{{- end -}}
{{- if $annotations -}}{{- $_ := set $annotations "kubernetes.io/change-cause" (join ", " $cause) -}}{{- end -}}
{{- if .Values.canary.enabled -}}{{- $_ := set $annotations "serin.dev/revision" (include "pipeline-app.revision" .) -}}{{- end -}}
{{- with $annotations -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{/* The Service's target: the port by name, so that Pods of two releases may listen on different numbers. Only where Pods still
run that have no such name, as those of the guide's chart, it is the number once more: they would drop out of the Service. */}}
{{- define "pipeline-app.targetPort" -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "pipeline-app.name" .) -}}
{{- $named := not $live -}}
{{- range dig "spec" "template" "spec" "containers" list $live -}}
  {{- range .ports -}}{{- if eq (get . "name") "http" -}}{{- $named = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- ternary "http" .Values.service.targetPort $named -}}
{{- end -}}
