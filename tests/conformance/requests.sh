# shellcheck shell=bash
# The section about requests: who may ask for which verb, and who is said to have asked.
# The people are plain user names, bound to roles in this namespace only:
#   olga  serin-operator     ed    serin-edit        ada   serin-admin      vera  serin-view
#   abe   may only abort     one   may abort `web` and no other Canary

canary() {   # NAME
  cat <<M
{"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "$1"}, "spec":
  {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "$1"}, "provider": "none", "suspend": true}}
M
}
add_canary() { request POST "$CANARIES" "$(canary "$1")" | outcome; }
# annotate NAME ANNOTATIONS: `accepted`, or why not.
annotate() { request PATCH "$CANARIES/$1${query:-}" "{\"metadata\":{\"annotations\":$2}}" $MERGE | outcome; }
ask() { annotate "$1" "$(jq -nc --arg text "$2" '{"serin.dev/request": $text}')"; }
# by REPLY: the request and its author.
by() { jq -r '.metadata.annotations // {} | "\(.["serin.dev/request"] // "-") by \(.["serin.dev/requested-by"] // "-")"'; }
write() { request PATCH "$CANARIES/pending" "{\"metadata\":{\"annotations\":$1}}" $MERGE | by; }
# change BODY: of the Canary `asked`, dry.
change() { request PATCH "$CANARIES/asked?dryRun=All" "$1" $MERGE | outcome; }

section_requests() {
  people
  add_canary asked >/dev/null
  add_canary pending >/dev/null
  keep_pending
  authors
  verbs
  forms
  new_canaries
  only_asking
}

people() {
  bind olga serin-operator
  bind ed serin-edit
  bind ada serin-admin
  bind vera serin-view
  may_abort abe '{}'
  may_abort one '{"resourceNames": ["asked"]}'
  bind abe abe Role
  bind one one Role
  wait_for yes may one update serin.dev canaries/abort $NS asked
}
# may_abort NAME LIMIT: a Role that may annotate all Canaries, and abort those within the limit.
may_abort() {
  request POST "$RBAC/namespaces/$NS/roles" "$(jq -nc --arg name "$1" --argjson limit "$2" '
    {apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata: {name: $name}, rules: [
      {apiGroups: ["serin.dev"], resources: ["canaries"], verbs: ["patch"]},
      {apiGroups: ["serin.dev"], resources: ["canaries/abort"], verbs: ["update"]} + $limit]}')" >/dev/null
}

# A controller takes requests away as it handles them. Those of the Canary `pending` stay, so that they can be looked at.
keep_pending() {
  [ -n "$INSTALLED" ] || return
  $KUBECTL apply -f - >/dev/null <<M
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: gate-conformance-pending, labels: {serin.dev/conformance: "true"}}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [serin.dev], apiVersions: ["*"], operations: [UPDATE], resources: [canaries]}]}
  matchConditions:
  - {name: pending, expression: "request.namespace == '$NS' && request.name == 'pending'"}
  validations:
  - {expression: "request.userInfo.username != '$SERIN' || object.metadata.?labels[?'handled'].hasValue()", message: "kept pending by the conformance script"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: gate-conformance-pending, labels: {serin.dev/conformance: "true"}}
spec: {policyName: gate-conformance-pending, validationActions: [Deny]}
M
  wait_for "*kept pending*" kept
}
kept() { AS=$SERIN request PATCH "$CANARIES/pending?dryRun=All" '{"metadata":{"annotations":{"serin.dev/x":"y"}}}' $MERGE | outcome; }

