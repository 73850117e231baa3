package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// part is a process of the cluster that can be killed, frozen and started alone.
type part struct {
	name    string
	program string // this one, unless it says another
	args    []string
	health  string // an address that answers 200 when the part works
}

// startTimeout is how long a part may take to become healthy on a busy machine.
const startTimeout = 2 * time.Minute

// parts are all parts of the cluster, in the order in which they start.
func (c *cluster) parts() []part {
	all := []part{c.etcd(), c.apiServer(), c.controllerManager(), c.scheduler(), c.proxy(), c.metrics()}
	for _, node := range c.config.Nodes {
		all = append(all, c.kubelet(node))
	}
	return all
}

func (c *cluster) part(name string) (part, error) {
	all := c.parts()
	i := slices.IndexFunc(all, func(p part) bool { return p.name == name })
	if i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	return part{}, usage("there is no part %q: the parts are %s", name, strings.Join(names, ", "))
}

func (c *cluster) etcd() part {
	const clients, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	return part{name: "etcd", health: clients + "/health", args: []string{
		"etcd", "--data-dir=" + c.path("etcd"), "--log-level=error", "--unsafe-no-fsync",
		"--heartbeat-interval=50", "--election-timeout=250", // alone, it wins after that time
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
	}}
}

func (c *cluster) apiServer() part {
	args := []string{
		"kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + apiAddress,
		"--tls-cert-file=" + c.path("pki", "apiserver.crt"), "--tls-private-key-file=" + c.path("pki", "apiserver.key"),
		"--client-ca-file=" + c.path("ca.crt"), "--token-auth-file=" + c.path("tokens.csv"),
		"--requestheader-client-ca-file=" + c.path("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.path("pki", "front-proxy.crt"), "--proxy-client-key-file=" + c.path("pki", "front-proxy.key"),
		"--enable-aggregator-routing", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged", "--service-cluster-ip-range=" + serviceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.path("pki", "service-accounts.key"),
		"--service-account-signing-key-file=" + c.path("pki", "service-accounts.key"),
		"--kubelet-preferred-address-types=InternalIP", "--kubelet-certificate-authority=" + c.path("ca.crt"),
		"--audit-policy-file=" + c.path("audit-policy.yaml"), "--audit-log-path=" + c.path("audit.log"),
	}
	p := part{name: "kube-apiserver", health: "https://127.0.0.1:6443/readyz", args: append(args, c.config.APIServerFlags...)}
	if c.config.APIServer != "" {
		p.program, p.args = olderProgram(c.config.APIServer), p.args[1:]
	}
	return p
}

func (c *cluster) controllerManager() part {
	return part{name: "kube-controller-manager", health: "https://127.0.0.1:10257/healthz", args: []string{
		"kube-controller-manager", "--kubeconfig=" + c.path("pki", "kube-controller-manager.kubeconfig"),
		"--leader-elect=false", "--bind-address=127.0.0.1",
		"--tls-cert-file=" + c.path("pki", "part.crt"), "--tls-private-key-file=" + c.path("pki", "part.key"),
		"--controllers=*,-node-ipam-controller", "--use-service-account-credentials",
		"--service-account-private-key-file=" + c.path("pki", "service-accounts.key"), "--root-ca-file=" + c.path("ca.crt"),
		"--node-monitor-grace-period=" + c.config.NodeGrace, "--node-monitor-period=1s",
		"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=1s",
	}}
}

func (c *cluster) scheduler() part {
	return part{name: "kube-scheduler", health: "https://127.0.0.1:10259/healthz", args: []string{
		"kube-scheduler", "--kubeconfig=" + c.path("pki", "kube-scheduler.kubeconfig"),
		"--leader-elect=false", "--bind-address=127.0.0.1",
		"--tls-cert-file=" + c.path("pki", "part.crt"), "--tls-private-key-file=" + c.path("pki", "part.key"),
	}}
}

// proxy is one for all nodes: they share the cluster's network namespace.
func (c *cluster) proxy() part {
	return part{name: "kube-proxy", health: "http://127.0.0.1:10256/healthz", args: []string{
		"kube-proxy", "--kubeconfig=" + c.path("pki", "kube-proxy.kubeconfig"), "--proxy-mode=nftables",
		"--hostname-override=" + firstNode, "--cluster-cidr=" + podNetwork, "--healthz-bind-address=127.0.0.1:10256",
		"--conntrack-max-per-core=0",
		"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
	}}
}

func (c *cluster) metrics() part {
	return part{name: "metrics", health: "https://" + metricsAddress + "/healthz", args: []string{"--name", c.name, "metrics"}}
}

func (c *cluster) kubelet(node nodeConfig) part {
	return part{
		name: node.Name, health: fmt.Sprintf("https://%s.1:%d/healthz", node.CIDR, kubeletPort),
		args: []string{"--name", c.name, "node", "--name", node.Name},
	}
}

// insecure asks parts for their health; they have certificates of their own.
var insecure = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}

