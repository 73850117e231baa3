{{/* What of the Canary's spec is worked out from several values. */}}

{{/* Who routes: said, or the Gateway API if a route is named, or nothing, which is the controller's default. */}}
{{- define "pipeline-app.provider" -}}
{{- $canary := .Values.canary -}}
{{- $routed := or .Values.httpRoute.enabled $canary.routeRefs $canary.service.gatewayRefs -}}
{{- $canary.provider | default (ternary "gatewayapi:v1" "" (not (empty $routed))) -}}
{{- end -}}

{{/* The Service and the route that Serin makes for it, from the same values as the chart's own route. Serin has it alone: two
writers of the weights would undo each other, and Helm 4 refuses to write what is another's. */}}
{{- define "pipeline-app.canaryService" -}}
{{- $route := .Values.httpRoute -}}
{{- $service := dict "port" (int .Values.service.port) "portName" "http" "targetPort" "http" -}}
{{- if and $route.enabled (ne .Values.canary.provider "kubernetes") -}}
  {{- $_ := set $service "gatewayRefs" $route.parentRefs -}}
  {{- with $route.hostnames -}}{{- $_ := set $service "hosts" . -}}{{- end -}}
  {{- with $route.timeout -}}{{- $_ := set $service "timeout" . -}}{{- end -}}
{{- end -}}
{{- merge (deepCopy .Values.canary.service) $service | toYaml -}}
{{- end -}}
