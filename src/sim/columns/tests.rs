//! What `kubectl get` shows of each kind.

use serde_json::{Value, json};

use super::*;
use crate::sim::kinds;

const BORN: &str = "2030-01-01T00:00:00Z";

fn served(plural: &str) -> Served {
    let all = kinds::built_in();
    all.into_iter().find(|kind| kind.plural == plural).unwrap()
}

fn table(kind: &Served, mut object: Value) -> Value {
    object["metadata"]["name"] = json!("it");
    object["metadata"]["creationTimestamp"] = json!(BORN);
    let table = Table {
        kind,
        now: "2030-01-01T00:05:00Z".parse().unwrap(),
        include: "None",
    };
    table.of(&[&object], &json!({"resourceVersion": "1"}))
}

/// The cells of one object, with the names of the columns.
fn shown(kind: &Served, object: Value) -> String {
    let table = table(kind, object);
    let names = list(&table, "/columnDefinitions");
    let cells = list(&table, "/rows/0/cells");
    assert_eq!(names.len(), cells.len(), "{table:#}");
    let pairs = names.iter().zip(cells);
    let pairs = pairs.map(|(name, cell)| format!("{}={}", text(name, "/name"), path::plain(cell)));
    pairs.collect::<Vec<_>>().join("|")
}

#[test]
fn every_kind_has_a_cell_for_each_column() {
    for kind in kinds::built_in() {
        let shown = shown(&kind, json!({}));
        assert!(shown.contains("=it"), "{}: {shown}", kind.kind);
    }
}

#[test]
fn workloads_are_counted() {
    let object = json!({
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]}}},
        "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
    });
    for (plural, want) in [
        (
            "deployments",
            "Name=it|Ready=2/3|Up-to-date=1|Available=2|Age=5m|Containers=a,b|Images=a:1,b:2|Selector=app=web",
        ),
        (
            "replicasets",
            "Name=it|Desired=3|Current=3|Ready=2|Age=5m|Containers=a,b|Images=a:1,b:2|Selector=app=web",
        ),
    ] {
        assert_eq!(shown(&served(plural), object.clone()), want);
    }
}

#[test]
fn other_kinds_say_what_matters() {
    for (plural, object, want) in [
        (
            "services",
            json!({"spec": {"type": "NodePort", "clusterIPs": ["10.96.0.1"], "selector": {"app": "web"},
                "ports": [{"port": 80, "protocol": "TCP"}, {"port": 90, "nodePort": 30000, "protocol": "UDP"}]}}),
            "Name=it|Type=NodePort|Cluster-IP=10.96.0.1|External-IP=<none>|Port(s)=80/TCP,90:30000/UDP|Age=5m|Selector=app=web",
        ),
        (
            "endpointslices",
            json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1"]}, {"addresses": ["2"]},
                {"addresses": ["3"]}, {"addresses": ["4"]}]}),
            "Name=it|AddressType=IPv4|Ports=80|Endpoints=1,2,3 + 1 more...|Age=5m",
        ),
        (
            "horizontalpodautoscalers",
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]},
                "status": {"currentReplicas": 3, "currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 40}}}]}}),
            "Name=it|Reference=Deployment/web|Targets=cpu: 40%/80%|MinPods=2|MaxPods=5|Replicas=3|Age=5m",
        ),
        (
            "poddisruptionbudgets",
            json!({"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}}),
            "Name=it|Min Available=50%|Max Unavailable=N/A|Allowed Disruptions=1|Age=5m",
        ),
        (
            "rolebindings",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "ada"},
                {"kind": "ServiceAccount", "namespace": "n", "name": "s"}]}),
            "Name=it|Role=Role/r|Age=5m|Users=ada|Groups=|ServiceAccounts=n/s",
        ),
        (
            "nodes",
            json!({"metadata": {"labels": {"node-role.kubernetes.io/worker": ""}}, "spec": {"unschedulable": true},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}],
                    "nodeInfo": {"kubeletVersion": "v1", "osImage": "os", "kernelVersion": "6", "architecture": "amd64"}}}),
            "Name=it|Status=Ready,SchedulingDisabled|Roles=worker|Age=5m|Version=v1|Internal-IP=1.2.3.4|External-IP=<none>|\
             OS-Image=os|Kernel-Version=6 (amd64)|Container-Runtime=<unknown>",
        ),
        (
            "events",
            json!({"type": "Normal", "reason": "Scheduled", "message": " done\n", "count": 2, "lastTimestamp": "2030-01-01T00:04:30Z",
                "firstTimestamp": BORN, "involvedObject": {"kind": "Pod", "name": "p"}, "source": {"component": "scheduler"}}),
            "Last Seen=30s|Type=Normal|Reason=Scheduled|Object=pod/p|Subobject=|Source=scheduler|Message=done|First Seen=5m|Count=2|Name=it",
        ),
        (
            "gateways",
            json!({"spec": {"gatewayClassName": "c"}, "status": {"conditions": [{"type": "Programmed", "status": "True"}]}}),
            "Name=it|Class=c|Address=null|Programmed=True|Age=5m",
        ),
        (
            "httproutes",
            json!({"spec": {"hostnames": ["a", "b"]}}),
            "Name=it|Hostnames=[\"a\",\"b\"]|Age=5m",
        ),
    ] {
        assert_eq!(shown(&served(plural), object), want);
    }
}

#[test]
fn a_crd_names_its_columns() {
    let mut kind = served("configmaps");
    kind.version = "v1".to_owned();
    kind.definition = Some(std::sync::Arc::new(
        json!({"spec": {"versions": [{"name": "v1", "additionalPrinterColumns": [
            {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
            {"name": "Weight", "type": "integer", "jsonPath": ".status.weight"},
            {"name": "Message", "type": "string", "priority": 1, "jsonPath": ".status.message"},
        ]}]}}),
    ));
    let object = json!({"status": {"phase": "Ready", "weight": 10}});
    assert_eq!(
        shown(&kind, object.clone()),
        "Name=it|Phase=Ready|Weight=10|Message=null"
    );
    let definitions = &table(&kind, object)["columnDefinitions"];
    assert_eq!(definitions[0]["format"], "name");
    assert_eq!(definitions[3]["priority"], 1);
}
