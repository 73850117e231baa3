package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"cluster/container"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// podContainer is one container of a Pod; its state is in the files that its shim keeps.
type podContainer struct {
	containerRecord
	config *cri.ContainerConfig
}

type containerRecord struct {
	ID, Sandbox, Image string
	Created            time.Time
	Launched           bool // a shim was started
}

// pollEnd is how often one looks whether a container has ended.
const pollEnd = 10 * time.Millisecond

// searchPath is the PATH of a container that sets none.
const searchPath = "/image:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (p *processes) home(id string) string { return filepath.Join(p.containerDir(), id) }

func (p *processes) saveContainer(c *podContainer) error {
	return store(filepath.Join(p.home(c.ID), "container.json"), c.containerRecord, c.config)
}

func (p *processes) loadContainers() error {
	files, err := filepath.Glob(filepath.Join(p.containerDir(), "*", "container.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		c := &podContainer{config: &cri.ContainerConfig{}}
		if err := load(file, &c.containerRecord, c.config); err != nil {
			return err
		}
		p.containers[c.ID] = c
	}
	return nil
}

// find returns a container and its sandbox.
func (p *processes) find(id string) (*podContainer, *sandbox, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.containers[id]
	if c == nil {
		return nil, nil, fmt.Errorf("container %s not found", id)
	}
	s := p.sandboxes[c.Sandbox]
	if s == nil {
		return nil, nil, fmt.Errorf("sandbox %s of container %s not found", c.Sandbox, id)
	}
	return c, s, nil
}

// CreateContainer remembers a container that is to be started.
func (p *processes) CreateContainer(_ context.Context, sandboxID string, config *cri.ContainerConfig, _ *cri.PodSandboxConfig) (string, error) {
	record := containerRecord{ID: newID(), Sandbox: sandboxID, Image: config.Image.Image, Created: time.Now()}
	c := &podContainer{containerRecord: record, config: config}
	if err := os.MkdirAll(p.home(c.ID), 0o755); err != nil {
		return "", err
	}
	if err := p.saveContainer(c); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.containers[c.ID] = c
	return c.ID, nil
}

// StartContainer starts a container's shim and waits until the program runs.
func (p *processes) StartContainer(_ context.Context, id string) error {
	c, s, err := p.find(id)
	if err != nil {
		return err
	}
	spec, err := p.spec(c, s)
	if err != nil {
		return err
	}
	file, err := spec.Write()
	if err != nil {
		return err
	}
	started := startShim(file)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Launched = true
	if err := p.saveContainer(c); err != nil {
		return errors.Join(started, err)
	}
	if started != nil {
		return fmt.Errorf("failed to start container %q: %w", c.config.Metadata.GetName(), started)
	}
	return nil
}

// startShim returns when the container's program runs or cannot. The shim is a session of its own: it outlives the kubelet.
func startShim(file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	said, answer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	shim := exec.Command(self, "container", file)
	shim.Env = []string{}
	shim.Stdout = answer
	shim.Stderr = os.Stderr
	shim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = shim.Start()
	answer.Close()
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	go func() { _ = shim.Wait() }() // how it ended is in its files
	if line = strings.TrimSpace(line); line == container.Started {
		return nil
	}
	if line == "" {
		return fmt.Errorf("its shim died: %w", err)
	}
	return errors.New(line)
}

// spec puts together what the kubelet asked for.
func (p *processes) spec(c *podContainer, s *sandbox) (*container.Spec, error) {
	program, err := p.executable(c.Image)
	if err != nil {
		return nil, err
	}
	security := c.config.GetLinux().GetSecurityContext()
	spec := &container.Spec{
		Home: p.home(c.ID), Log: filepath.Join(s.config.LogDirectory, c.config.LogPath),
		Program: program, Name: programName(c.Image),
		Args:       arguments(c.config.Command, c.config.Args, programName(c.Image)),
		Env:        p.environment(c, s),
		WorkingDir: c.config.WorkingDir, Hostname: s.config.Hostname,
		ReadOnly: security.GetReadonlyRootfs(),
	}
	if s.Netns != "" {
		spec.Netns = netnsPath(s.Netns)
	}
	setUser(spec, security)
	for _, m := range c.config.Mounts {
		spec.Mounts = append(spec.Mounts, container.Mount{From: m.HostPath, To: m.ContainerPath, ReadOnly: m.Readonly})
	}
	if text, ok := s.resolvConf(); ok {
		spec.Resolv = filepath.Join(spec.Home, "resolv.conf")
		if err := os.WriteFile(spec.Resolv, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

// setUser sets user and groups. A user without a group has a group of the same number, as in a distroless image.
func setUser(spec *container.Spec, security *cri.LinuxContainerSecurityContext) {
	if user := security.GetRunAsUser(); user != nil {
		spec.UID, spec.GID = int(user.Value), int(user.Value)
	}
	if group := security.GetRunAsGroup(); group != nil {
		spec.GID = int(group.Value)
	}
	for _, group := range security.GetSupplementalGroups() {
		spec.Groups = append(spec.Groups, int(group))
	}
}

// environment is what the Pod sets, and what any image would set unless the Pod does.
func (p *processes) environment(c *podContainer, s *sandbox) []string {
	env := map[string]bool{}
	var list []string
	add := func(name, value string) {
		if !env[name] {
			env[name] = true
			list = append(list, name+"="+value)
		}
	}
	for _, e := range slices.Backward(c.config.Envs) {
		add(e.Key, string(e.Value))
	}
	for name, value := range map[string]string{"PATH": searchPath, "HOME": "/tmp", "IMAGE": c.Image, "HOSTNAME": s.config.Hostname} {
		add(name, value)
	}
	return list
}

// StopContainer asks a container to end and, after timeout seconds, makes it.
func (p *processes) StopContainer(ctx context.Context, id string, timeout int64) error {
	state, err := container.ReadState(p.home(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it never ran
	}
	if err != nil {
		return err
	}
	if p.ended(id) {
		return nil
	}
	if timeout > 0 {
		signalProcess(state.Process, syscall.SIGTERM)
		if p.waitEnd(ctx, id, time.Duration(timeout)*time.Second) {
			return nil
		}
	}
	if !p.ended(id) {
		signalProcess(state.Process, syscall.SIGKILL)
	}
	if !p.waitEnd(ctx, id, 10*time.Second) {
		return fmt.Errorf("container %s does not end", id)
	}
	return nil
}

// signalProcess sends a signal to a process that may just have ended.
func signalProcess(pid int, signal syscall.Signal) {
	_ = syscall.Kill(pid, signal)
}

func (p *processes) ended(id string) bool {
	_, ended := container.ReadEnd(p.home(id))
	return ended
}

func (p *processes) waitEnd(ctx context.Context, id string, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if p.ended(id) {
			return true
		}
		time.Sleep(pollEnd)
	}
	return p.ended(id)
}

// RemoveContainer ends a container and forgets it.
func (p *processes) RemoveContainer(ctx context.Context, id string) error {
	if err := p.StopContainer(ctx, id, 0); err != nil {
		return err
	}
	p.mu.Lock()
	delete(p.containers, id)
	p.mu.Unlock()
	return os.RemoveAll(p.home(id))
}

// ReopenContainerLog tells the shim that its log was moved away.
func (p *processes) ReopenContainerLog(_ context.Context, id string) error {
	state, err := container.ReadState(p.home(id))
	if err != nil {
		return err
	}
	return syscall.Kill(state.Shim, syscall.SIGHUP)
}

// UpdateContainerResources changes nothing: limits are not enforced.
func (p *processes) UpdateContainerResources(context.Context, string, *cri.ContainerResources) error {
	return nil
}

// arguments is what runs: the command with its arguments, or without a command the image's program with them.
func arguments(command, args []string, program string) []string {
	if len(command) == 0 {
		command = []string{"/image/" + program}
	}
	return slices.Concat(command, args)
}
