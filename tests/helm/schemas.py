#!/usr/bin/env python3
"""Makes JSON schemas for kubeconform: schemas.py FOLDER SWAGGER DEFINITION…

SWAGGER is the API server's own description of its kinds, DEFINITION a CustomResourceDefinition. Each kind becomes
FOLDER/<kind>-<first part of the group>-<version>.json in lower case, as kubeconform looks for it. The schemas are strict: a field
that a kind does not have is an error, as it is with `kubectl apply --validate=strict`.
"""

import json
import sys
from pathlib import Path

import yaml

INT_OR_STRING = {"type": ["integer", "string"]}
# A quantity may be written as a number too: `cpu: 1`.
LOOSE = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": INT_OR_STRING,
}
# Of a definition they are given, and no more than that is checked of them.
EVERY_KIND = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def main():
    folder, swagger, *definitions = sys.argv[1:]
    built_in(Path(folder), json.loads(Path(swagger).read_text()))
    for path in definitions:
        for document in yaml.load_all(Path(path).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if document and document["kind"] == "CustomResourceDefinition":
                custom(Path(folder), document)


def built_in(folder, swagger):
    definitions = {name: LOOSE.get(name) or strict(schema) for name, schema in swagger["definitions"].items()}
    for name, schema in swagger["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            # Options of calls belong to every group, and are no objects.
            if "metadata" in schema.get("properties", {}):
                used = {}
                collect(definitions, name, used)
                write(folder, kind, {"$ref": f"#/definitions/{name}", "definitions": used})


def collect(definitions, name, used):
    """The definition and all that it refers to."""
    if name not in used:
        used[name] = definitions[name]
        for reference in references(definitions[name]):
            collect(definitions, reference.removeprefix("#/definitions/"), used)


def references(schema):
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def custom(folder, definition):
    for kind, schema in kinds_of(definition):
        write(folder, kind, schema)


def kinds_of(definition):
    """Each version of a definition's kind, with its schema."""
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = strict({**version["schema"]["openAPIV3Schema"]})
        schema["properties"] = {**schema.get("properties", {}), **EVERY_KIND}
        yield {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}, schema


def strict(schema):
    """OpenAPI's way to say things as JSON schema's, and no fields but those that are named."""
    if isinstance(schema, list):
        return [strict(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return INT_OR_STRING
    # Formats are the API server's (int64, date-time with its zone), not JSON schema's.
    dropped = ("format", "default", "description")
    result = {key: strict(value) for key, value in schema.items() if key not in dropped and not key.startswith("x-")}
    for key in ("properties", "definitions"):
        if isinstance(schema.get(key), dict):
            result[key] = {name: strict(value) for name, value in schema[key].items()}
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        result["type"] = [schema["type"], "null"]
    open_to_all = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("properties") and not open_to_all:
        result["additionalProperties"] = False
    return result


def write(folder, kind, schema):
    name = "-".join(part for part in (kind["kind"], kind["group"].split(".")[0], kind["version"]) if part).lower()
    (folder / f"{name}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    main()
