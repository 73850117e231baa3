//! What the API server checks when a Canary is written: CEL rules, as data.
//!
//! A message names the field, what is wrong and what would be right. [`crate::crd::refusals`] says the same about objects that
//! were stored before a rule existed.

/// A CEL rule and the place in the schema where it stands; `[]` after a name means the items of a list.
pub(super) struct Rule {
    /// Path from the root of the object.
    pub(super) at: &'static str,
    /// The expression that must be true; `self` is the value at the path.
    pub(super) rule: &'static str,
    /// What a person reads.
    pub(super) message: &'static str,
}

/// A field that holds a duration.
pub(super) struct DurationField {
    /// Path from the root of the object.
    pub(super) at: &'static str,
    /// The least value, as a duration.
    pub(super) least: &'static str,
}

/// What a duration looks like. A subset of Go's syntax, so that CEL, kube and Go read the same.
pub(super) const DURATION: &str = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)){1,4}$";

/// The fields of a Canary that hold durations.
pub(super) const DURATIONS: [DurationField; 7] = [
    DurationField {
        at: "spec.approvalDeadline",
        least: "1s",
    },
    DurationField {
        at: "spec.analysis.interval",
        least: "1s",
    },
    DurationField {
        at: "spec.analysis.bake",
        least: "0s",
    },
    DurationField {
        at: "spec.analysis.maxWait",
        least: "1s",
    },
    DurationField {
        at: "spec.analysis.steps[].pause.duration",
        least: "1s",
    },
    DurationField {
        at: "spec.analysis.metrics[].interval",
        least: "1s",
    },
    DurationField {
        at: "spec.analysis.webhooks[].timeout",
        least: "1s",
    },
];

/// The values of `spec.provider`. `osm` and `appmesh` are known, so that the message can say that they are retired.
pub(super) const PROVIDERS: [&str; 22] = [
    "apisix",
    "appmesh",
    "appmesh:v1beta1",
    "appmesh:v1beta2",
    "contour",
    "gatewayapi",
    "gatewayapi:v1",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "none",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
];

/// The types of `MetricTemplate.spec.provider.type`.
pub(super) const METRIC_SERVERS: [&str; 12] = [
    "cloudwatch",
    "datadog",
    "dynatrace",
    "externalmetrics",
    "graphite",
    "influxdb",
    "keptn",
    "newrelic",
    "prometheus",
    "splunk",
    "stackdriver",
    "web",
];

/// The rules of a MetricTemplate.
pub(super) const METRIC_TEMPLATE: [Rule; 1] = [Rule {
    at: "spec.provider.address",
    rule: "self.matches('^https?://[^/@?#]+(/[^?#]*)?$')",
    message: "provider.address is not the URL of a server, without credentials and query: write for instance http://prometheus.monitoring:9090",
}];

/// The rules of an AlertProvider.
pub(super) const ALERT_PROVIDER: [Rule; 4] = [
    Rule {
        at: "spec",
        rule: "has(self.address) || has(self.secretRef)",
        message: "address is missing: write it into a Secret that secretRef names, or here",
    },
    Rule {
        at: "spec.address",
        rule: "self.matches('^https?://[^/@#]+.*$')",
        message: "address is not a URL of http or https without credentials: write for instance https://hooks.example.com/releases",
    },
    Rule {
        at: "spec",
        rule: "!has(self.format) || self.type == 'msteams'",
        message: "format: is for type msteams alone; remove it",
    },
    Rule {
        at: "spec",
        rule: "!has(self.proxy)",
        message: "proxy: comes with a later version; remove it, and let the cluster's egress lead through the proxy",
    },
];

