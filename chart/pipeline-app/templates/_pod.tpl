{{/*
The Pod template, in one place: the Deployment holds it, and its hash is the name under which the release is known to Serin.
It must read nothing of canary.* and metadata.*, nor the number of the release, so that switching the canary on, another
weight, or a rebuild of the same image changes no byte of it.
*/}}
{{- define "pipeline-app.podTemplate" -}}
metadata:
  labels:
    {{- merge (include "pipeline-app.podLabels" . | fromYaml) .Values.podLabels | toYaml | nindent 4 }}
  {{- with include "pipeline-app.podAnnotations" . }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "pipeline-app.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "pipeline-app.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .Chart.Name }}
      {{- include "pipeline-app.container" . | nindent 6 }}
  {{- with include "pipeline-app.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
  {{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
  {{- with get $.Values $field }}
  {{- dict $field . | toYaml | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* The name of the release for Serin: the hash of the Pod template, and of nothing else. */}}
{{- define "pipeline-app.revision" -}}
{{- include "pipeline-app.podTemplate" . | sha256sum | trunc 16 -}}
{{- end -}}

{{- define "pipeline-app.podAnnotations" -}}
{{- $annotations := dict -}}
{{- with .Values.metrics -}}
{{- if .scrape -}}
{{- $port := .port | default $.Values.service.targetPort | int -}}
{{- $annotations = dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString $port) "prometheus.io/path" .path -}}
{{- end -}}
{{- end -}}
{{- with merge (deepCopy .Values.podAnnotations) $annotations -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Without root a process may listen below 1024 only where the Pod's network allows it. */}}
{{- define "pipeline-app.podSecurity" -}}
{{- $security := deepCopy .Values.podSecurityContext -}}
{{- if and (lt (int .Values.service.targetPort) 1024) (not (hasKey $security "sysctls")) -}}
{{- $_ := set $security "sysctls" (list (dict "name" "net.ipv4.ip_unprivileged_port_start" "value" "0")) -}}
{{- end -}}
{{- toYaml $security -}}
{{- end -}}

{{- define "pipeline-app.container" -}}
image: {{ include "pipeline-app.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
ports:
  - name: http
    containerPort: {{ .Values.service.targetPort }}
    protocol: TCP
  {{- if include "pipeline-app.hasMetricsPort" . }}
  - name: metrics
    containerPort: {{ .Values.metrics.port }}
    protocol: TCP
  {{- end }}
{{- with include "pipeline-app.env" . }}
env:
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
livenessProbe:
  {{- include "pipeline-app.probe" (dict "health" .Values.healthcheck "probe" .Values.healthcheck.liveness) | nindent 2 }}
readinessProbe:
  {{- include "pipeline-app.probe" (dict "health" .Values.healthcheck "probe" .Values.healthcheck.readiness) | nindent 2 }}
{{- if gt (int .Values.drainSeconds) 0 }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ .Values.drainSeconds }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- with include "pipeline-app.mounts" . | trim }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A probe: what it does not say itself it takes from the whole healthcheck, and the port at last from the container. */}}
{{- define "pipeline-app.probe" -}}
httpGet:
  path: {{ .probe.path | default .health.path }}
  port: {{ .probe.port | default .health.port | default "http" }}
initialDelaySeconds: {{ .probe.initialDelaySeconds }}
periodSeconds: {{ .probe.periodSeconds }}
timeoutSeconds: {{ .probe.timeoutSeconds }}
failureThreshold: {{ .probe.failureThreshold }}
{{- end -}}

{{- define "pipeline-app.env" -}}
{{- $env := .Values.env -}}
{{- with .Values.database -}}
{{- if .existingSecret -}}
{{- $env = append $env (include "pipeline-app.secretVariable" (merge (dict "name" "DATABASE_PASSWORD") .) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- range .Values.secretEnv -}}
{{- $env = append $env (include "pipeline-app.secretVariable" . | fromYaml) -}}
{{- end -}}
{{- with $env -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- define "pipeline-app.secretVariable" -}}
name: {{ .name }}
valueFrom:
  secretKeyRef:
    name: {{ .existingSecret }}
    key: {{ .existingSecretKey }}
{{- end -}}

{{/* The name of the volume of a directory: /var/cache/nginx is var-cache-nginx. */}}
{{- define "pipeline-app.volumeName" -}}
{{- . | trimAll "/" | lower | replace "/" "-" | replace "_" "-" | replace "." "-" | trunc 63 | trimAll "-" -}}
{{- end -}}

{{- define "pipeline-app.mounts" -}}
{{- range .Values.writableDirectories }}
- name: {{ include "pipeline-app.volumeName" . }}
  mountPath: {{ . }}
{{- end }}
{{- if .Values.config.files }}
- name: config
  mountPath: {{ .Values.config.mountPath }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "pipeline-app.volumes" -}}
{{- range .Values.writableDirectories }}
- name: {{ include "pipeline-app.volumeName" . }}
  emptyDir: {}
{{- end }}
{{- if .Values.config.files }}
- name: config
  configMap:
    name: {{ include "pipeline-app.configName" . }}
{{- end }}
{{- end -}}
