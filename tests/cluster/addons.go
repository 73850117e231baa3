package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	dnsAddress        = "10.96.0.10"
	gatewayAddress    = "10.96.0.80"
	prometheusAddress = "10.96.0.90:9090"
)

//go:embed manifests
var manifests embed.FS

//go:embed versions.env
var versionsFile string

// addons are the programs that run as Pods, and where their Deployments are.
var addons = []struct{ name, namespace string }{
	{"coredns", "kube-system"},
	{"traefik", "traefik"},
	{"prometheus", "monitoring"},
}

// version returns a pinned version by its name in versions.env.
func version(name string) string {
	for line := range strings.Lines(versionsFile) {
		if value, ok := strings.CutPrefix(line, strings.ToUpper(name)+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// cache is where tools.sh puts what it builds.
func cache() string {
	if dir := os.Getenv("SERIN_CACHE"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/root"
	}
	return filepath.Join(home, ".cache", "serin")
}

// addonImages are the images of the add-ons, as tools.sh built them.
func addonImages() []string {
	var images []string
	for _, addon := range addons {
		v := version(addon.name)
		images = append(images, fmt.Sprintf("%s:%s=%s", addon.name, v, filepath.Join(cache(), "bin", addon.name+"-"+v)))
	}
	return images
}

// manifest is one of ours, with the versions filled in.
func manifest(name string) ([]byte, error) {
	raw, err := manifests.ReadFile("manifests/" + name + ".yaml")
	if err != nil {
		return nil, err
	}
	return []byte(os.Expand(string(raw), func(variable string) string {
		if v := version(variable); v != "" {
			return v
		}
		return "$" + variable // Prometheus has some of its own
	})), nil
}

// create runs `kubectl create` on some of our manifests and on other files.
func (c *cluster) create(ctx context.Context, names []string, files ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var ours [][]byte
	for _, name := range names {
		raw, err := manifest(name)
		if err != nil {
			return err
		}
		ours = append(ours, raw)
	}
	args := []string{"kubectl", "create"}
	for _, file := range append(files, "-") {
		args = append(args, "-f", file)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = args // the binary is kubectl when it is called so
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig())
	cmd.Stdin = bytes.NewReader(bytes.Join(ours, []byte("\n---\n")))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl create: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// addAddons installs the metrics API and, unless the cluster is bare, the Gateway API, CoreDNS, Traefik with its own
// kinds, and Prometheus.
func (c *cluster) addAddons(ctx context.Context, client kubernetes.Interface) error {
	if c.config.Bare {
		return c.create(ctx, []string{"metrics"})
	}
	gateways := filepath.Join(cache(), "gateway-api-"+version("GATEWAY_API"))
	kinds := filepath.Join(cache(), "traefik-kinds-"+version("TRAEFIK_KINDS"))
	if err := c.create(ctx, []string{"metrics", "coredns", "traefik", "prometheus"}, gateways, kinds); err != nil {
		return err
	}
	err := poll(ctx, "the Gateway API to be served", func() (bool, error) {
		_, err := client.Discovery().ServerResourcesForGroupVersion("gateway.networking.k8s.io/v1")
		return err == nil, err
	})
	if err != nil {
		return err
	}
	return c.create(ctx, []string{"gateway"})
}

// waitAddons returns when all Deployments are available and the gateway works.
func waitAddons(ctx context.Context, client kubernetes.Interface) error {
	for _, addon := range addons {
		err := poll(ctx, addon.name+" to be available", func() (bool, error) {
			deployment, err := client.AppsV1().Deployments(addon.namespace).Get(ctx, addon.name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			return deployment.Status.AvailableReplicas > 0, nil
		})
		if err != nil {
			return err
		}
	}
	return poll(ctx, "gateway gw to be Programmed", func() (bool, error) {
		raw, err := client.Discovery().RESTClient().Get().
			AbsPath("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/gw").DoRaw(ctx)
		if err != nil {
			return false, err
		}
		return programmed(raw)
	})
}

func programmed(raw []byte) (bool, error) {
	var gateway struct {
		Status struct{ Conditions []metav1.Condition }
	}
	if err := json.Unmarshal(raw, &gateway); err != nil {
		return false, err
	}
	for _, condition := range gateway.Status.Conditions {
		if condition.Type == "Programmed" && condition.Status == metav1.ConditionTrue {
			return true, nil
		}
	}
	return false, nil
}