authors() {
  check "a request is stamped with its author" "abort by olga" "$(AS=olga write '{"serin.dev/request":"abort"}')"
  check "another author overwrites a pending request" "promote-full by ada" "$(AS=ada write '{"serin.dev/request":"promote-full"}')"
  check "the same request again keeps its author" "promote-full by ada" "$(write '{"serin.dev/request":"promote-full"}')"
  check "another write keeps the author" "promote-full by ada" "$(AS=ed write '{"note":"x"}')"
  check "a forged author is put back" "promote-full by ada" "$(AS=olga write '{"serin.dev/requested-by":"root"}')"
  check "... also by somebody who may do everything" "promote-full by ada" "$(write '{"serin.dev/requested-by":"root"}')"
  check "a removed author is put back" "promote-full by ada" "$(write '{"serin.dev/requested-by":null}')"
  check "an author forged together with a request is overwritten" "pause by olga" "$(AS=olga write '{"serin.dev/request":"pause","serin.dev/requested-by":"ada"}')"
  check "a server-side apply is stamped too" "resume by olga" "$(printf 'apiVersion: serin.dev/v1beta1\nkind: Canary\nmetadata: {name: pending, annotations: {serin.dev/request: resume}}\n' |
    k apply --as=olga --server-side --force-conflicts --field-manager=olga -f - -o json | by)"
  check "the status carries no request" "resume by olga" "$(request PATCH "$CANARIES/pending/status" \
    '{"metadata":{"annotations":{"serin.dev/request":"abort","serin.dev/requested-by":"root"}}}' $MERGE | by)"
  check "a request that goes takes its author along" "- by -" "$(AS=olga write '{"serin.dev/request":null}')"
  check "an author without a request is dropped" "- by -" "$(AS=olga write '{"serin.dev/requested-by":"root"}')"
  write '{"serin.dev/request":"abort"}' >/dev/null
  check "a replace without annotations takes both" "- by -" "$(canary pending | k replace --as=ed -f - -o json | by)"
  write '{"serin.dev/request":"abort"}' >/dev/null
  request PATCH "$CANARIES/pending" '{"metadata":{"labels":{"handled":"true"}}}' $MERGE >/dev/null
  check "Serin takes a request away, and leaves no stamp" "- by -" "$(AS=$SERIN write '{"serin.dev/request":null}')"
  check "Serin asks for nothing itself" "*may not promote*" "$(AS=$SERIN ask pending promote)"
  check "... and in the name of those whom its API has asked about" "abort by olga" \
    "$(AS=$SERIN write '{"serin.dev/request":"abort","serin.dev/requested-by":"olga"}')"
  check "Serin takes that away, too" "- by -" "$(AS=$SERIN write '{"serin.dev/request":null}')"
}

verbs() {
  local query='?dryRun=All' verb
  for verb in promote abort pause resume retry skip rollback restart undo; do
    check "$verb: an operator may, an editor may not" "accepted|*user ed may not $verb.*update canaries/$verb *serin-operator" "$(AS=olga ask asked $verb)|$(AS=ed ask asked $verb)"
  done
  check "promote-full: an admin may, an operator may not" "accepted|*user olga may not promote-full.*serin-admin" "$(AS=ada ask asked promote-full)|$(AS=olga ask asked promote-full)"
  check "promote-full does not bring the other verbs" "*may not promote.*" "$(AS=ada ask asked promote)"
  check "a viewer cannot annotate at all" "*cannot patch resource*" "$(AS=vera ask asked abort)"
  check "the right to one verb is no right to another" "accepted|*may not promote.*" "$(AS=abe ask asked abort)|$(AS=abe ask asked promote)"
  check "the right for one name is no right for another" "accepted|*may not abort.*" "$(AS=one ask asked abort)|$(AS=one ask pending abort)"
  check "an unknown verb is refused with the list" "*there is no verb \"promot\"; the verbs are promote, promote-full, abort, pause, resume, retry, skip, rollback, restart, undo" "$(ask asked promot)"
  check "... also in JSON" "*there is no verb \"finish\"*" "$(ask asked '{"verb":"finish"}')"
  check "the verb of a JSON request is judged" "accepted|*may not promote-full*" "$(AS=olga ask asked '{"verb":"abort"}')|$(AS=olga ask asked '{"verb":"promote-full"}')"
  check "... wherever it stands" "*may not promote-full*" "$(AS=olga ask asked '{ "reason" : "verb", "by":"abort",
    "verb"	:	"promote-full", "id":"7" }')"
}

