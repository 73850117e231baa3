package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// imageFile is the name of an image's symlink.
func imageFile(image string) string {
	return strings.ReplaceAll(image, "/", "_")
}

// programName is what an image's program is called in a container: the last part of the repository.
func programName(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// addImages makes each IMAGE=PATH known to the nodes. A later one with the same name replaces an earlier one.
func (c *cluster) addImages(images []string) error {
	if err := os.MkdirAll(c.imageDir(), 0o755); err != nil {
		return err
	}
	for _, image := range images {
		name, path, ok := strings.Cut(image, "=")
		if !ok || name == "" || path == "" {
			return usage("an image is given as repository:tag=path, not %q", image)
		}
		if !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
			return usage("image %q has no tag", name)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("image %s: %s is not an executable file", name, path)
		}
		if err := link(path, filepath.Join(c.imageDir(), imageFile(name))); err != nil {
			return err
		}
	}
	return nil
}

// link makes a symlink, or turns the one that is there, in one step: several commands may give the same image at once.
func link(target, name string) error {
	made := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.Symlink(target, made); err != nil {
		return err
	}
	return os.Rename(made, name)
}

// executable finds what stands for an image, or says that there is none, in the words of a registry.
func (p *processes) executable(image string) (string, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(p.cluster.imageDir(), imageFile(image)))
	if err != nil {
		return "", fmt.Errorf("failed to pull and unpack image %q: failed to resolve reference %q: %s: not found", image, image, image)
	}
	return path, nil
}

// ListImages returns none, so that the kubelet collects none.
func (p *processes) ListImages(context.Context, *cri.ImageFilter) ([]*cri.Image, error) {
	return nil, nil
}

// ImageStatus says whether an image need not be pulled. It names no user: the kubelet takes that for root.
func (p *processes) ImageStatus(_ context.Context, spec *cri.ImageSpec, _ bool) (*cri.ImageStatusResponse, error) {
	if _, err := p.executable(spec.Image); err != nil {
		return &cri.ImageStatusResponse{}, nil // "not here" is an answer
	}
	return &cri.ImageStatusResponse{Image: &cri.Image{Id: spec.Image, RepoTags: []string{spec.Image}, Size: 1, Spec: spec}}, nil
}

// PullImage succeeds when there is such an image.
func (p *processes) PullImage(_ context.Context, spec *cri.ImageSpec, _ *cri.AuthConfig, _ *cri.PodSandboxConfig) (string, error) {
	_, err := p.executable(spec.Image)
	return spec.Image, err
}

// RemoveImage does nothing: images belong to the test.
func (p *processes) RemoveImage(context.Context, *cri.ImageSpec) error { return nil }

// ImageFsInfo reports an almost empty disk.
func (p *processes) ImageFsInfo(context.Context) (*cri.ImageFsInfoResponse, error) {
	usage := []*cri.FilesystemUsage{{
		Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: p.dir},
		UsedBytes: &cri.UInt64Value{Value: 1}, InodesUsed: &cri.UInt64Value{Value: 1},
	}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}
