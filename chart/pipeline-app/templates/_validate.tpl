{{/*
What values.schema.json cannot say, or cannot say in words: each message names the field, what is wrong, and what would be right.
*/}}
{{- define "pipeline-app.validate" -}}
{{- include "pipeline-app.validateSections" . -}}
{{- include "pipeline-app.validateValues" . -}}
{{- if .Values.canary.enabled -}}
  {{- include "pipeline-app.validateCanary" . -}}
  {{- include "pipeline-app.refuseSecondRelease" . -}}
  {{- include "pipeline-app.refuseUnprotectedStart" . -}}
{{- end -}}
{{- end -}}

{{/*
`helm upgrade --reuse-values` takes the values of the release before and none of this chart's defaults. What is missing then would
be false or empty without a word, and a Service that is not enabled would be deleted.
*/}}
{{- define "pipeline-app.validateSections" -}}
{{- $missing := list -}}
{{- range $path := list "image" "service.enabled" "service.targetPort" "healthcheck.liveness" "healthcheck.readiness" "metadata" "canary.analysis" "canary.service" "canary.metricTemplates" "canary.waitHook" "config" "database" "serviceAccount" "podSecurityContext" "securityContext" "ingress" "httpRoute" "autoscaling" "podDisruptionBudget" "metrics.serviceMonitor" "test.image" "terminationGracePeriodSeconds" "drainSeconds" -}}
  {{- $value := $.Values -}}
  {{- range splitList "." $path -}}
    {{- $value = ternary (get (ternary $value dict (kindIs "map" $value)) .) nil (kindIs "map" $value) -}}
  {{- end -}}
  {{- if or (kindIs "invalid" $value) (and (kindIs "string" $value) (eq $value "")) -}}{{- $missing = append $missing $path -}}{{- end -}}
{{- end -}}
{{- with $missing -}}
  {{- fail (printf "the values lack %s: `--reuse-values` leaves out the defaults of a new chart, so use --reset-then-reuse-values; and a section that is not wanted keeps its default, it is not null" (join ", " .)) -}}
{{- end -}}
{{- end -}}

