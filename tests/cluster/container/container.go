// Package container turns a process into a container, and watches over it.
//
// A container is three steps of the same binary. The kubelet's runtime starts "container FILE", the shim: it outlives the
// kubelet, writes the log and, in the end, how the container ended. The shim starts "container-root FILE" in new mount, PID
// and UTS namespaces; that builds the container's root and then becomes its program.
//
// The package uses nothing but the standard library and does its work in init: Go initialises it before the
// Kubernetes packages, which would cost each container 0.1 s and 60 MB. Were the order to change, only that would be lost.
package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Spec is all that a process needs to become a container.
type Spec struct {
	Home       string   // the container's own directory: state, lock, end, root
	Log        string   // where its output goes, in the kubelet's format
	Netns      string   // path of the Pod's network namespace; empty: the node's
	Program    string   // the executable that stands for the image
	Name       string   // the program's name in the container
	Args       []string // the program and its arguments
	Env        []string
	WorkingDir string
	Hostname   string
	Resolv     string // path of its resolv.conf; empty: none
	UID, GID   int
	Groups     []int
	ReadOnly   bool // the root, not the mounts
	Mounts     []Mount
}

// Mount is a directory or file of the node in the container.
type Mount struct {
	From, To string
	ReadOnly bool
}

// State says which processes a running container is.
type State struct {
	Shim, Process int
	Started       time.Time
}

// End says how a container ended.
type End struct {
	Code            int32
	Reason, Message string
	Finished        time.Time
}

// Names of the files in a container's home.
const (
	specFile  = "spec.json"
	stateFile = "state.json"
	endFile   = "end.json"
	lockFile  = "lock"
	rootDir   = "root"
)

func init() {
	if len(os.Args) != 3 {
		return
	}
	switch os.Args[1] {
	case "container":
		runtime.LockOSThread() // the container dies with the thread that started it, so that has to be the main one
		exit(shim(os.Args[2]))
	case "container-root":
		runtime.LockOSThread()
		exit(become(os.Args[2]))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Write stores the spec in the container's home and returns the file's path.
func (s *Spec) Write() (string, error) {
	if err := os.MkdirAll(filepath.Join(s.Home, rootDir), 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(s.Home, specFile)
	return file, writeJSON(file, s)
}

// ReadState returns the processes of the container that lives in home.
func ReadState(home string) (State, error) {
	var state State
	return state, readJSON(filepath.Join(home, stateFile), &state)
}

// ReadSpec returns what the container in home was made from.
func ReadSpec(home string) (Spec, error) {
	var spec Spec
	return spec, readJSON(filepath.Join(home, specFile), &spec)
}

// ReadEnd returns how the container in home ended, and false while it runs.
// A shim that was killed leaves no end: its container died with it, by SIGKILL, and the end is written here.
func ReadEnd(home string) (End, bool) {
	var end End
	if readJSON(filepath.Join(home, endFile), &end) == nil {
		return end, true
	}
	if alive(home) {
		return End{}, false
	}
	if readJSON(filepath.Join(home, endFile), &end) == nil { // it ended between the two looks
		return end, true
	}
	end = End{Code: 137, Reason: "Error", Message: "the container's shim was killed", Finished: time.Now()}
	_ = writeJSON(filepath.Join(home, endFile), end) // if that fails, the next reader tries again
	return end, true
}

// alive reports whether a shim holds the lock of home.
func alive(home string) bool {
	lock, err := os.Open(filepath.Join(home, lockFile))
	if err != nil {
		return false
	}
	defer lock.Close()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

func readJSON(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// writeJSON replaces file as a whole, so that no reader sees half of it.
func writeJSON(file string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
