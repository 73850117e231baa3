package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	kubernetes "k8s.io/component-base/version"
)

// olderProgram is where tools.sh puts the API server of an older Kubernetes.
func olderProgram(version string) string {
	return filepath.Join(cache(), "bin", "kube-apiserver-"+version)
}

// olderVersion completes the version that `up` was told, such as 1.35, and returns "" for the one of this program.
func olderVersion(wanted string) (string, error) {
	own, older := strings.TrimPrefix(kubernetes.Get().GitVersion, "v"), version("KUBE_APISERVER")
	switch {
	case wanted == "" || isVersion(own, wanted):
		return "", nil
	case !isVersion(older, wanted):
		return "", usage("there is no Kubernetes %q: the versions are %s and %s", wanted, own, older)
	}
	if _, err := os.Stat(olderProgram(older)); err != nil {
		return "", fmt.Errorf("the API server of Kubernetes %s is missing: `tests/cluster/tools.sh older` builds it", older)
	}
	return older, nil
}

// isVersion says whether a version is the one that is wanted, or one of its patches.
func isVersion(version, wanted string) bool {
	return version == wanted || strings.HasPrefix(version, wanted+".")
}
