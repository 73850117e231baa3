# shellcheck shell=bash
# What the sections of gate.sh share: checks, the API server's door, the Deployment under test, waiting.
# Most calls go through `kubectl proxy`, which costs a tenth of a kubectl process; kubectl itself is called where what it
# does is the subject. jq takes longer than the API server does, so it is called only where a reply has to be taken apart.

NS=${NS:-gate-conformance}
SERIN=system:serviceaccount:serin-system:serin
DEPLOYMENTS=/apis/apps/v1/namespaces/$NS/deployments
PODS="/api/v1/namespaces/$NS/pods?labelSelector=app%3Dweb"
REPLICA_SETS="/apis/apps/v1/namespaces/$NS/replicasets?labelSelector=app%3Dweb"
SERVICES=/api/v1/namespaces/$NS/services
ADMISSION=/apis/admissionregistration.k8s.io/v1
RBAC=/apis/rbac.authorization.k8s.io/v1
CANARIES=/apis/serin.dev/v1beta1/namespaces/$NS/canaries
STRATEGIC=application/strategic-merge-patch+json
MERGE=application/merge-patch+json
JSON_PATCH=application/json-patch+json

passed=0
failed=0

# check NAME PATTERN GOT: one line of output; the pattern is the shell's.
check() {
  # shellcheck disable=SC2053
  if [[ $3 == $2 ]]; then
    passed=$((passed + 1))
    echo "ok $((passed + failed)) $1"
  else
    failed=$((failed + 1))
    echo "not ok $((passed + failed)) $1: got <$3>, want <$2>"
  fi
}

k() { $KUBECTL -n $NS "$@"; }

# background LOG COMMAND...: as a process group of its own, since the command may be a wrapper; `end $!` ends all of it.
background() {
  local log=$1
  shift
  set -m
  "$@" >"$log" 2>&1 &
  set +m
}
end() { kill -- "-$1" 2>/dev/null; }

# open_door: starts the proxy on a socket in $work.
open_door() {
  # shellcheck disable=SC2086
  background "$work/proxy.log" $KUBECTL proxy --unix-socket="$work/door"
  proxy=$!
  until [ -S "$work/door" ]; do
    kill -0 $proxy 2>/dev/null || { cat "$work/proxy.log" >&2; exit 2; }
    sleep 0.1
  done
}

# request METHOD PATH [BODY [TYPE]]: the reply's body. With AS=USER it is that user who asks.
request() {
  curl -sS --max-time 30 --unix-socket "$work/door" -X "$1" ${AS:+-H "Impersonate-User: $AS"} \
    -H "Content-Type: ${4:-application/json}" ${3:+--data-binary "$3"} "http://localhost$2"
}

# look PATH...: the replies of all of them, over one connection.
look() { curl -sS --max-time 30 --unix-socket "$work/door" "${@/#/http://localhost}"; }

# outcome: of a reply on standard input: `accepted`, or why not.
outcome() {
  local reply
  reply=$(</dev/stdin)
  case $reply in
  *'"Failure"'*) jq -r 'if .kind == "Status" and .status == "Failure" then .message else "accepted" end' <<<"$reply" ;;
  '{'*) echo accepted ;;
  esac
}

# patch BODY [TYPE [SUBRESOURCE or ?QUERY]]: of the Deployment web.
patch() { request PATCH "$DEPLOYMENTS/web${3:-}" "$1" "${2:-$STRATEGIC}" | outcome; }
labels() { patch "{\"metadata\":{\"labels\":$1}}"; }
annotations() { patch "{\"metadata\":{\"annotations\":$1}}"; }
spec() { patch "{\"spec\":$1}"; }
scale() { patch "{\"spec\":{\"replicas\":$1}}" "$MERGE" /scale; }

# image VERSION [LABELS]: another template, and labels in the same write.
image() {
  local labels=${2:-'{}'}
  patch "{\"metadata\":{\"labels\":$labels},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"$IMAGE:$1\"}]}}}}"
}

