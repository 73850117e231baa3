package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	internalapi "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

// processes is the kubelet's container runtime: a sandbox is a network namespace, a container a process in it.
// What it knows is in files as well, so that a kubelet that is started again finds its Pods.
type processes struct {
	internalapi.RuntimeService      // what is not implemented below is not called by this kubelet
	internalapi.ImageManagerService // likewise
	cluster                         *cluster
	node                            nodeConfig
	dir                             string
	streams                         streaming.Server

	mu         sync.Mutex
	next       int // last byte of the Pod address given last
	sandboxes  map[string]*sandbox
	containers map[string]*podContainer
}

// newRuntime returns the runtime of a node with the Pods that it had when its last kubelet ended.
func newRuntime(c *cluster, node nodeConfig) (*processes, error) {
	p := &processes{
		cluster: c, node: node, dir: c.nodeDir(node.Name), next: 1,
		sandboxes: map[string]*sandbox{}, containers: map[string]*podContainer{},
	}
	for _, dir := range []string{p.sandboxDir(), p.containerDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := p.loadSandboxes(); err != nil {
		return nil, err
	}
	return p, p.loadContainers()
}

func (p *processes) sandboxDir() string   { return filepath.Join(p.dir, "sandboxes") }
func (p *processes) containerDir() string { return filepath.Join(p.dir, "containers") }

// newID returns an identity that no other sandbox or container of any node has.
func newID() string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // documented never to fail
	return hex.EncodeToString(raw)
}

// Close implements both services.
func (p *processes) Close(context.Context) error { return nil }

// Version names the runtime, as `kubectl get nodes -o wide` shows it.
func (p *processes) Version(context.Context, string) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "process", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

// Status reports a runtime that is always ready.
func (p *processes) Status(context.Context, bool) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: "RuntimeReady", Status: true}, {Type: "NetworkReady", Status: true},
	}}}, nil
}

// RuntimeConfig has nothing to say: there are no cgroups.
func (p *processes) RuntimeConfig(context.Context) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{}, nil
}

// UpdateRuntimeConfig ignores the Pod CIDR, which the node was told at its start.
func (p *processes) UpdateRuntimeConfig(context.Context, *cri.RuntimeConfig) error { return nil }

// ListContainerStats returns none: there are no cgroups to measure.
func (p *processes) ListContainerStats(context.Context, *cri.ContainerStatsFilter) ([]*cri.ContainerStats, error) {
	return nil, nil
}

// ListPodSandboxStats returns none: there are no cgroups to measure.
func (p *processes) ListPodSandboxStats(context.Context, *cri.PodSandboxStatsFilter) ([]*cri.PodSandboxStats, error) {
	return nil, nil
}

// stored is how a sandbox or a container is kept in a file: our own record, and the kubelet's configuration of it.
type stored struct {
	Record json.RawMessage
	Config json.RawMessage
}

func store(file string, record any, config proto.Message) error {
	ours, err := json.Marshal(record)
	if err != nil {
		return err
	}
	theirs, err := protojson.Marshal(config)
	if err != nil {
		return err
	}
	return writeJSON(file, stored{Record: ours, Config: theirs})
}

func load(file string, record any, config proto.Message) error {
	var both stored
	if err := readJSON(file, &both); err != nil {
		return err
	}
	if err := json.Unmarshal(both.Record, record); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := protojson.Unmarshal(both.Config, config); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// matches reports whether labels has all of selector.
func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// nanoseconds is a time as the runtime interface wants it: zero for none.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// removeIfThere deletes a file that may be gone already.
func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
