package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cluster/container"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// command prepares a program in a running container: its namespaces, its user, its environment.
func (p *processes) command(ctx context.Context, id string, argv []string) (*exec.Cmd, error) {
	state, err := container.ReadState(p.home(id))
	if err != nil || p.ended(id) {
		return nil, fmt.Errorf("container %s is not running", id)
	}
	spec, err := container.ReadSpec(p.home(id))
	if err != nil {
		return nil, err
	}
	args := []string{
		"--target=" + strconv.Itoa(state.Process), "--mount", "--pid", "--net", "--uts",
		"--setuid=" + strconv.Itoa(spec.UID), "--setgid=" + strconv.Itoa(spec.GID), "--",
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(args, argv...)...)
	cmd.Env = spec.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd, nil
}

// exitError turns a program's failure into the error that the kubelet understands; a timeout stays one.
func exitError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		return utilexec.CodeExitError{Err: err, Code: failed.ExitCode()}
	}
	return err
}

// ExecSync runs a program in a container to its end, for probes and hooks.
func (p *processes) ExecSync(ctx context.Context, id string, argv []string, timeout time.Duration) ([]byte, []byte, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	cmd, err := p.command(ctx, id, argv)
	if err != nil {
		return nil, nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = exitError(ctx, cmd.Run())
	return stdout.Bytes(), stderr.Bytes(), err
}

// serveStreams starts the server that the kubelet sends `kubectl exec` and `kubectl port-forward` to.
func (p *processes) serveStreams() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	config := streaming.DefaultConfig
	config.Addr = listener.Addr().String()
	if p.streams, err = streaming.NewServer(config, streamed{p}); err != nil {
		return err
	}
	go func() { fatal(http.Serve(listener, p.streams)) }()
	return nil
}

// Exec answers where to run a program with streams.
func (p *processes) Exec(_ context.Context, request *cri.ExecRequest) (*cri.ExecResponse, error) {
	return p.streams.GetExec(request)
}

// PortForward answers where to reach a Pod's port.
func (p *processes) PortForward(_ context.Context, request *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	return p.streams.GetPortForward(request)
}

// Attach is not possible: a container's streams belong to its shim.
func (p *processes) Attach(context.Context, *cri.AttachRequest) (*cri.AttachResponse, error) {
	return nil, errors.New("attach is not supported; use logs or exec")
}

// streamed does what the streaming server is asked for.
type streamed struct{ p *processes }

// Exec runs a program in a container. A terminal is not provided: with one, both outputs go to it unchanged.
func (s streamed) Exec(ctx context.Context, id string, argv []string, in io.Reader, out, errs io.WriteCloser, _ bool,
	_ <-chan remotecommand.TerminalSize,
) error {
	cmd, err := s.p.command(ctx, id, argv)
	if err != nil {
		return err
	}
	cmd.Stdin = in
	if out != nil {
		cmd.Stdout = out
	}
	switch {
	case errs != nil:
		cmd.Stderr = errs
	case out != nil:
		cmd.Stderr = out
	}
	return exitError(ctx, cmd.Run())
}

// Attach is refused before it comes here.
func (s streamed) Attach(context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize) error {
	return errors.New("attach is not supported")
}

// PortForward copies between a stream and a port of a Pod.
func (s streamed) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	box := s.p.sandbox(id)
	if box == nil {
		return fmt.Errorf("sandbox %s not found", id)
	}
	host := box.IP
	if host == "" {
		host = "127.0.0.1"
	}
	to, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("reach port %d: %w", port, err)
	}
	defer to.Close()
	done := make(chan error, 2)
	go func() { _, err := io.Copy(to, stream); done <- err }()
	go func() { _, err := io.Copy(stream, to); done <- err }()
	if err := <-done; err != nil && !strings.Contains(err.Error(), "closed") {
		return err
	}
	return nil
}
