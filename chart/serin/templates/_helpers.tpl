{{/* Name of everything that belongs to the release: `serin` for a release of that name, else `<release>-serin`. */}}
{{- define "serin.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "serin" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-serin" (.Release.Name | trunc 57 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/*
What Deployment, Service and budget select by. The release's name is not part of it: a cluster has one Serin, and the
objects of ../../deploy, which have no release, can be taken over as they are.
*/}}
{{- define "serin.selector" -}}
app.kubernetes.io/name: serin
{{- end -}}

{{/* Labels of every object. */}}
{{- define "serin.labels" -}}
{{ include "serin.selector" . }}
{{ include "serin.release" . }}
{{- end -}}

{{/* The labels that tell which release an object comes from. */}}
{{- define "serin.release" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name of the controller's account, which the admission policies name too. */}}
{{- define "serin.account" -}}
{{- .Values.serviceAccount.name | default (include "serin.name" .) -}}
{{- end -}}

{{/* The image, by digest if there is one. */}}
{{- define "serin.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* Namespace of the lease by which one replica leads. */}}
{{- define "serin.leaseNamespace" -}}
{{- .Values.controller.leaseNamespace | default .Release.Namespace -}}
{{- end -}}

{{/* The port in the address of probes, metrics and API. */}}
{{- define "serin.port" -}}
{{- .Values.controller.listen | default "0.0.0.0:8080" | regexFind "[0-9]+$" -}}
{{- end -}}

{{/*
What the gate is: `kind`, policies or webhook, `version` of the policies in their API, and `why`. A server is asked for what it serves;
`helm template` knows of that only the version of Kubernetes and what --api-versions names.
*/}}
{{- define "serin.gate" -}}
{{- $mode := .Values.gate.mode | default "auto" -}}
{{- $kubernetes := .Capabilities.KubeVersion.Version -}}
{{- $stable := semverCompare ">=1.36.0-0" $kubernetes -}}
{{- $has := dict -}}
{{- range list "v1" "v1beta1" -}}
{{- $_ := set $has . ($.Capabilities.APIVersions.Has (printf "admissionregistration.k8s.io/%s/MutatingAdmissionPolicy" .)) -}}
{{- end -}}
{{- $version := ternary "v1" "v1beta1" (or $has.v1 $stable) -}}
{{- $served := or $has.v1 $has.v1beta1 $stable -}}
{{- $kind := ternary (ternary "policies" "webhook" $served) $mode (eq $mode "auto") -}}
{{- if and (eq $mode "policies") (not $served) (semverCompare "<1.34.0-0" $kubernetes) -}}
{{- fail (printf "gate.mode is policies, and Kubernetes %s has no MutatingAdmissionPolicy: it comes with 1.36, or with 1.34 and 1.35 where v1beta1 is switched on. Set it to auto or webhook" $kubernetes) -}}
{{- end -}}
kind: {{ $kind }}
version: {{ $version }}
{{- if ne $mode "auto" }}
why: gate.mode says so
{{- else if $served }}
why: {{ printf "Kubernetes %s has MutatingAdmissionPolicy %s" $kubernetes $version }}
{{- else }}
why: {{ printf "Kubernetes %s has no MutatingAdmissionPolicy" $kubernetes }}
{{- end }}
{{- end -}}

{{- define "serin.gateKind" -}}
{{- (include "serin.gate" . | fromYaml).kind -}}
{{- end -}}

{{/* Name of the webhook's Service, of the Secret of its certificate, and of the right on that. */}}
{{- define "serin.webhook" -}}
{{- printf "%s-webhook" (include "serin.name" . | trunc 55 | trimSuffix "-") -}}
{{- end -}}

{{/* What a container needs for the restricted profile of Pod Security. */}}
{{- define "serin.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The same for a Pod. */}}
{{- define "serin.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/*
The objects of a text of several YAML documents, as a list under `objects`. Read with
`(include "serin.objects" $text | fromYaml).objects`.
*/}}
{{- define "serin.objects" -}}
{{- $objects := list -}}
{{- range regexSplit "(?m)^---[ \t]*$" . -1 -}}
{{- $object := fromYaml . -}}
{{- with $object.Error -}}{{- fail (printf "a file of this chart cannot be read: %s" .) -}}{{- end -}}
{{- if $object.kind -}}{{- $objects = append $objects $object -}}{{- end -}}
{{- end -}}
{{- dict "objects" $objects | toYaml -}}
{{- end -}}

{{/* `object` as a document of its own, with the labels of the release of `root`. */}}
{{- define "serin.document" -}}
{{- $labels := include "serin.labels" .root | fromYaml -}}
{{- $metadata := .object.metadata -}}
{{- $_ := set $metadata "labels" (merge (dict) ($metadata.labels | default dict) $labels) }}
---
{{ toYaml .object }}
{{ end -}}

{{/* Ends with the reason if values contradict each other in a way that the schema cannot say. */}}
{{- define "serin.consistent" -}}
{{- with .Values.controller -}}
{{- if and (gt (int $.Values.replicas) 1) (eq (toString .leaderElect) "false") -}}
{{- fail "replicas is above 1 and controller.leaderElect is false: without election every replica would act. Set replicas to 1, or leave the election on" -}}
{{- end -}}
{{- if and (gt (int $.Values.replicas) 1) .identity -}}
{{- fail "replicas is above 1 and controller.identity is set: all replicas would have one name and take each other's lease for their own. Leave it empty, and each has the name of its Pod" -}}
{{- end -}}
{{- end -}}
{{- if and (eq (include "serin.gateKind" .) "webhook") (eq (include "serin.port" .) "9443") -}}
{{- fail "controller.listen has the port 9443, which is that of the webhook: choose another" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the account that is there" -}}
{{- end -}}
{{- end -}}
