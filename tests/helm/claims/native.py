"""What Serin asks of native histograms, asked of a real Prometheus: it counts what buckets would."""

import json
import tempfile

from claims import test
from claims.helm import ROOT, run, tool

QUERY = ROOT / "tests/golden/metrics/prometheus/native.promql"

# Three requests of 0.25 s to 0.5 s and one of 0.5 s to 1 s at schema 0, of the canary; stable has had none yet.
SERIES = [
    ("http_request_duration_seconds", 'namespace="shop",pod="podinfo-canary-b-1",job="app"',
     "{{schema:0 sum:2 count:4 offset:-1 buckets:[3 1]}}x4"),
    ("http_request_duration_seconds", 'namespace="shop",pod="podinfo-a-1",job="app"', "{{schema:0 sum:0 count:0}}x4"),
]


@test
def native_histograms_count_alike():
    names = {"canary.all": 4, "canary.bad": 1, "canary.at": 60, "stable.all": 0, "stable.at": 60}
    pods = {"canary": "podinfo-canary-b-1", "stable": "podinfo-a-1"}
    samples = [
        {"labels": f'{{job="app",k="{name}",pod="{pods[name.split(".")[0]]}"}}', "value": value} for name, value in names.items()
    ]
    trial = {
        "interval": "30s",
        "input_series": [{"series": f"{name}{{{labels}}}", "values": values} for name, labels, values in SERIES],
        "promql_expr_test": [{"expr": QUERY.read_text(), "eval_time": "1m", "exp_samples": samples}],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"evaluation_interval": "30s", "tests": [trial]}, file)
        file.flush()
        run(tool("promtool-"), "test", "rules", file.name)
