package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"cluster/container"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// life is where a container is between created and ended.
type life struct {
	state   cri.ContainerState
	started time.Time
	end     container.End
}

// life reads a container's state from the files of its shim.
func (p *processes) life(c *podContainer) (life, error) {
	if !c.Launched {
		return life{state: cri.ContainerState_CONTAINER_CREATED}, nil
	}
	state, err := container.ReadState(p.home(c.ID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return life{}, err
	}
	if end, ended := container.ReadEnd(p.home(c.ID)); ended {
		return life{state: cri.ContainerState_CONTAINER_EXITED, started: state.Started, end: end}, nil
	}
	return life{state: cri.ContainerState_CONTAINER_RUNNING, started: state.Started}, nil
}

// ListContainers lists containers with what their shims say.
func (p *processes) ListContainers(_ context.Context, filter *cri.ContainerFilter) ([]*cri.Container, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*cri.Container
	for _, c := range p.containers {
		now, err := p.life(c)
		if err != nil {
			return nil, err
		}
		if !c.passes(filter, now.state) {
			continue
		}
		all = append(all, &cri.Container{
			Id: c.ID, PodSandboxId: c.Sandbox, Metadata: c.config.Metadata, Image: c.config.Image, ImageRef: c.Image, ImageId: c.Image,
			State: now.state, CreatedAt: nanoseconds(c.Created), Labels: c.config.Labels, Annotations: c.config.Annotations,
		})
	}
	return all, nil
}

func (c *podContainer) passes(filter *cri.ContainerFilter, state cri.ContainerState) bool {
	if filter == nil {
		return true
	}
	return (filter.Id == "" || filter.Id == c.ID) &&
		(filter.PodSandboxId == "" || filter.PodSandboxId == c.Sandbox) &&
		(filter.State == nil || filter.State.State == state) &&
		matches(filter.LabelSelector, c.config.Labels)
}

// ContainerStatus describes one container.
func (p *processes) ContainerStatus(_ context.Context, id string, _ bool) (*cri.ContainerStatusResponse, error) {
	c, s, err := p.find(id)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.life(c)
	if err != nil {
		return nil, err
	}
	user := c.config.GetLinux().GetSecurityContext().GetRunAsUser().GetValue()
	return &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{
		Id: id, Metadata: c.config.Metadata, State: now.state,
		CreatedAt: nanoseconds(c.Created), StartedAt: nanoseconds(now.started), FinishedAt: nanoseconds(now.end.Finished),
		ExitCode: now.end.Code, Reason: now.end.Reason, Message: now.end.Message,
		Image: c.config.Image, ImageRef: c.Image, ImageId: c.Image,
		Labels: c.config.Labels, Annotations: c.config.Annotations, Mounts: c.config.Mounts,
		LogPath: filepath.Join(s.config.LogDirectory, c.config.LogPath),
		User:    &cri.ContainerUser{Linux: &cri.LinuxContainerUser{Uid: user, Gid: user}},
	}}, nil
}
