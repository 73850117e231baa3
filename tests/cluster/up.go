package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// upTimeout is how long all of `up` may take on a busy machine.
const upTimeout = 6 * time.Minute

// auditPolicy records who asked for what and what came of it, once a request, without any bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
omitManagedFields: true
rules: [{level: Metadata}]
`

// viewerToken is the token of a user without rights.
const viewerToken = "viewertoken"

const tokens = `admintoken,admin,admin,"system:masters"
` + viewerToken + `,viewer,viewer
`

// up starts a cluster: files and network here, the processes by itself again in the new network namespace.
func (c *cluster) up(images []string) error {
	began := time.Now()
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root, for network namespaces and mounts")
	}
	if _, running := c.partProcess("kube-apiserver"); running {
		return fmt.Errorf("cluster %q is up already: `down` first", c.name)
	}
	if err := c.down(); err != nil { // what a cluster left that died
		return err
	}
	c.config.Nodes = []nodeConfig{{Name: firstNode, CIDR: "10.244.1"}}
	if err := c.addFiles(images); err != nil {
		return err
	}
	if err := c.addNetwork(); err != nil {
		return err
	}
	if err := c.again("up-inside"); err != nil {
		return fmt.Errorf("%w; what there is can be looked at in %s until the next `up` or `down`", err, c.dir)
	}
	c.printUp(time.Since(began))
	return nil
}

// addFiles writes all that the parts read.
func (c *cluster) addFiles(images []string) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	if !c.config.Bare {
		images = append(addonImages(), images...)
	}
	if err := c.addImages(images); err != nil {
		return err
	}
	if err := c.addPrograms(); err != nil {
		return err
	}
	if err := c.addCertificates(); err != nil {
		return err
	}
	for _, node := range c.config.Nodes {
		if err := c.addNodeCertificates(node); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{"audit-policy.yaml": auditPolicy, "tokens.csv": tokens} {
		if err := os.WriteFile(c.path(file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := c.writeKubeconfig(c.kubeconfig(), "token: admintoken"); err != nil {
		return err
	}
	return c.writeKubeconfig(c.path("kubeconfig-viewer"), "token: "+viewerToken)
}

// addPrograms makes a directory for the PATH of tests, with the kubectl and the Helm that fit the cluster.
func (c *cluster) addPrograms() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("bin"), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, c.path("bin", "kubectl")); err != nil {
		return err
	}
	return os.Symlink(filepath.Join(cache(), "bin", "helm-"+version("HELM")), c.path("bin", "helm"))
}

// again runs another command of this program, for this cluster, in its network namespace, and waits for it.
func (c *cluster) again(args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{"--name", c.name}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no half of a command goes on without the other
	err = inNetns(c.name, cmd.Run)
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		return fmt.Errorf("%s failed", args[0])
	}
	return err
}

// upInside is the second half of up, in the cluster's network namespace.
func (c *cluster) upInside(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	if err := c.startAll(ctx); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := c.addAddons(ctx, client); err != nil {
		return err
	}
	for _, p := range c.parts() {
		if err := c.waitHealthy(ctx, p); err != nil {
			return err
		}
	}
	if err := waitMetrics(ctx, client); err != nil {
		return err
	}
	if !c.config.Bare {
		if err := waitAddons(ctx, client); err != nil {
			return err
		}
	}
	return waitNode(ctx, client, firstNode)
}

// startAll starts etcd and the API server and, when that works, all else at once.
func (c *cluster) startAll(ctx context.Context) error {
	for i, p := range c.parts() {
		if i == 2 {
			if err := c.waitHealthy(ctx, c.apiServer()); err != nil {
				return err
			}
		}
		if err := c.spawn(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) printUp(took time.Duration) {
	enter := "ip netns exec " + c.name
	fmt.Printf("cluster %s is up after %.1f s, its kubeconfig is\n  %s\n", c.name, took.Seconds(), c.kubeconfig())
	fmt.Println("it can be reached from its network namespace only:")
	fmt.Printf("  export PATH=%s:$PATH KUBECONFIG=%s\n", c.path("bin"), c.kubeconfig())
	fmt.Printf("  %s kubectl get pods -A\n", enter)
	if !c.config.Bare {
		fmt.Printf("  %s curl -H 'Host: shop.example' http://%s/         # the gateway\n", enter, gatewayAddress)
		fmt.Printf("  %s curl 'http://%s/api/v1/query?query=up'   # Prometheus\n", enter, prometheusAddress)
	}
}
