{{/*
The plan of a release as Serin will run it, worked out once for the Canary, NOTES and the hook. JSON with
  analysis  the Canary's spec.analysis
  text      the plan in words
  seconds   the least time that it takes: checks and timed pauses; people and the start of Pods not counted
  person    whether somebody has to go on
*/}}
{{- define "pipeline-app.plan" -}}
{{- $canary := .Values.canary -}}
{{- $analysis := deepCopy $canary.analysis -}}
{{- $checks := int ($analysis.checks | default 3) -}}
{{- $switched := or (eq $canary.provider "kubernetes") (not (kindIs "invalid" $analysis.iterations)) -}}
{{- $steps := list -}}
{{- if $analysis.steps -}}
  {{- $steps = $analysis.steps -}}
{{- else if $switched -}}
  {{- $checks = int ($analysis.iterations | default $checks) -}}
  {{- $steps = concat (list (dict "checks" $checks)) (include "pipeline-app.pauses" (dict "canary" $canary "first" true "last" false) | fromJsonArray) -}}
{{- else -}}
  {{- $weights := include "pipeline-app.weights" . | fromJsonArray -}}
  {{- if and $canary.manual (eq (len $weights) 1) -}}
    {{- $steps = list (dict "pause" dict) -}}
  {{- end -}}
  {{- if $analysis.mirror -}}
    {{- $steps = list (dict "setMirror" (int ($analysis.mirrorWeight | default 100))) (dict "checks" $checks) -}}
  {{- end -}}
  {{- range $index, $weight := $weights -}}
    {{- $last := eq (add1 $index) (len $weights | int64) -}}
    {{- $pauses := include "pipeline-app.pauses" (dict "canary" $canary "first" (eq $index 0) "last" $last) | fromJsonArray -}}
    {{- $steps = concat $steps (list (dict "setWeight" (int $weight)) (dict "checks" $checks)) $pauses -}}
  {{- end -}}
  {{- if not (or $canary.hold $canary.manual $analysis.stepWeight) -}}
    {{- $_ := set $analysis "stepWeights" $weights -}}
  {{- end -}}
{{- end -}}
{{- if not $analysis.steps -}}
  {{- if or $canary.hold $canary.manual -}}
    {{- $_ := set $analysis "steps" $steps -}}
    {{- range list "iterations" "stepWeight" "maxWeight" -}}{{- $_ := unset $analysis . -}}{{- end -}}
  {{- else if $switched -}}
    {{- $_ := set $analysis "iterations" $checks -}}
  {{- end -}}
{{- end -}}
{{- include "pipeline-app.walk" (dict "steps" $steps "analysis" $analysis "switched" $switched "skip" $canary.skipAnalysis) -}}
{{- end -}}

{{/* The weights, as a JSON list: canary.stepWeights, analysis.stepWeight, or canary.weight and those of 50 and 100 above it. */}}
{{- define "pipeline-app.weights" -}}
{{- $canary := .Values.canary -}}
{{- $weights := list -}}
{{- if $canary.stepWeights -}}
  {{- range $canary.stepWeights -}}{{- $weights = append $weights (int .) -}}{{- end -}}
{{- else if $canary.analysis.stepWeight -}}
  {{- $by := int $canary.analysis.stepWeight -}}
  {{- range $count := untilStep 1 (add1 (div (int ($canary.analysis.maxWeight | default 100)) $by) | int) 1 -}}
    {{- $weights = append $weights (mul $count $by | int) -}}
  {{- end -}}
{{- else -}}
  {{- $weights = list (int $canary.weight) -}}
  {{- range list 50 100 -}}
    {{- if gt . (int $canary.weight) -}}{{- $weights = append $weights . -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- toJson $weights -}}
{{- end -}}

{{/* What comes between the checks of a weight and the next one: canary.hold at the first, canary.manual before each rise. */}}
{{- define "pipeline-app.pauses" -}}
{{- $pauses := list -}}
{{- if and .first .canary.hold -}}{{- $pauses = append $pauses (dict "pause" (dict "duration" .canary.hold)) -}}{{- end -}}
{{- if and .canary.manual (not .last) -}}{{- $pauses = append $pauses (dict "pause" dict) -}}{{- end -}}
{{- toJson $pauses -}}
{{- end -}}

