package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandbox is a Pod's network namespace.
type sandbox struct {
	sandboxRecord
	config *cri.PodSandboxConfig
}

type sandboxRecord struct {
	ID, IP, Netns string // a Pod in the node's network has neither address nor namespace
	Created       time.Time
	Ready         bool
}

func (p *processes) saveSandbox(s *sandbox) error {
	return store(filepath.Join(p.sandboxDir(), s.ID+".json"), s.sandboxRecord, s.config)
}

func (p *processes) loadSandboxes() error {
	files, err := filepath.Glob(filepath.Join(p.sandboxDir(), "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		s := &sandbox{config: &cri.PodSandboxConfig{}}
		if err := load(file, &s.sandboxRecord, s.config); err != nil {
			return err
		}
		p.sandboxes[s.ID] = s
	}
	return nil
}

// RunPodSandbox gives a Pod its network.
func (p *processes) RunPodSandbox(_ context.Context, config *cri.PodSandboxConfig, _ string) (string, error) {
	s := &sandbox{sandboxRecord: sandboxRecord{ID: newID(), Created: time.Now(), Ready: true}, config: config}
	if config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() != cri.NamespaceMode_NODE {
		s.Netns = p.cluster.podNetns(s.ID)
	}
	last, err := p.reserve(s)
	if err != nil {
		return "", err
	}
	if s.Netns != "" {
		if err := addPodNetwork(s.Netns, p.node.CIDR, last); err != nil {
			p.forget(s.ID)
			return "", errors.Join(err, deleteNetns(s.Netns))
		}
	}
	if config.LogDirectory != "" {
		if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
			return "", err
		}
	}
	return s.ID, p.saveSandbox(s)
}

// reserve gives the sandbox the next free address, oldest first, so that none goes to another Pod at once.
func (p *processes) reserve(s *sandbox) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sandboxes[s.ID] = s
	if s.Netns == "" {
		return 0, nil
	}
	used := map[string]bool{}
	for _, other := range p.sandboxes {
		if other.Ready {
			used[other.IP] = true
		}
	}
	for range 253 {
		if p.next++; p.next > 254 {
			p.next = 2
		}
		if ip := fmt.Sprintf("%s.%d", p.node.CIDR, p.next); !used[ip] {
			s.IP = ip
			return p.next, nil
		}
	}
	delete(p.sandboxes, s.ID)
	return 0, errors.New("no free Pod address on this node")
}

func (p *processes) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sandboxes, id)
}

func (p *processes) sandbox(id string) *sandbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sandboxes[id]
}

// inside returns the ids of a sandbox's containers.
func (p *processes) inside(id string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for _, c := range p.containers {
		if c.Sandbox == id {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// StopPodSandbox ends what still runs in a Pod and takes its network away.
func (p *processes) StopPodSandbox(ctx context.Context, id string) error {
	s := p.sandbox(id)
	if s == nil || !s.Ready {
		return nil
	}
	for _, container := range p.inside(id) {
		if err := p.StopContainer(ctx, container, 0); err != nil {
			return err
		}
	}
	if s.Netns != "" {
		if err := deleteNetns(s.Netns); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Ready = false
	return p.saveSandbox(s)
}

// RemovePodSandbox stops a Pod and forgets it.
func (p *processes) RemovePodSandbox(ctx context.Context, id string) error {
	if err := p.StopPodSandbox(ctx, id); err != nil {
		return err
	}
	p.forget(id)
	return removeIfThere(filepath.Join(p.sandboxDir(), id+".json"))
}

func (s *sandbox) state() cri.PodSandboxState {
	if s.Ready {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

// PodSandboxStatus describes one sandbox.
func (p *processes) PodSandboxStatus(_ context.Context, id string, _ bool) (*cri.PodSandboxStatusResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sandboxes[id]
	if s == nil {
		return nil, fmt.Errorf("sandbox %s not found", id)
	}
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id: id, Metadata: s.config.Metadata, State: s.state(), CreatedAt: nanoseconds(s.Created),
		Network: &cri.PodSandboxNetworkStatus{Ip: s.IP}, Labels: s.config.Labels, Annotations: s.config.Annotations,
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{
			Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions(),
		}},
	}}, nil
}

// ListPodSandbox lists sandboxes, the newest first.
func (p *processes) ListPodSandbox(_ context.Context, filter *cri.PodSandboxFilter) ([]*cri.PodSandbox, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*cri.PodSandbox
	for _, s := range p.sandboxes {
		if !s.passes(filter) {
			continue
		}
		all = append(all, &cri.PodSandbox{
			Id: s.ID, Metadata: s.config.Metadata, State: s.state(), CreatedAt: nanoseconds(s.Created),
			Labels: s.config.Labels, Annotations: s.config.Annotations,
		})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].CreatedAt > all[j].CreatedAt })
	return all, nil
}

func (s *sandbox) passes(filter *cri.PodSandboxFilter) bool {
	if filter == nil {
		return true
	}
	return (filter.Id == "" || filter.Id == s.ID) &&
		(filter.State == nil || filter.State.State == s.state()) &&
		matches(filter.LabelSelector, s.config.Labels)
}

// resolvConf is the Pod's resolv.conf, and false when it is to have none.
func (s *sandbox) resolvConf() (string, bool) {
	dns := s.config.DnsConfig
	if dns == nil {
		return "", false
	}
	var text strings.Builder
	for _, server := range dns.Servers {
		fmt.Fprintln(&text, "nameserver", server)
	}
	if len(dns.Searches) > 0 {
		fmt.Fprintln(&text, "search", strings.Join(dns.Searches, " "))
	}
	if len(dns.Options) > 0 {
		fmt.Fprintln(&text, "options", strings.Join(dns.Options, " "))
	}
	return text.String(), true
}
