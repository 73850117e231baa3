package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// cluster is one cluster: its name, its directory and what it was told.
type cluster struct {
	name, dir string
	config    config
}

// config is what `up` was told and the nodes that there are: enough to start any part again.
type config struct {
	Bare           bool         `json:"bare"`
	CPU            string       `json:"cpu"`
	Memory         string       `json:"memory"`
	NodeGrace      string       `json:"nodeGrace"`           // how long a silent node counts as Ready
	APIServer      string       `json:"apiserver,omitempty"` // its version, if it is older than the rest
	APIServerFlags []string     `json:"apiserverFlags,omitempty"`
	Nodes          []nodeConfig `json:"nodes"`
}

// nodeConfig is a node's name and the first three bytes of its Pods' addresses.
type nodeConfig struct {
	Name string `json:"name"`
	CIDR string `json:"cidr"`
}

const (
	stateParent = "/tmp/serin-cluster"
	firstNode   = "node-1"
	apiAddress  = "10.244.1.1"
)

// A name becomes part of names of network namespaces and files.
var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

// open returns the cluster of that name, whether it is up or not.
func open(name string) (*cluster, error) {
	if !validName.MatchString(name) {
		return nil, usage("%q is no name for a cluster: use up to 32 lower case letters, digits and dashes", name)
	}
	parent := os.Getenv("SERIN_CLUSTER_STATE")
	if parent == "" {
		parent = stateParent
	}
	dir, err := filepath.Abs(filepath.Join(parent, name))
	if err != nil {
		return nil, err
	}
	c := &cluster{name: name, dir: dir}
	if err := readJSON(c.path("cluster.json"), &c.config); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return c, nil
}

func (c *cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.dir}, elements...)...)
}

func (c *cluster) imageDir() string           { return c.path("images") }
func (c *cluster) nodeDir(name string) string { return c.path("nodes", name) }
func (c *cluster) kubeconfig() string         { return c.path("kubeconfig") }

// mustBeThere fails unless `up` was called since the last `down`.
func (c *cluster) mustBeThere() error {
	if len(c.config.Nodes) == 0 {
		return fmt.Errorf("cluster %q is not up", c.name)
	}
	return nil
}

func (c *cluster) save() error {
	return writeJSON(c.path("cluster.json"), c.config)
}

// node returns the configuration of a node.
func (c *cluster) node(name string) (nodeConfig, error) {
	i := slices.IndexFunc(c.config.Nodes, func(n nodeConfig) bool { return n.Name == name })
	if i < 0 {
		return nodeConfig{}, fmt.Errorf("there is no node %q", name)
	}
	return c.config.Nodes[i], nil
}

func readJSON(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// writeJSON replaces file as a whole, so that no reader sees half of it.
func writeJSON(file string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