func (p part) healthy() bool {
	reply, err := insecure.Get(p.health)
	if err != nil {
		return false
	}
	defer reply.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, 1<<20))
	return err == nil && reply.StatusCode == http.StatusOK
}

// startPart starts a part unless it runs, and waits until it is healthy. It must run in the cluster's network namespace.
func (c *cluster) startPart(ctx context.Context, p part) error {
	process, running := c.partProcess(p.name)
	if running && process.state() == 'T' {
		return fmt.Errorf("%s is frozen: thaw it, or kill it first", p.name)
	}
	if !running {
		if err := c.spawn(p); err != nil {
			return err
		}
	}
	return c.waitHealthy(ctx, p)
}

func (c *cluster) waitHealthy(ctx context.Context, p part) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return poll(ctx, p.name+" to be healthy", func() (bool, error) {
		if _, running := c.partProcess(p.name); !running {
			return false, final{fmt.Errorf("%s ended: see %s", p.name, c.path(p.name+".log"))}
		}
		return p.healthy(), nil
	})
}

// final is an error that no further try can mend.
type final struct{ error }

// poll calls f until it returns true or a final error, or the context ends. Any other error may pass, as those of a busy API
// server do; the last one is told if nothing better follows.
func poll(ctx context.Context, what string, f func() (bool, error)) error {
	for {
		done, err := f()
		if done {
			return nil
		}
		if end := (final{}); errors.As(err, &end) {
			return end.error
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("waited in vain for %s: %w", what, err)
			}
			return fmt.Errorf("waited in vain for %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill ends a part at once, as a crash does.
func (c *cluster) kill(name string) error {
	p, err := c.running(name)
	if err != nil {
		return err
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.waitGone(10 * time.Second)
}

// freeze stops a part in the middle of what it does: its connections stay open and nothing answers.
func (c *cluster) freeze(name string) error {
	p, err := c.running(name)
	if err != nil {
		return err
	}
	return p.signal(syscall.SIGSTOP)
}

// thaw lets a frozen part go on.
func (c *cluster) thaw(name string) error {
	p, err := c.running(name)
	if err != nil {
		return err
	}
	return p.signal(syscall.SIGCONT)
}

func (c *cluster) running(name string) (process, error) {
	if _, err := c.part(name); err != nil {
		return 0, err
	}
	p, running := c.partProcess(name)
	if !running {
		return 0, fmt.Errorf("%s does not run", name)
	}
	return p, nil
}

// partStatus is a row of `status`.
type partStatus struct {
	Name  string `json:"name"`
	PID   int    `json:"pid,omitempty"`
	State string `json:"state"`
}

func (c *cluster) partStatus(name string) partStatus {
	p, running := c.partProcess(name)
	switch {
	case !running:
		return partStatus{Name: name, State: "dead"}
	case p.state() == 'T':
		return partStatus{Name: name, PID: int(p), State: "frozen"}
	default:
		return partStatus{Name: name, PID: int(p), State: "running"}
	}
}

// status prints what each part does, and fails unless all of them run.
func (c *cluster) status(format string) error {
	all := []partStatus{}
	down := 0
	if err := c.mustBeThere(); err != nil {
		return err
	}
	for _, p := range c.parts() {
		status := c.partStatus(p.name)
		if status.State != "running" {
			down++
		}
		all = append(all, status)
	}
	if format == "json" {
		if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
			return err
		}
	} else if err := printStatus(all); err != nil {
		return err
	}
	if down > 0 {
		return fmt.Errorf("%d of %d parts do not run", down, len(all))
	}
	return nil
}

func printStatus(all []partStatus) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "PART\tPID\tSTATE")
	for _, status := range all {
		pid := "-"
		if status.PID > 0 {
			pid = fmt.Sprint(status.PID)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", status.Name, pid, status.State)
	}
	return table.Flush()
}
