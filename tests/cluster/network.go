package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	netnsDir    = "/run/netns"
	bridge      = "cni0"
	podNetwork  = "10.244.0.0/16"
	serviceCIDR = "10.96.0.0/16"
)

func netnsPath(name string) string { return filepath.Join(netnsDir, name) }

// podNetns is the name of a Pod's network namespace.
func (c *cluster) podNetns(id string) string { return c.name + "-" + id }

// podNetnsPattern matches the network namespaces of this cluster's Pods, and not those of a cluster whose name is longer.
func (c *cluster) podNetnsPattern() *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.QuoteMeta(c.name) + "-[0-9a-f]{12}$")
}

// addNetwork makes the cluster's network namespace with the bridge that Pods hang on.
func (c *cluster) addNetwork() error {
	if err := run("ip", "netns", "add", c.name); err != nil {
		return err
	}
	// The bridge has a fixed address, or it takes the lowest one of its Pods and changes it when that Pod goes. The Service
	// range has a route, or the kernel says "unreachable" before kube-proxy's rules are asked.
	err := batch(c.name, "link set lo up",
		"link add "+bridge+" type bridge",
		"link set "+bridge+" address 02:00:0a:f4:01:01",
		"link set "+bridge+" up",
		"addr add "+apiAddress+"/16 dev "+bridge,
		"route add "+serviceCIDR+" dev "+bridge)
	if err != nil {
		return err
	}
	return inNetns(c.name, func() error {
		for name, value := range map[string]string{"ip_forward": "1", "conf/all/send_redirects": "0", "conf/" + bridge + "/send_redirects": "0"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// addNodeAddress gives a node its address on the bridge; the first one has it from the start.
func (c *cluster) addNodeAddress(node nodeConfig) error {
	return run("ip", "-n", c.name, "addr", "replace", node.CIDR+".1/16", "dev", bridge)
}

// addPodNetwork makes a Pod's network namespace with the address cidr.last. It runs in the cluster's namespace.
// The address is a /32 routed by the node: else replies on the way Pod, Service, Pod would bypass the translation of addresses.
func addPodNetwork(netns, cidr string, last int) error {
	if err := run("ip", "netns", "add", netns); err != nil {
		return err
	}
	veth := fmt.Sprintf("v%s.%d", cidr[strings.LastIndex(cidr, ".")+1:], last)
	err := batch("", "link add "+veth+" type veth peer name eth0 netns "+netns,
		"link set "+veth+" master "+bridge+" up",
		"link set "+veth+" type bridge_slave hairpin on")
	if err != nil {
		return err
	}
	return batch(netns, "link set lo up",
		fmt.Sprintf("addr add %s.%d/32 dev eth0", cidr, last),
		hardwareAddress(cidr, last),
		"link set eth0 up",
		"route add "+cidr+".1 dev eth0",
		"route add default via "+cidr+".1")
}

// deleteNetns removes a network namespace's name, and succeeds when there is none.
func deleteNetns(name string) error {
	if _, err := os.Stat(netnsPath(name)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return run("ip", "netns", "del", name)
}

// run runs a program; its error has what the program said.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// batch gives several commands to one ip, in a network namespace or, with none named, in the present one.
func batch(netns string, commands ...string) error {
	args := []string{"-batch", "-"}
	if netns != "" {
		args = append([]string{"-n", netns}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(commands, "; "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// inNetns calls f on a thread in a network namespace; processes that f starts are in it too. The thread ends with f.
func inNetns(name string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: Go ends a thread that it gets back locked
		if err := joinNetns(name); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// joinNetns moves the calling thread to a network namespace.
func joinNetns(name string) error {
	fd, err := unix.Open(netnsPath(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cluster %q is not up", name)
	}
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("join network namespace %s: %w", name, err)
	}
	return nil
}

// execInNetns replaces this process by a program in the cluster's network namespace. It returns only when that fails.
func (c *cluster) execInNetns(argv, env []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return c.execAs(path, argv, env)
}

// execAs is execInNetns for a program that calls itself something else.
func (c *cluster) execAs(path string, argv, env []string) error {
	runtime.LockOSThread()
	if err := joinNetns(c.name); err != nil {
		return err
	}
	if err := unix.Exec(path, argv, env); err != nil {
		return fmt.Errorf("exec %s: %w", path, err)
	}
	return nil
}

// hardwareAddress sets one that follows from the Pod's address: else the node sends to the Pod that had the address before, for
// as long as its neighbour table remembers.
func hardwareAddress(cidr string, last int) string {
	third, _ := strconv.Atoi(cidr[strings.LastIndex(cidr, ".")+1:])
	return fmt.Sprintf("link set eth0 address 02:58:0a:f4:%02x:%02x", third, last)
}
