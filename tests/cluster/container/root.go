package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// shared is what containers see of the machine's own system, read-only: programs, libraries and what those read.
var shared = []string{
	"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr",
	"etc/alternatives", "etc/group", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/localtime",
	"etc/nsswitch.conf", "etc/passwd", "etc/protocols", "etc/services", "etc/ssl", "etc/ca-certificates",
}

// devices are the nodes in a container's /dev.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// reportDescriptor is where the second step says why it failed; it closes when the program is executed.
const reportDescriptor = 3

// become turns this process into the container that file describes. It returns only when that fails.
func become(file string) error {
	syscall.CloseOnExec(reportDescriptor)
	err := enter(file)
	report := os.NewFile(reportDescriptor, "report")
	_, written := fmt.Fprint(report, err)
	return errors.Join(err, written)
}

func enter(file string) error {
	var spec Spec
	if err := readJSON(file, &spec); err != nil {
		return err
	}
	if err := enterNetwork(spec.Netns); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	root := filepath.Join(spec.Home, rootDir)
	if err := buildRoot(root); err != nil {
		return err
	}
	if err := placeAll(&spec, root); err != nil {
		return err
	}
	if err := changeRoot(root, spec.ReadOnly); err != nil {
		return err
	}
	return execute(&spec)
}

// enterNetwork joins the Pod's network namespace, in which ports below 1024 need no privilege.
func enterNetwork(path string) error {
	if path == "" {
		return nil
	}
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the Pod's network namespace: %w", err)
	}
	defer ns.Close()
	if err := setns(ns.Fd(), syscall.CLONE_NEWNET); err != nil {
		return fmt.Errorf("join the Pod's network namespace: %w", err)
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
}

// buildRoot makes root a file system of its own, with the machine's system in it.
func buildRoot(root string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{"tmp", "run", "var/tmp", "var/log", "var/cache", "var/lib", "home"} {
		if err := openDir(filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"root", "etc", "image", "proc", "sys", "dev"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, name := range shared {
		if err := share("/"+name, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", filepath.Join(root, "var/run")); err != nil {
		return err
	}
	if err := mount("proc", filepath.Join(root, "proc"), "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := mount("sysfs", filepath.Join(root, "sys"), "sysfs", syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	return buildDev(filepath.Join(root, "dev"))
}

func mount(from, to, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(from, to, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", from, to, err)
	}
	return nil
}

// openDir makes a directory that everyone may write to, whatever the umask.
func openDir(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o777|os.ModeSticky)
}

// share shows a file, directory or link of the machine at to. What the machine does not have is left out.
func share(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	return bind(from, to, true)
}

// bind mounts from, a directory or a file, on to, which it makes when there is nothing.
func bind(from, to string, readOnly bool) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else {
		err = touch(to)
	}
	if err != nil {
		return err
	}
	if err := mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if !readOnly {
		return nil
	}
	return mount("", to, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

func touch(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o644)
}

func buildDev(dev string) error {
	if err := mount("tmpfs", dev, "tmpfs", syscall.MS_NOSUID, "mode=755"); err != nil {
		return err
	}
	for _, name := range devices {
		if err := bind("/dev/"+name, filepath.Join(dev, name), false); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return openDir(filepath.Join(dev, "shm"))
}

// placeAll brings in the image's program, resolv.conf and the Pod's volumes.
func placeAll(spec *Spec, root string) error {
	if err := bind(spec.Program, filepath.Join(root, "image", spec.Name), true); err != nil {
		return err
	}
	if spec.Resolv != "" {
		if err := bind(spec.Resolv, filepath.Join(root, "etc/resolv.conf"), true); err != nil {
			return err
		}
	}
	for _, m := range spec.Mounts {
		to := strings.Replace(filepath.Clean(m.To), "/var/run/", "/run/", 1) // the link would lead out of the new root
		if err := bind(m.From, filepath.Join(root, to), m.ReadOnly); err != nil {
			return err
		}
	}
	if spec.WorkingDir != "" {
		if err := os.MkdirAll(filepath.Join(root, spec.WorkingDir), 0o755); err != nil {
			return err
		}
	}
	// Small images have their program in the root, and Pods that name it there find it.
	if err := os.Symlink("/image/"+spec.Name, filepath.Join(root, spec.Name)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// changeRoot leaves the machine's file system behind.
func changeRoot(root string, readOnly bool) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if !readOnly {
		return nil
	}
	return mount("", "/", "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// execute gives up privileges and runs the container's program. It returns only when that fails.
func execute(spec *Spec) error {
	argv := spec.Args
	if len(argv) == 0 || strings.HasPrefix(argv[0], "-") {
		argv = append([]string{"/image/" + spec.Name}, argv...)
	}
	if spec.WorkingDir != "" {
		if err := os.Chdir(spec.WorkingDir); err != nil {
			return err
		}
	}
	path, err := lookPath(argv[0], spec.Env)
	if err != nil {
		return err
	}
	if err := dropPrivileges(spec); err != nil {
		return err
	}
	if err := syscall.Exec(path, argv, spec.Env); err != nil {
		return fmt.Errorf("exec %q: %w", argv[0], err)
	}
	return nil
}

// lookPath finds a program as a container runtime does, in the container's PATH.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, variable := range env {
		list, ok := strings.CutPrefix(variable, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("exec %q: executable file not found in $PATH", name)
}

func dropPrivileges(spec *Spec) error {
	if err := syscall.Setgroups(spec.Groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if err := syscall.Setgid(spec.GID); err != nil {
		return fmt.Errorf("set the group to %d: %w", spec.GID, err)
	}
	if err := syscall.Setuid(spec.UID); err != nil {
		return fmt.Errorf("set the user to %d: %w", spec.UID, err)
	}
	return dieWithParent() // the kernel forgets this when the user changes
}