/// The rules of a Canary.
pub(super) const CANARY: [Rule; 37] = [
    // The object as a whole.
    Rule {
        at: "spec",
        rule: "has(self.service) || (has(self.provider) && self.provider == 'none')",
        message: "service is missing: write service.port, or provider: none for a workload without a Service",
    },
    Rule {
        at: "spec",
        rule: "!has(self.service) || !has(self.provider) || self.provider != 'none'",
        message: "service: provider none is for workers without a Service; take service out, or choose another provider",
    },
    Rule {
        at: "spec",
        rule: "!has(self.service) || size(has(self.service.name) ? self.service.name : self.targetRef.name) <= 56",
        message: "service.name (the target's name if not set) is longer than 56 characters, and NAME-canary would not fit a \
            Service: write a shorter service.name",
    },
    Rule {
        at: "spec",
        rule: "!has(self.service) || \
            (has(self.service.name) ? self.service.name : self.targetRef.name).matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: "service.name (the target's name if not set) cannot be the name of a Service: write a service.name of lower \
            case letters, digits and '-'",
    },
    Rule {
        at: "spec",
        rule: "!has(self.routeRefs) || size(self.routeRefs) == 0 || !has(self.service) || !has(self.service.gatewayRefs) || \
            size(self.service.gatewayRefs) == 0",
        message: "routeRefs and service.gatewayRefs exclude each other: keep routeRefs for routes that are yours, or \
            service.gatewayRefs for a route that Serin makes",
    },
    Rule {
        at: "spec",
        rule: "!has(self.provider) || !self.provider.startsWith('gatewayapi') || \
            (has(self.routeRefs) && size(self.routeRefs) > 0) || \
            (has(self.service) && has(self.service.gatewayRefs) && size(self.service.gatewayRefs) > 0)",
        message: "service.gatewayRefs is missing: with provider gatewayapi name the Gateway that the route hangs on, or name \
            your own routes in routeRefs",
    },
    Rule {
        at: "spec",
        rule: "!has(self.provider) || !(self.provider in ['none', 'kubernetes']) || !has(self.routeRefs) || \
            size(self.routeRefs) == 0",
        message: "routeRefs: the providers none and kubernetes write no routes; take routeRefs out, or choose provider \
            gatewayapi:v1",
    },
    Rule {
        at: "spec",
        rule: "!has(self.provider) || self.provider != 'none' || !has(self.analysis) || !has(self.analysis.metrics) || \
            self.analysis.metrics.all(m, !(m.name in ['request-success-rate', 'request-duration']) || \
            has(m.templateRef) || has(m.query))",
        message: "analysis.metrics: request-success-rate and request-duration are counted at a Service, and provider none has \
            none; name a MetricTemplate in templateRef",
    },
    Rule {
        at: "spec.provider",
        rule: "!self.startsWith('osm') && !self.startsWith('appmesh')",
        message: "provider: Open Service Mesh and App Mesh are retired by their makers; choose gatewayapi:v1 or istio",
    },
    Rule {
        at: "spec.metricsServer",
        rule: "self.matches('^https?://[^/@?#]+(/[^?#]*)?$')",
        message: "metricsServer is not the URL of a server, without credentials and query: write for instance http://prometheus.monitoring:9090",
    },
    // The target and its company.
    Rule {
        at: "spec.targetRef",
        rule: "self == oldSelf",
        message: "targetRef cannot be changed: delete this Canary and make one for the other workload",
    },
    Rule {
        at: "spec.targetRef",
        rule: "self.kind in ['Deployment', 'StatefulSet', 'DaemonSet']",
        message: "targetRef.kind: only the rollout of a Deployment can be held; name a Deployment",
    },
    Rule {
        at: "spec.targetRef",
        rule: "self.apiVersion == 'apps/v1'",
        message: "targetRef.apiVersion must be apps/v1",
    },
    Rule {
        at: "spec.targetRef",
        rule: "size(self.name) <= 246",
        message: "targetRef.name is longer than 246 characters, and NAME-canary would not fit: give the workload a shorter name",
    },
    Rule {
        at: "spec.targetRef",
        rule: "self.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        message: "targetRef.name cannot be the name of a workload: write lower case letters, digits, '-' and '.'",
    },
    Rule {
        at: "spec.autoscalerRef",
        rule: "has(self.kind) && self.kind in ['HorizontalPodAutoscaler', 'ScaledObject']",
        message: "autoscalerRef.kind must be HorizontalPodAutoscaler or ScaledObject",
    },
    Rule {
        at: "spec.routeRefs",
        rule: "self.all(a, self.exists_one(b, a.kind == b.kind && a.name == b.name && a.apiVersion == b.apiVersion && \
            (has(a.rule) ? a.rule : '') == (has(b.rule) ? b.rule : '')))",
        message: "routeRefs names the same route twice: keep one of the entries",
    },
    Rule {
        at: "spec.canary.replicas",
        rule: "type(self) == int ? self >= 1 && self <= 100000 : string(self).matches('^([1-9][0-9]?|100)%$')",
        message: "canary.replicas must be a number from 1, or a percentage from 1% to 100%; leave it out for the share of the \
            weight",
    },
    // The Service.
    Rule {
        at: "spec.service.targetPort",
        rule: "type(self) == int ? self >= 1 && self <= 65535 : \
            string(self).matches('^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$')",
        message: "service.targetPort must be a number from 1 to 65535, or the name of a port of the Pods",
    },
    Rule {
        at: "spec.service.portName",
        rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: "service.portName must consist of lower case letters, digits and '-'",
    },
    Rule {
        at: "spec.service.timeout",
        rule: "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",
        message: "service.timeout is not a duration: write for instance 15s or 1m30s",
    },
    Rule {
        at: "spec.service.hosts[]",
        rule: r"self.matches('^([*]|([*]\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$')",
        message: "service.hosts: not a host name; write for instance shop.example.com or *.example.com, without scheme, port \
            and path",
    },
    // The steps.
    Rule {
        at: "spec.analysis",
        rule: "[has(self.stepWeights) && size(self.stepWeights) > 0, has(self.stepWeight), has(self.steps) && \
            size(self.steps) > 0, has(self.iterations)].filter(stated, stated).size() <= 1",
        message: "analysis states the steps in more than one way: keep one of stepWeights, stepWeight (with maxWeight), steps \
            and iterations",
    },
    Rule {
        at: "spec.analysis",
        rule: "!has(self.maxWeight) || has(self.stepWeight) || (has(self.stepWeights) && size(self.stepWeights) > 0)",
        message: "analysis.maxWeight needs analysis.stepWeight",
    },
    Rule {
        at: "spec.analysis",
        rule: "!has(self.maxWeight) || !has(self.stepWeight) || self.stepWeight <= self.maxWeight",
        message: "analysis.stepWeight is greater than analysis.maxWeight: no step would be left",
    },
    Rule {
        at: "spec.analysis.stepWeights",
        rule: "self.isSorted() && self.all(weight, self.exists_one(other, other == weight))",
        message: "analysis.stepWeights must rise from step to step, for instance [10, 50, 100]",
    },
    Rule {
        at: "spec.analysis.steps[]",
        rule: "[has(self.setWeight), has(self.pause), has(self.checks), has(self.setMirror), \
            has(self.setHeaderRoute)].filter(stated, stated).size() == 1",
        message: "analysis.steps: an entry has exactly one of setWeight, pause, checks, setMirror and setHeaderRoute; make a \
            second entry for the second",
    },
    Rule {
        at: "spec.analysis.steps",
        rule: "self.filter(step, has(step.setWeight)).map(step, step.setWeight).isSorted() && \
            self.filter(step, has(step.setWeight)).all(step, self.filter(other, has(other.setWeight)).\
            exists_one(other, other.setWeight == step.setWeight))",
        message: "analysis.steps: setWeight must rise from step to step, for instance 10, 50, 100",
    },
    // The metrics.
    Rule {
        at: "spec.analysis.metrics[]",
        rule: "has(self.threshold) || (has(self.thresholdRange) && \
            (has(self.thresholdRange.min) || has(self.thresholdRange.max)))",
        message: "analysis.metrics: a metric without a limit cannot fail; write thresholdRange with min, max or both",
    },
    Rule {
        at: "spec.analysis.metrics[]",
        rule: "!has(self.threshold) || !has(self.thresholdRange)",
        message: "analysis.metrics: threshold and thresholdRange exclude each other; keep thresholdRange",
    },
    Rule {
        at: "spec.analysis.webhooks[]",
        rule: "self.url.matches('^https?://[^/@?# ]+([/?][^# ]*)?$')",
        message: "url is not the address of a hook: write for instance http://flagger-loadtester.test/, without credentials",
    },
    Rule {
        at: "spec.analysis.metrics[].thresholdRange",
        rule: "!has(self.min) || !has(self.max) || self.min <= self.max",
        message: "analysis.metrics: thresholdRange.min is greater than thresholdRange.max, so no value could pass",
    },
    Rule {
        at: "spec.analysis.metrics[]",
        rule: "!has(self.templateRef) || !has(self.query)",
        message: "analysis.metrics: templateRef and query exclude each other; keep one",
    },
    Rule {
        at: "spec.analysis.metrics[]",
        rule: "self.name in ['request-success-rate', 'request-duration'] || has(self.templateRef) || has(self.query)",
        message: "analysis.metrics: request-success-rate and request-duration are built in, any other name needs a templateRef \
            or a query",
    },
    Rule {
        at: "spec.analysis.metrics[]",
        rule: "self.name != 'request-success-rate' || has(self.templateRef) || has(self.query) || \
            has(self.threshold) || !has(self.thresholdRange) || has(self.thresholdRange.min)",
        message: "analysis.metrics: request-success-rate needs thresholdRange.min, in percent, for instance 99",
    },
    Rule {
        at: "spec.analysis.metrics[]",
        rule: "self.name != 'request-duration' || has(self.templateRef) || has(self.query) || \
            has(self.threshold) || !has(self.thresholdRange) || has(self.thresholdRange.max)",
        message: "analysis.metrics: request-duration needs thresholdRange.max, in milliseconds, for instance 500",
    },
    Rule {
        at: "spec.analysis.comparison",
        rule: "!has(self.tolerance) || !has(self.nonInferiority) || self.tolerance <= self.nonInferiority",
        message: "analysis.comparison.tolerance is greater than nonInferiority: what is tolerated could never be promoted",
    },
];
