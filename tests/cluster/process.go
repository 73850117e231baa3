package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mark is the variable that every process of a cluster but its containers has in its environment, with the state directory
// as its value: a process is known by it when its pid file is gone, and is not taken for another that has got its pid.
const mark = "SERIN_CLUSTER_DIR"

// process is one that /proc shows.
type process int

func (p process) file(name string) string { return filepath.Join("/proc", strconv.Itoa(int(p)), name) }

// state is the letter that the kernel gives: R, S, T (stopped), Z (ended, not yet collected); 0 for no such process.
func (p process) state() byte {
	raw, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0
	}
	end := bytes.LastIndexByte(raw, ')') // the program's name may contain anything
	if end < 0 || end+2 >= len(raw) {
		return 0
	}
	return raw[end+2]
}

func (p process) parent() process {
	raw, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1]) // zero if it is none, which ends the search
	return process(pid)
}

func (p process) marked(dir string) bool {
	raw, err := os.ReadFile(p.file("environ"))
	return err == nil && slices.Contains(strings.Split(string(raw), "\x00"), mark+"="+dir)
}

// waitMarked returns when a new process shows its mark, or has ended. It shows nothing for a moment after its start, while the kernel
// loads its program: until then it would pass for another one.
func (p process) waitMarked(dir string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if p.marked(dir) || !p.alive() {
			return
		}
	}
}

func (p process) alive() bool {
	state := p.state()
	return state != 0 && state != 'Z'
}

func (p process) signal(signal syscall.Signal) error {
	if err := syscall.Kill(int(p), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p, err)
	}
	return nil
}

// waitGone returns when the process has ended.
func (p process) waitGone(timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if !p.alive() {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", p)
}

// allProcesses lists what runs on the machine now.
func allProcesses() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			all = append(all, process(pid))
		}
	}
	return all, nil
}

// family is this process and those that it descends from.
func family() []process {
	var all []process
	for p := process(os.Getpid()); p > 1; p = p.parent() {
		all = append(all, p)
	}
	return all
}

// partProcess returns the process of a part, and false when it does not run.
func (c *cluster) partProcess(part string) (process, bool) {
	raw, err := os.ReadFile(c.path(part + ".pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, false
	}
	p := process(pid)
	return p, p.alive() && p.marked(c.dir)
}

// spawn starts a part in the cluster's network namespace, where this process must be, as a session of its own.
func (c *cluster) spawn(p part) error {
	program := p.program
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		program = self
	}
	log, err := os.OpenFile(c.path(p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, p.args...)
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), mark+"="+c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	process(cmd.Process.Pid).waitMarked(c.dir)
	pid := strconv.Itoa(cmd.Process.Pid) + "\n"
	if err := os.WriteFile(c.path(p.name+".pid"), []byte(pid), 0o644); err != nil {
		return err
	}
	return cmd.Process.Release()
}