{{/* Goes through the steps and says what they are in words and in seconds. */}}
{{- define "pipeline-app.walk" -}}
{{- $interval := include "pipeline-app.seconds" (.analysis.interval | default "1m") | float64 -}}
{{- $seconds := 0.0 -}}
{{- $person := false -}}
{{- $words := list -}}
{{- $weight := 0 -}}
{{- $users := ternary "of matching requests" "without users" (not (empty .analysis.match)) -}}
{{- range .steps -}}
  {{- if hasKey . "setWeight" -}}
    {{- $weight = int .setWeight -}}
    {{- $words = append $words (printf "%d %%" $weight) -}}
  {{- else if hasKey . "setMirror" -}}
    {{- $words = append $words (printf "copies of %d %%" (int .setMirror)) -}}
  {{- else if hasKey . "setHeaderRoute" -}}
    {{- $words = append $words (printf (ternary "requests of %s" "end of %s" (not (empty .setHeaderRoute.match))) .setHeaderRoute.name) -}}
  {{- else if hasKey . "checks" -}}
    {{- $seconds = addf $seconds (mulf $interval (float64 .checks)) -}}
    {{- if not $words -}}{{- $words = append $words (printf "%d checks %s" (int .checks) $users) -}}{{- end -}}
  {{- else if hasKey . "pause" -}}
    {{- $duration := get (.pause | default dict) "duration" -}}
    {{- if $duration -}}
      {{- $seconds = addf $seconds (include "pipeline-app.seconds" $duration | float64) -}}
      {{- $words = append $words (printf "hold %s" $duration) -}}
    {{- else -}}
      {{- $person = true -}}
      {{- $words = append $words "approval" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- with .analysis.bake -}}
  {{- $seconds = addf $seconds (include "pipeline-app.seconds" . | float64) -}}
  {{- $words = append $words (printf "bake %s" .) -}}
{{- end -}}
{{- with .analysis.stepWeightPromotion -}}
  {{- $back := sub (div (add $weight (int .) -1) (int .)) 1 | max 0 -}}
  {{- $seconds = addf $seconds (mulf $interval (float64 $back)) -}}
  {{- $words = append $words (printf "back by %d %%" (int .)) -}}
{{- end -}}
{{- if and .switched (not (has "100 %" $words)) -}}{{- $words = append $words "all traffic at once" -}}{{- end -}}
{{- if .skip -}}
  {{- $seconds = 0.0 -}}
  {{- $person = false -}}
  {{- $words = list "promoted without checks as soon as the canary is ready" -}}
{{- end -}}
{{- dict "analysis" .analysis "text" (join " → " $words) "seconds" (ceil $seconds | int64) "person" $person | toJson -}}
{{- end -}}

{{/* The seconds of a duration such as 1h30m, 90s or 500ms. */}}
{{- define "pipeline-app.seconds" -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" (toString .) -1 -}}
  {{- $unit := regexFind "[a-z]+$" . -}}
  {{- $each := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit -}}
  {{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) $each) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* Seconds as people write them: 5400 is 1h30m. */}}
{{- define "pipeline-app.duration" -}}
{{- $seconds := int64 . -}}
{{- $hours := div $seconds 3600 -}}
{{- $minutes := div (mod $seconds 3600) 60 -}}
{{- $rest := mod $seconds 60 -}}
{{- if $hours }}{{ $hours }}h{{ end -}}
{{- if $minutes }}{{ $minutes }}m{{ end -}}
{{- if or $rest (not (or $hours $minutes)) }}{{ $rest }}s{{ end -}}
{{- end -}}

{{/* What `helm --timeout` has to be for a plan of so many seconds, as `serin simulate` says it: a minute for traffic to follow and
Pods to be replaced; of all that a quarter more, at least two minutes, for slower days; in numbers that people write. */}}
{{- define "pipeline-app.timeout" -}}
{{- $seconds := add (int64 .) 60 -}}
{{- $minutes := div (add $seconds (max (div $seconds 4) 120) 59) 60 -}}
{{- $step := ternary 1 (ternary 5 15 (le $minutes 60)) (le $minutes 10) -}}
{{- include "pipeline-app.duration" (mul (div (add $minutes (sub $step 1)) $step) $step 60) -}}
{{- end -}}