{{- define "pipeline-app.validateValues" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) -}}
  {{- fail (printf "the release's name is %q, and a Service cannot have it: write lower case letters, digits and '-', beginning with a letter, for instance my-app" .Release.Name) -}}
{{- end -}}
{{- if and .Values.canary.enabled (eq (toString .Values.strategy.type) "Recreate") (not (has "Recreate" .Values.canary.allow)) -}}
  {{- fail "strategy.type is Recreate, under which two versions never run side by side, and a canary does: take it out, or accept that with canary.allow=[Recreate]" -}}
{{- end -}}
{{- with .Values -}}
{{- if and .image.digest (not (regexMatch "^sha256:[0-9a-f]{64}$" .image.digest)) -}}
  {{- fail (printf "image.digest is %q: write sha256: and 64 hexadecimal digits, as `docker inspect` and the registry show them" .image.digest) -}}
{{- end -}}
{{- if hasKey .database "password" -}}
  {{- fail "database.password: a values file is no place for a secret; make a Secret, and name it in database.existingSecret and its key in database.existingSecretKey" -}}
{{- end -}}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) -}}
  {{- fail "httpRoute.parentRefs is empty: name the Gateway that the route hangs on, for instance [{name: gateway, namespace: default}]" -}}
{{- end -}}
{{- range $field := list "ingress" "httpRoute" -}}
  {{- if and (get $.Values $field).enabled (not $.Values.service.enabled) -}}
    {{- fail (printf "%s.enabled needs a Service to send requests to: set service.enabled to true" $field) -}}
  {{- end -}}
{{- end -}}
{{- if and .metrics.serviceMonitor.enabled (not .service.enabled) -}}
  {{- fail "metrics.serviceMonitor.enabled needs a Service to scrape: set service.enabled to true, or use metrics.scrape" -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
  {{- fail (printf "autoscaling.minReplicas is %d and maxReplicas %d: the least cannot be above the most" (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and .autoscaling.enabled (not .autoscaling.targetCPUUtilizationPercentage) (not .autoscaling.targetMemoryUtilizationPercentage) -}}
  {{- fail "autoscaling.enabled needs something to scale by: set autoscaling.targetCPUUtilizationPercentage, for instance 80" -}}
{{- end -}}
{{- if ge (int .drainSeconds) (int .terminationGracePeriodSeconds) -}}
  {{- fail (printf "drainSeconds is %d and terminationGracePeriodSeconds %d: the Pod would be killed while it drains; make the second one greater" (int .drainSeconds) (int .terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pipeline-app.validateCanary" -}}
{{- $canary := .Values.canary -}}
{{- $analysis := $canary.analysis -}}
{{- include "pipeline-app.validatePlan" $canary -}}
{{- include "pipeline-app.validateLater" $canary -}}
{{- range $field, $value := dict "canary.hold" $canary.hold "canary.approvalDeadline" $canary.approvalDeadline "canary.waitHook.timeout" $canary.waitHook.timeout "canary.analysis.interval" $analysis.interval "canary.analysis.bake" $analysis.bake "canary.analysis.maxWait" $analysis.maxWait -}}
  {{- include "pipeline-app.validateDuration" (list $field $value) -}}
{{- end -}}
{{- range $index, $step := $analysis.steps -}}
  {{- with $step.pause -}}{{- include "pipeline-app.validateDuration" (list (printf "canary.analysis.steps[%d].pause.duration" $index) .duration) -}}{{- end -}}
{{- end -}}
{{- range $index, $metric := $analysis.metrics -}}
  {{- include "pipeline-app.validateDuration" (list (printf "canary.analysis.metrics[%d].interval" $index) $metric.interval) -}}
{{- end -}}
{{- if and (eq $canary.provider "none") .Values.service.enabled -}}
  {{- fail "canary.provider is none, which is for workers that nobody calls: set service.enabled to false, or choose gatewayapi:v1 or kubernetes" -}}
{{- end -}}
{{- if and (ne $canary.provider "none") (not .Values.service.enabled) -}}
  {{- fail "service.enabled is false, so there is no traffic to share: set canary.provider to none, with which a weight is a share of the replicas" -}}
{{- end -}}
{{- if and $canary.routeRefs (or .Values.httpRoute.enabled $canary.service.gatewayRefs) -}}
  {{- fail "canary.routeRefs names routes of yours, and httpRoute.enabled (or canary.service.gatewayRefs) asks for one that Serin makes: keep one of the two" -}}
{{- end -}}
{{- if and (eq $canary.provider "gatewayapi:v1") (not (or $canary.routeRefs .Values.httpRoute.enabled $canary.service.gatewayRefs)) -}}
  {{- fail "canary.provider is gatewayapi:v1, but no route is named: set httpRoute.enabled with httpRoute.parentRefs, or name your own routes in canary.routeRefs" -}}
{{- end -}}
{{- if and (has $canary.provider (list "nginx" "skipper")) (not .Values.ingress.enabled) -}}
  {{- fail (printf "canary.provider is %s, which splits the traffic of the Ingress: set ingress.enabled, with ingress.hosts" $canary.provider) -}}
{{- end -}}
{{- if and (eq $canary.provider "apisix") (not $canary.routeRefs) -}}
  {{- fail "canary.provider is apisix, but no ApisixRoute is named: name yours in canary.routeRefs" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not (has $canary.provider (list "" "gatewayapi:v1" "kubernetes"))) -}}
  {{- fail (printf "httpRoute.enabled asks for a route of the Gateway API, and canary.provider is %s: take one of the two out" $canary.provider) -}}
{{- end -}}
{{- end -}}

{{/* The plan is said once, and its weights rise. */}}
{{- define "pipeline-app.validatePlan" -}}
{{- $analysis := .analysis -}}
{{- if hasKey $analysis "stepWeights" -}}
  {{- fail "canary.analysis.stepWeights: write the weights in canary.stepWeights" -}}
{{- end -}}
{{- $ways := list -}}
{{- if .stepWeights -}}{{- $ways = append $ways "canary.stepWeights" -}}{{- end -}}
{{- range list "stepWeight" "steps" "iterations" -}}
  {{- if get $analysis . -}}{{- $ways = append $ways (printf "canary.analysis.%s" .) -}}{{- end -}}
{{- end -}}
{{- if gt (len $ways) 1 -}}
  {{- fail (printf "%s say the plan in more than one way: keep one of them" (join " and " $ways)) -}}
{{- end -}}
{{- if and $analysis.maxWeight (not $analysis.stepWeight) -}}
  {{- fail "canary.analysis.maxWeight is the end of equal steps: set canary.analysis.stepWeight too, or write canary.stepWeights" -}}
{{- end -}}
{{- if and $analysis.steps (or .hold .manual) -}}
  {{- fail "canary.hold and canary.manual add pauses to a plan of weights, and canary.analysis.steps has its own: write {pause: {duration: 30m}} or {pause: {}} there" -}}
{{- end -}}
{{- if and (eq .provider "kubernetes") .stepWeights -}}
  {{- fail "canary.stepWeights: provider kubernetes switches all traffic at once; take the weights out, and say in canary.analysis.iterations how many rounds of checks come before" -}}
{{- end -}}
{{- $before := 0 -}}
{{- range .stepWeights -}}
  {{- if le (int .) $before -}}
    {{- fail (printf "canary.stepWeights: %d does not come after %d; weights rise from step to step, for instance [10, 50, 100]" (int .) $before) -}}
  {{- end -}}
  {{- $before = int . -}}
{{- end -}}
{{- end -}}

{{/* What the Canary's schema knows, and Serin refuses for now. */}}
{{- define "pipeline-app.validateLater" -}}
{{- if $.analysis.configTracking -}}
  {{- fail "canary.analysis.configTracking comes with a later version of Serin, which refuses a Canary that has it: take it out" -}}
{{- end -}}
{{- if and $.analysis.mirror (or $.hold $.manual) -}}
  {{- fail "canary.analysis.mirror does not go with canary.hold or canary.manual: write canary.analysis.steps, with {setMirror: 100} where copies begin and {setMirror: 0} where they end" -}}
{{- end -}}
{{- if and $.analysis.mirror (not (has $.provider (list "contour" "istio" "kuma"))) -}}
  {{- fail (printf "canary.analysis.mirror: provider %q cannot copy requests: choose contour, istio or kuma, or take it out" $.provider) -}}
{{- end -}}
{{- if and $.analysis.sessionAffinity (not (has $.provider (list "" "gatewayapi:v1" "gatewayapi:v1beta1" "istio"))) -}}
  {{- fail (printf "canary.analysis.sessionAffinity: provider %q cannot keep users by a cookie: choose gatewayapi:v1 or istio, or take it out" $.provider) -}}
{{- end -}}
{{- if and $.analysis.mirrorWeight (not $.analysis.mirror) -}}
  {{- fail "canary.analysis.mirrorWeight needs canary.analysis.mirror: true" -}}
{{- end -}}
{{- $known := list "" "apisix" "contour" "gatewayapi:v1" "gloo" "istio" "kubernetes" "kuma" "linkerd" "nginx" "none" "skipper" "smi:v1alpha1" "smi:v1alpha2" "smi:v1alpha3" "traefik" -}}
{{- if not (has $.provider $known) -}}
  {{- fail (printf "canary.provider is %q, which Serin does not have (yet): choose apisix, contour, gatewayapi:v1, gloo, istio, kubernetes, kuma, linkerd, nginx, none, skipper, smi:v1alpha1, smi:v1alpha2, smi:v1alpha3 or traefik" $.provider) -}}
{{- end -}}
{{- end -}}

{{- define "pipeline-app.validateDuration" -}}
{{- $field := index . 0 -}}
{{- $value := index . 1 -}}
{{- if and $value (not (regexMatch "^([0-9]{1,9}(\\.[0-9]{1,9})?(ms|s|m|h)){1,4}$" (include "pipeline-app.text" $value))) -}}
  {{- fail (printf "%s is %q, which is not a duration: write a number with its unit, for instance 90s, 30m or 1h30m" $field (include "pipeline-app.text" $value)) -}}
{{- end -}}
{{- end -}}

{{/* Deployment NAME of this namespace, if it is one of this chart's; empty offline. */}}
{{- define "pipeline-app.liveDeployment" -}}
{{- $live := lookup "apps/v1" "Deployment" .context.Release.Namespace .name -}}
{{- $labels := dig "metadata" "labels" dict $live -}}
{{- if hasPrefix (printf "%s-" .context.Chart.Name) (get $labels "chart") -}}
{{- $containers := dig "spec" "template" "spec" "containers" (list dict) $live -}}
{{- $known := dig "metadata" "annotations" "serin.dev/revision" (get $labels "serin.dev/bypass") $live -}}
{{- dict "image" (get (first $containers) "image") "revision" $known "gated" (hasKey $labels "serin.dev/gate") | toJson -}}
{{- end -}}
{{- end -}}

{{/*
Two releases side by side, myapp and myapp-canary, was how a canary was made by hand. Serin makes the second one itself, under
this very name, so the wish is answered with what replaces it.
*/}}
{{- define "pipeline-app.refuseSecondRelease" -}}
{{- $main := .Release.Name | trimSuffix "-canary" -}}
{{- if ne $main .Release.Name -}}
  {{- with include "pipeline-app.liveDeployment" (dict "context" $ "name" $main) -}}
    {{- $live := fromJson . -}}
    {{- $command := include "pipeline-app.upgradeCommand" (dict "context" $ "name" $main "gated" $live.gated) -}}
    {{- fail (printf "release %s already runs in namespace %s, and a second release %s beside it is not needed: Serin makes the canary of %s itself, moves the traffic, and promotes it or takes it out. Run this instead:\n\n%s\n" $main $.Release.Namespace $.Release.Name $main $command) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The one command; where the gate does not stand yet it switches the canary on first, or the new version would pass it. */}}
{{- define "pipeline-app.upgradeCommand" -}}
{{- $context := .context -}}
{{- $canary := $context.Values.canary -}}
{{- $image := $context.Values.image -}}
{{- $plan := include "pipeline-app.plan" $context | fromJson -}}
{{- $start := printf "helm upgrade %s ./%s --namespace %s --reset-then-reuse-values" .name $context.Chart.Name $context.Release.Namespace -}}
{{- $on := printf "--set canary.enabled=true,canary.weight=%d" (int $canary.weight) -}}
{{- with $canary.provider -}}{{- $on = printf "%s,canary.provider=%s" $on . -}}{{- end -}}
{{- $version := ternary (printf "image.digest=%s" $image.digest) (printf "image.tag=%s" (include "pipeline-app.tag" $context)) (not (empty $image.digest)) -}}
{{- $new := printf "--set image.repository=%s,%s" $image.repository $version -}}
{{- $wait := printf "%s --timeout %s" (include "pipeline-app.atomic" $context) (include "pipeline-app.timeout" $plan.seconds) -}}
{{- if .gated -}}
  {{- printf "  %s %s %s %s" $start $on $new $wait -}}
{{- else -}}
  {{- $armed := printf "kubectl wait --namespace %s --for=condition=Gated canary/%s --timeout 2m" $context.Release.Namespace .name -}}
  {{- printf "  %s %s --wait && \\\n  %s && \\\n  %s %s %s" $start $on $armed $start $new $wait -}}
{{- end -}}
{{- end -}}

{{/* The flags with which an upgrade waits and goes back by itself. */}}
{{- define "pipeline-app.atomic" -}}
{{- if semverCompare ">=4.0.0-0" .Capabilities.HelmVersion.Version -}}--wait --rollback-on-failure{{- else -}}--atomic{{- end -}}
{{- end -}}

{{/*
Serin arms a Deployment that runs. A template that changes in the same upgrade as the canary is switched on would be rolled out
before that, untried, though the values say the opposite. Where it cannot be known (rendered offline, another chart before),
nothing is refused but another image.
*/}}
{{- define "pipeline-app.refuseUnprotectedStart" -}}
{{- if .Release.IsUpgrade -}}
{{- with include "pipeline-app.liveDeployment" (dict "context" $ "name" (include "pipeline-app.name" .)) -}}
  {{- $live := fromJson . -}}
  {{- $image := include "pipeline-app.image" $ -}}
  {{- $same := ternary (eq (toString $live.revision) (include "pipeline-app.revision" $)) (eq $live.image $image) (not (empty $live.revision)) -}}
  {{- if not (or $live.gated $same) -}}
    {{- fail (printf "canary.enabled is new for release %s, and the same upgrade changes its Pods (image %s): they would be rolled out without a canary, for Serin protects what already runs. Switch the canary on by itself first, with the values that run now, and ship the change with the next upgrade; or ship it directly with canary.enabled=false" $.Release.Name $image) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
