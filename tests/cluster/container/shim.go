package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Started is what a shim says on its standard output once the container's program runs. Anything else is why it does not.
const Started = "started"

// shim starts the container that file describes and stays until it has ended.
func shim(file string) error {
	var spec Spec
	if err := readJSON(file, &spec); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(spec.Home, lockFile))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the container: %w", err)
	}
	log, err := openLog(spec.Log)
	if err != nil {
		return err
	}
	child, err := startRoot(&spec, file, log)
	if err != nil {
		fmt.Println(err)
		return writeJSON(filepath.Join(spec.Home, endFile), End{Code: 128, Reason: "StartError", Message: err.Error(), Finished: time.Now()})
	}
	state := State{Shim: os.Getpid(), Process: child.Process.Pid, Started: time.Now()}
	if err := writeJSON(filepath.Join(spec.Home, stateFile), state); err != nil {
		return errors.Join(err, child.Process.Kill())
	}
	fmt.Println(Started)
	os.Stdout.Close()
	end := ended(child.Wait())
	log.drain()
	return writeJSON(filepath.Join(spec.Home, endFile), end)
}

// startRoot starts the second step and waits until it has become the program, or has said why it cannot.
func startRoot(spec *Spec, file string, log *log) (*exec.Cmd, error) {
	failure, report, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer failure.Close()
	child := exec.Command("/proc/self/exe", "container-root", file)
	child.Env = []string{}
	child.ExtraFiles = []*os.File{report}
	child.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
	}
	if child.Stdout, err = log.stream("stdout"); err != nil {
		return nil, err
	}
	if child.Stderr, err = log.stream("stderr"); err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("start the container: %w", err)
	}
	report.Close()
	log.closeWriters()
	reason, err := io.ReadAll(failure) // ends when the program is executed, which closes the descriptor
	if err != nil {
		return nil, err
	}
	if len(reason) > 0 {
		return nil, errors.Join(errors.New(string(reason)), ignoreExit(child.Wait()))
	}
	return child, nil
}

// ignoreExit drops an error that only says that a process failed.
func ignoreExit(err error) error {
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		return nil
	}
	return err
}

// ended puts the result of waiting for a program into the words of the runtime interface.
func ended(err error) End {
	end := End{Reason: "Completed", Finished: time.Now()}
	if err == nil {
		return end
	}
	end.Reason = "Error"
	failed := new(exec.ExitError)
	if !errors.As(err, &failed) {
		end.Code, end.Message = 128, err.Error()
		return end
	}
	status, ok := failed.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		end.Code = 128 + int32(status.Signal())
	default:
		end.Code = int32(failed.ExitCode())
	}
	return end
}

// log is the file that the kubelet reads. It is opened anew on SIGHUP, after the kubelet has moved it away.
type log struct {
	mu      sync.Mutex
	path    string
	file    *os.File
	writers []*os.File
	done    sync.WaitGroup
}

func openLog(path string) (*log, error) {
	l := &log{path: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	go func() {
		for range again {
			if err := l.open(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
	return l, nil
}

func (l *log) open() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}

// stream returns a file whose lines go to the log under name.
func (l *log) stream(name string) (*os.File, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.writers = append(l.writers, to)
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		l.copy(name, bufio.NewReaderSize(from, 16<<10))
	}()
	return to, nil
}

// closeWriters gives up this process's ends of the streams; the container keeps its own.
func (l *log) closeWriters() {
	for _, w := range l.writers {
		w.Close()
	}
}

func (l *log) drain() {
	l.done.Wait()
}

// copy writes each line with its time; a line longer than the buffer in parts, marked as such.
func (l *log) copy(name string, lines *bufio.Reader) {
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			tag := "F"
			if errors.Is(err, bufio.ErrBufferFull) {
				tag = "P"
			}
			l.line(name, tag, strings.TrimSuffix(string(line), "\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (l *log) line(name, tag, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A full disk must not stop the container, and there is nobody to tell.
	_, _ = fmt.Fprintf(l.file, "%s %s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), name, tag, text)
}