# What Serin does.
arm() { AS=$SERIN labels "{\"serin.dev/gate\":\"$GATE\"}" >/dev/null; }
release() {   # [RESOURCE VERSION]; without it, the newest, and once more if somebody wrote in between
  local result
  for _ in 1 2 3 4 5; do
    result=$(AS=$SERIN patch "{\"metadata\":{\"resourceVersion\":\"${1:-$(version)}\",\"labels\":{\"serin.dev/held\":null}},\"spec\":{\"paused\":false}}" "$MERGE")
    [[ -z ${1:-} && $result == *"the object has been modified"* ]] || break
  done
  echo "$result"
}
revert() {   # VERSION
  AS=$SERIN image "$1" '{"serin.dev/reverting":"true"}'
}
verdict() {   # STATUS REASON MESSAGE
  AS=$SERIN patch "{\"status\":{\"conditions\":[{\"type\":\"Progressing\",\"status\":\"$1\",\"reason\":\"$2\",\"message\":\"$3\"}]}}" "$STRATEGIC" /status
}

# state: the version in the template of web, and its marks: `2.0 paused held gated`.
state() {
  request GET "$DEPLOYMENTS/web" | jq -r --arg image "$IMAGE:" --arg gate "$GATE" '
    (.metadata.labels // {}) as $labels
    | [ (.spec.template.spec.containers[0].image | ltrimstr($image)),
        (if .spec.paused then "paused" else empty end),
        (["held", "reverting", "contested"][] | select($labels["serin.dev/" + .] == "true")),
        ($labels["serin.dev/gate"] // empty | if . == $gate then "gated" else "gate=" + . end) ]
    | join(" ")'
}
version() { request GET "$DEPLOYMENTS/web" | jq -r .metadata.resourceVersion; }
generation() { request GET "$DEPLOYMENTS/web" | jq -r .metadata.generation; }
progress() { request GET "$DEPLOYMENTS/web" | jq -r '.status.conditions[] | select(.type == "Progressing") | "\(.status) \(.reason)"'; }
exists() { [ "$(request GET "$DEPLOYMENTS/web" | jq -r .kind)" = Deployment ]; }

living_pods() { request GET "$PODS" | jq -r "[.items[] | select(.metadata.deletionTimestamp == null) | $1] $2"; }
VERSIONS='.spec.containers[0].image | split(":")[-1]'
COUNTED='| group_by(.) | map("\(length)x\(.[0])") | join(" ")'
# pods: how many of which version: `2x1.0 1x2.0`.
pods() { living_pods "$VERSIONS" "$COUNTED"; }
pod_ids() { living_pods '.metadata.uid' '| sort | join(" ")'; }
a_pod() { living_pods '.metadata.name' '| first'; }

replica_sets() { request GET "$REPLICA_SETS"; }
replica_set() { replica_sets | jq -r ".items[] | select(.spec.template.spec.containers[0].image == \"$IMAGE:$1\") | .metadata.name"; }
delete_replica_set() { request DELETE "/apis/apps/v1/namespaces/$NS/replicasets/$1" | outcome; }

# wait_for PATTERN COMMAND...: until the command prints it, 60 s at most.
wait_for() {
  local pattern=$1 got
  shift
  for _ in {1..600}; do
    got=$("$@" 2>/dev/null)
    # shellcheck disable=SC2053
    [[ $got == $pattern ]] && return
    sleep 0.1
  done
  echo "# gave up waiting until \`$*\` prints <$pattern>; it prints <$got>"
}
observed() { request GET "$DEPLOYMENTS/web" | jq '.status.observedGeneration == .metadata.generation'; }
seen() { wait_for true observed; }   # by the Deployment controller
settled() { wait_for "true ${1%%x*} $1" progress_made; }   # PODS, all of one version
# progress_made: whether the Deployment controller has seen web, the number of Pods that are ready, and the Pods.
progress_made() {
  look "$DEPLOYMENTS/web" "$PODS" | jq -rs "
    (.[0] | \"\(.status.observedGeneration == .metadata.generation) \(.status.readyReplicas // 0) \")
    + ([.[1].items[] | select(.metadata.deletionTimestamp == null) | $VERSIONS] $COUNTED)"
}

# manifest VERSION [LINE OF THE SPEC]: without a probe, for one that comes too early costs each roll a second.
manifest() {
  cat <<M
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 0}}
  ${2:-}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: app
        image: "$IMAGE:$1"
M
}
without_labels() { sed '/^  labels: /d'; }
with_gate() { sed "s|^  labels: .*|  labels: {app: web, serin.dev/gate: $GATE}|"; }

# write_down: the manifest in JSON, for requests. A client of the API sends no YAML.
write_down() { manifest 1.0 | k create --dry-run=client -o json -f - >"$work/web.json" || exit 2; }
create() { request POST "$DEPLOYMENTS?fieldManager=kubectl-create" "@$work/web.json" >/dev/null; }
remove() {
  request DELETE "$DEPLOYMENTS/web" >/dev/null
  wait_for no web_exists
  wait_for "" pods
}
web_exists() { exists && echo yes || echo no; }

has_service_account() { [[ $(request GET "/api/v1/namespaces/$NS/serviceaccounts/default") == *'"ServiceAccount"'* ]] && echo true; }

# fresh: web is new, armed, idle, and serves 1.0.
fresh() {
  remove
  create
  settled 2x1.0
  arm
}
# ready_for_section: as fresh, but an armed web that is there already is taken.
ready_for_section() { exists || fresh; }
# reset: web is armed, idle and serves 1.0 again, by the way that a person has: break glass.
reset() {
  local marks='"serin.dev/gate":null,"serin.dev/held":null,"serin.dev/reverting":null,"serin.dev/bypass":null,"serin.dev/contested":null'
  labels "{$marks,\"late\":null,\"hook\":null}" >/dev/null
  # As `kubectl replace` does it, which drops all annotations.
  request PUT "$DEPLOYMENTS/web?fieldManager=kubectl-replace" "@$work/web.json" >/dev/null
  settled 2x1.0
  arm
}

# apply_as MANAGER: a server-side apply of the manifest on standard input, as Argo CD and Flux do it.
apply_as() { k apply --server-side --force-conflicts --field-manager="$1" -f - 2>&1; }

# may USER VERB GROUP RESOURCE[/SUBRESOURCE] [NAMESPACE [NAME]]: yes or no, by RBAC alone.
may() {
  local resource=${4%%/*} sub=
  [ "$resource" = "$4" ] || sub=${4#*/}
  local groups='["system:authenticated"]'
  [ "$1" != "$SERIN" ] || groups='["system:serviceaccounts","system:serviceaccounts:serin-system","system:authenticated"]'
  request POST /apis/authorization.k8s.io/v1/subjectaccessreviews "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\",
    \"spec\":{\"user\":\"$1\",\"groups\":$groups,\"resourceAttributes\":{\"verb\":\"$2\",\"group\":\"$3\",\"resource\":\"$resource\",\"subresource\":\"$sub\",
    \"namespace\":\"${5-$NS}\",\"name\":\"${6:-}\"}}}" | allowed
}
# knows_mutating_policies: whether the API server runs a MutatingAdmissionPolicy, as Kubernetes 1.36 does.
knows_mutating_policies() { [[ $(request GET "$ADMISSION") == *'"mutatingadmissionpolicies"'* ]]; }

# allowed: of the answer to a SubjectAccessReview on standard input.
allowed() {
  case $(tr -d ' \n') in
  *'"status":{"allowed":true'*) echo yes ;;
  *'"status":{"allowed":false'*) echo no ;;
  esac
}

# bind USER ROLE [KIND]: a RoleBinding of the user's name.
bind() {
  request POST "$RBAC/namespaces/$NS/rolebindings" "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",
    \"metadata\":{\"name\":\"$1\"},\"subjects\":[{\"kind\":\"User\",\"apiGroup\":\"rbac.authorization.k8s.io\",\"name\":\"$1\"}],
    \"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"${3:-ClusterRole}\",\"name\":\"$2\"}}" >/dev/null
}