forms() {
  local query='?dryRun=All' name text refused="*serin.dev/request is a verb (*"
  check "all members, with space between them" "accepted" "$(AS=olga ask asked '
    {"verb": "rollback", "id": "7f", "by": "olga@example.com", "reason": "too slow: p99 > 2 s, {see} [1] – ü", "revision": "5c4cdc8ff", "to": "6dd7b68f5"}
    ')"
  check "a value may read like the name of a member" "accepted" "$(AS=olga ask asked '{"verb":"abort","reason":"verb","by":"promote-full","id":"verb: promote-full"}')"
  while IFS='|' read -r name text; do
    check "refused: $name" "$refused" "$(AS=ada ask asked "$text")"
  done <<'R'
nothing|
a space after the verb|promote-full 
a capital|Promote
two verbs|promote,abort
the verb twice|{"verb":"abort","verb":"promote-full"}
another member twice|{"verb":"promote-full","by":"a","by":"b"}
no verb|{"reason":"abort"}
an empty object|{}
an unknown member|{"verb":"promote-full","force":"true"}
a member in capitals|{"Verb":"promote-full","verb":"promote-full"}
a number|{"verb":"promote-full","id":7}
a truth|{"verb":"promote-full","id":true}
null|{"verb":"promote-full","id":null}
an object within|{"verb":"promote-full","by":{"verb":"abort"}}
an array|["promote-full"]
an array within|{"verb":["promote-full"]}
a string|"promote-full"
an escaped letter|{"verb":"promote\u002dfull"}
an escaped name|{"\u0076erb":"abort","verb":"promote-full"}
an escaped quotation mark|{"verb":"promote-full","reason":"\"verb\":\"abort\""}
a backslash alone|{"verb":"promote-full","reason":"a\"}
a comma at the end|{"verb":"promote-full",}
no comma|{"verb":"promote-full" "id":"7"}
single quotation marks|{'verb':'promote-full'}
a comment|{"verb":"promote-full"/*,"id":"7"*/}
something before|abort {"verb":"promote-full"}
something behind|{"verb":"promote-full"} abort
two objects|{"verb":"promote-full"}{"verb":"abort"}
an object left open|{"verb":"promote-full"
R
  check "refused: a control character" "$refused" "$(AS=ada ask asked $'{"verb":"promote-full","reason":"a\tb"}')"
  check "refused: a line break in a string" "$refused" "$(AS=ada ask asked $'{"verb":"promote-full","reason":"a\nb"}')"
  check "refused: a line break after the verb" "$refused" "$(AS=ada ask asked $'promote-full\n')"
  check "2048 characters" "accepted" "$(AS=olga ask asked "$(long 2048)")"
  check "refused: 2049 characters" "*2048 characters at most, this one has 2049" "$(AS=olga ask asked "$(long 2049)")"
  check "refused: 100,000 characters" "*2048 characters at most*" "$(AS=olga ask asked "$(long 100000)")"
}
long() { printf '{"verb":"abort","reason":"%*s"}' $(($1 - 28)) ""; }

new_canaries() {
  check "a new Canary with a request is refused" "*cannot carry a request*" "$(new '{"serin.dev/request":"abort"}' | outcome)"
  check "... whatever it asks" "*cannot carry a request*" "$(new '{"serin.dev/request":"nonsense"}' | outcome)"
  check "a new Canary with an author only: dropped" "- by -" "$(new '{"serin.dev/requested-by":"root"}' | by)"
  check "somebody who edits may create one" "accepted" "$(AS=ed new '{}' | outcome)"
}
new() { request POST "$CANARIES?dryRun=All" "$(canary new | jq --argjson notes "$1" '.metadata.annotations = $notes')"; }

# Annotating takes the right to patch; that alone must not change what the Canary says.
only_asking() {
  local refused="*user olga may annotate it with serin.dev/request and change nothing else*serin-edit"
  check "an operator does not change the spec" "$refused" "$(AS=olga change '{"spec":{"skipAnalysis":true}}')"
  check "... nor together with a request" "$refused" "$(AS=olga change '{"metadata":{"annotations":{"serin.dev/request":"abort"}},"spec":{"skipAnalysis":true}}')"
  check "... nor labels" "$refused" "$(AS=olga change '{"metadata":{"labels":{"a":"b"}}}')"
  check "... nor other annotations" "$refused" "$(AS=olga change '{"metadata":{"annotations":{"a":"b"}}}')"
  check "... nor finalizers" "$refused" "$(AS=olga change '{"metadata":{"finalizers":["a.b/c"]}}')"
  check "... nor owners" "$refused" "$(AS=olga change '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"1"}]}}')"
  annotate asked '{"a":"b"}' >/dev/null
  check "... nor takes an annotation away" "$refused" "$(AS=olga change '{"metadata":{"annotations":{"a":null}}}')"
  check "an editor changes all of it" "accepted" "$(AS=ed change '{"metadata":{"labels":{"a":"b"},"annotations":{"a":"c"},"finalizers":["a.b/c"]},"spec":{"skipAnalysis":true}}')"
  check "Serin changes annotations and finalizers" "accepted" "$(AS=$SERIN change '{"metadata":{"annotations":{"serin.dev/x":"y"},"finalizers":["serin.dev/canary"]}}')"
  check "... no spec" "*Serin changes only annotations and finalizers*" "$(AS=$SERIN change '{"spec":{"skipAnalysis":true}}')"
  check "... and no labels" "*Serin changes only annotations and finalizers*" "$(AS=$SERIN change '{"metadata":{"labels":{"a":"b"}}}')"
}
