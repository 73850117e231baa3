package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// down ends the cluster and removes all traces. It looks for what there is instead of trusting its own files.
func (c *cluster) down() error {
	if err := c.endProcesses(); err != nil {
		return err
	}
	if err := unmountBelow(c.dir); err != nil {
		return err
	}
	names, err := c.netnsNames()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := deleteNetns(name); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.dir)
}

// endProcesses kills until nothing is left: what it kills may have started something in the meantime.
func (c *cluster) endProcesses() error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left, err := c.processes()
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		for _, p := range left {
			if err := p.signal(syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	left, err := c.processes()
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("processes do not end: %v", left)
	}
	return err
}

// processes finds the cluster's: by their mark, and by being in one of its network namespaces. The caller's own do not
// count: a test driver in the cluster's namespace may call `down`.
func (c *cluster) processes() ([]process, error) {
	names, err := c.netnsNames()
	if err != nil {
		return nil, err
	}
	networks := map[netns]bool{}
	for _, name := range names {
		if id, err := netnsOf(netnsPath(name)); err == nil {
			networks[id] = true
		}
	}
	all, err := allProcesses()
	if err != nil {
		return nil, err
	}
	ours := family()
	var found []process
	for _, p := range all {
		if slices.Contains(ours, p) || !p.alive() {
			continue
		}
		id, err := netnsOf(p.file("ns/net"))
		if err == nil && networks[id] || p.marked(c.dir) {
			found = append(found, p)
		}
	}
	return found, nil
}

// netns identifies a network namespace.
type netns struct{ device, inode uint64 }

func netnsOf(path string) (netns, error) {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return netns{}, err
	}
	return netns{info.Dev, info.Ino}, nil
}

// netnsNames lists the cluster's network namespaces: its own and those of its Pods.
func (c *cluster) netnsNames() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	pods := c.podNetnsPattern()
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); name == c.name || pods.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// unmountBelow removes all mounts in a directory, the innermost first.
func unmountBelow(dir string) error {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) > 1 {
			if point := unescape.Replace(fields[1]); strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(points)))
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// unescape undoes what the kernel does to names of mount points.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
