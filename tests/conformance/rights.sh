# shellcheck shell=bash
# The sections about deploy/ itself: the API server takes it, and RBAC gives Serin's account and people what they need.

section_manifests() {
  local all
  all=$($KUBECTL kustomize --load-restrictor LoadRestrictionsNone "$deploy" 2>&1)
  check "the kustomization builds" "apiVersion:*" "$all"
  # kubectl itself warns where somebody applied the same object client-side before; that says nothing about the object.
  check "every object passes a dry run, without a warning" "accepted" \
    "$($KUBECTL apply --server-side --force-conflicts --dry-run=server -f - <<<"$all" 2>&1 >/dev/null |
      grep -v 'failed to migrate kubectl.kubernetes.io/last-applied-configuration'
      [ "${PIPESTATUS[0]}" = 0 ] && echo accepted)"
  local policies="guard leash-delete leash-owner leash-target leash-status leash-scale requests"
  [ "$GATE_BY" = policies ] || policies+=" leash-webhook"
  for policy in $policies; do
    wait_for true type_checked serin-$policy
    check "serin-$policy passes the type check" "[]" "$(policy serin-$policy | jq -c '.status.typeChecking.expressionWarnings // []')"
  done
}
policy() { request GET "$ADMISSION/validatingadmissionpolicies/$1"; }
type_checked() { policy "$1" | jq '.status.typeChecking != null and .status.observedGeneration == .metadata.generation'; }

section_rights() {
  local verb resource answer
  while read -r answer verb resource; do
    check "Serin: $verb $resource: $answer" "$answer" "$(may $SERIN "$verb" "${resource%%:*}" "${resource#*:}")"
  done <<'R'
yes list serin.dev:canaries
yes patch serin.dev:canaries
no update serin.dev:canaries
no create serin.dev:canaries
no delete serin.dev:canaries
yes patch serin.dev:canaries/status
yes update serin.dev:canaries/promote
yes create authentication.k8s.io:tokenreviews
yes create authorization.k8s.io:subjectaccessreviews
yes watch serin.dev:metrictemplates
no patch serin.dev:metrictemplates
yes create apps:deployments
yes delete apps:deployments
no update apps:deployments
no deletecollection apps:deployments
yes patch apps:deployments/scale
yes patch apps:deployments/status
yes delete apps:replicasets
no patch apps:replicasets
no patch apps:statefulsets
yes create apps:controllerrevisions
yes patch :services
no get :configmaps
no get :secrets
no list :secrets
no create :pods
no delete :pods
no create :pods/exec
yes create :pods/eviction
no create :serviceaccounts/token
yes list discovery.k8s.io:endpointslices
no patch discovery.k8s.io:endpointslices
yes list networking.k8s.io:networkpolicies
no create networking.k8s.io:networkpolicies
yes create policy:poddisruptionbudgets
yes patch autoscaling:horizontalpodautoscalers
yes patch gateway.networking.k8s.io:httproutes
yes patch gateway.networking.k8s.io:grpcroutes
no create gateway.networking.k8s.io:grpcroutes
no patch gateway.networking.k8s.io:gateways
yes create events.k8s.io:events
no get coordination.k8s.io:leases
no impersonate :users
R
  check "Serin: its own lease" "yes no yes" \
    "$(may $SERIN update coordination.k8s.io leases serin-system serin) $(may $SERIN update coordination.k8s.io leases serin-system other) $(may $SERIN create coordination.k8s.io leases serin-system)"
  check "Serin: reads the policies, and never writes them" "yes yes yes no no no" \
    "$(for verb in "get mutatingadmissionpolicies" "watch validatingadmissionpolicybindings" "list mutatingwebhookconfigurations" \
      "patch validatingadmissionpolicies" "delete mutatingadmissionpolicybindings" "patch mutatingwebhookconfigurations"; do
      # shellcheck disable=SC2086
      set -- $verb
      may $SERIN "$1" admissionregistration.k8s.io "$2" ""
    done | xargs)"
  check "Serin: writes no roles" "no no" \
    "$(may $SERIN patch rbac.authorization.k8s.io clusterroles "") $(may $SERIN bind rbac.authorization.k8s.io clusterroles "")"

  [ "$GATE_BY" = policies ] || rights_of_the_webhook

  people_of_the_cluster
  check "the cluster's view sees Canaries and asks for nothing" "yes no no" \
    "$(may conformance-view list serin.dev canaries) $(may conformance-view patch serin.dev canaries) $(may conformance-view update serin.dev canaries/abort)"
  check "the cluster's edit writes Canaries, asks for verbs, but not to skip the analysis" "yes yes no" \
    "$(may conformance-edit create serin.dev canaries) $(may conformance-edit update serin.dev canaries/promote) $(may conformance-edit update serin.dev canaries/promote-full)"
  check "the cluster's admin may ask to skip the analysis" "yes yes" \
    "$(may conformance-admin update serin.dev canaries/abort) $(may conformance-admin update serin.dev canaries/promote-full)"
  check "nobody of these writes the status of a Canary" "no" "$(may conformance-admin patch serin.dev canaries/status)"
}
# rewire WEBHOOK: what Serin is told that changes its own webhooks in a dry run, of which only caBundle is its business.
rewire() {
  AS=$SERIN request PATCH "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/serin-gate?dryRun=All" \
    "{\"webhooks\":[$1]}" "$STRATEGIC" | outcome
}
# Serin writes its certificate into its own Secret and its own webhooks, and into no other.
rights_of_the_webhook() {
  local answer verb resource namespace name
  while read -r answer verb resource namespace name; do
    check "Serin: $verb $resource ${namespace#-} ${name#-}: $answer" "$answer" \
      "$(may $SERIN "$verb" "${resource%%:*}" "${resource#*:}" "${namespace#-}" "${name#-}")"
  done <<'R'
yes get admissionregistration.k8s.io:mutatingwebhookconfigurations - serin-gate
yes patch admissionregistration.k8s.io:mutatingwebhookconfigurations - serin-gate
no patch admissionregistration.k8s.io:mutatingwebhookconfigurations - other
no patch admissionregistration.k8s.io:mutatingwebhookconfigurations - -
no create admissionregistration.k8s.io:mutatingwebhookconfigurations - -
no delete admissionregistration.k8s.io:mutatingwebhookconfigurations - serin-gate
no patch admissionregistration.k8s.io:validatingwebhookconfigurations - serin-gate
yes get :secrets serin-system serin-webhook
yes update :secrets serin-system serin-webhook
no delete :secrets serin-system serin-webhook
no get :secrets serin-system other
no update :secrets serin-system other
no list :secrets serin-system -
no get :secrets kube-system serin-webhook
no update :secrets kube-system serin-webhook
R
  local change
  for change in '"failurePolicy":"Ignore"' '"objectSelector":null' '"clientConfig":{"service":{"name":"other","namespace":"default"}}' \
    '"rules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["*"],"resources":["*"]}]'; do
    check "the leash: no $change" "*changes only caBundle*" "$(rewire "{\"name\":\"hold.serin.dev\",$change}")"
  done
}
people_of_the_cluster() {
  for role in view edit admin; do bind conformance-$role $role; done
  wait_for yes may conformance-admin update serin.dev canaries/promote-full
}
