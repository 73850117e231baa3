package container

import (
	"fmt"
	"runtime"
	"syscall"
)

// setnsNumber and prSetPdeathsig are missing in package syscall. golang.org/x/sys/unix has them, but to import it would
// have this package initialised after Kubernetes.
var setnsNumber = map[string]uintptr{"amd64": 308, "arm64": 268}

const prSetPdeathsig = 1

func setns(fd uintptr, kind int) error {
	if _, _, errno := syscall.RawSyscall(setnsNumber[runtime.GOARCH], fd, uintptr(kind), 0); errno != 0 {
		return errno
	}
	return nil
}

func dieWithParent() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetPdeathsig, uintptr(syscall.SIGKILL), 0); errno != 0 {
		return fmt.Errorf("die with the parent: %w", errno)
	}
	return nil
}
