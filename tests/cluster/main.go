// Command cluster is a whole Kubernetes in one binary, for tests: README.md says what it offers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usageText = `usage: cluster [--name NAME] COMMAND

  up [--bare] [--image NAME:TAG=PATH]... [--cpu N] [--memory SIZE] [--node-grace TIME] [--kubernetes VERSION]
     [--apiserver-flag=FLAG]...
  down
  status [-o json]
  kill|freeze|thaw|start PART      etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, metrics or a node
  add-node NAME
  lose-node NAME
  image NAME:TAG=PATH ...
  exec PROGRAM [ARG]...
  kubectl [ARG]...
  path
`

// usageError is a command line that cannot be obeyed.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	}
	err := obey(os.Args[1:])
	if wrong := (usageError{}); errors.As(err, &wrong) {
		fmt.Fprintln(os.Stderr, wrong)
		os.Exit(2)
	}
	fatal(err)
}

// fatal ends the process if there is an error.
func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// obey does what a command line says.
func obey(args []string) error {
	name := os.Getenv("SERIN_CLUSTER")
	if name == "" {
		name = "serin"
	}
	global := flag.NewFlagSet("cluster", flag.ContinueOnError)
	global.SetOutput(io.Discard)
	global.StringVar(&name, "name", name, "the cluster's name")
	if err := global.Parse(args); err != nil {
		return usage("%v\n%s", err, usageText)
	}
	if global.NArg() == 0 {
		return usage("%s", usageText)
	}
	command, rest := global.Arg(0), global.Args()[1:]
	if runKubernetes(command, rest) {
		return nil
	}
	c, err := open(name)
	if err != nil {
		return err
	}
	return c.obey(command, rest)
}

// runKubernetes runs a part of Kubernetes to its end, and returns false for any other command.
func runKubernetes(command string, args []string) bool {
	os.Args = append([]string{command}, args...)
	switch command {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(manager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	default:
		return false
	}
	return true
}

// obey does one of the commands that concern a cluster of ours.
func (c *cluster) obey(command string, args []string) error {
	switch command {
	case "up":
		return c.parseUp(args)
	case "up-inside":
		return c.upInside(context.Background())
	case "node":
		return runNode(c, args)
	case "metrics":
		return runMetrics(c)
	case "image":
		if err := c.mustBeThere(); err != nil {
			return err
		}
		return c.addImages(args)
	case "exec", "kubectl":
		return c.inside(command, args)
	case "status":
		return c.parseStatus(args)
	case "down", "path":
		if len(args) > 0 {
			return usage("%s takes no arguments", command)
		}
		if command == "down" {
			return c.down()
		}
		_, err := fmt.Println(c.dir)
		return err
	}
	return c.obeyFor(command, args)
}

// obeyFor does one of the commands that concern one part or node.
func (c *cluster) obeyFor(command string, args []string) error {
	commands := map[string]func(string) error{
		"kill": c.kill, "freeze": c.freeze, "thaw": c.thaw,
		"start":            func(name string) error { return c.insideFor("start-inside", name) },
		"start-inside":     c.startByName,
		"add-node":         func(name string) error { return c.again("add-node-inside", name) },
		"add-node-inside":  func(name string) error { return c.addNode(context.Background(), name) },
		"lose-node":        func(name string) error { return c.insideFor("lose-node-inside", name) },
		"lose-node-inside": c.loseNode,
	}
	do, known := commands[command]
	if !known {
		return usage("there is no command %q\n%s", command, usageText)
	}
	if len(args) != 1 {
		return usage("%s takes the name of one part or node", command)
	}
	if err := c.mustBeThere(); err != nil {
		return err
	}
	return do(args[0])
}

// insideFor checks the name of a part here, where a mistake is usage, and does the rest in the cluster's namespace.
func (c *cluster) insideFor(command, name string) error {
	if _, err := c.part(name); err != nil {
		return err
	}
	return c.again(command, name)
}

func (c *cluster) startByName(name string) error {
	p, err := c.part(name)
	if err != nil {
		return err
	}
	return c.startPart(context.Background(), p)
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func (c *cluster) parseUp(args []string) error {
	var images, serverFlags list
	var kubernetes string
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.config.Bare, "bare", false, "without CoreDNS, Traefik, Prometheus and the Gateway API")
	flags.StringVar(&c.config.CPU, "cpu", "8", "processors of each node")
	flags.StringVar(&c.config.Memory, "memory", "16Gi", "memory of each node")
	flags.StringVar(&c.config.NodeGrace, "node-grace", "50s", "how long a node that says nothing counts as Ready")
	flags.StringVar(&kubernetes, "kubernetes", "", "the version of kube-apiserver")
	flags.Var(&images, "image", "an image, as NAME:TAG=PATH")
	flags.Var(&serverFlags, "apiserver-flag", "one more flag for kube-apiserver")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return usage("up: %v %s\n%s", err, strings.Join(flags.Args(), " "), usageText)
	}
	older, err := olderVersion(kubernetes)
	if err != nil {
		return err
	}
	c.config.APIServer, c.config.APIServerFlags = older, serverFlags
	return c.up(images)
}

func (c *cluster) parseStatus(args []string) error {
	format := ""
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&format, "o", "table", "table or json")
	if err := flags.Parse(args); err != nil || format != "table" && format != "json" {
		return usage("status takes -o table or -o json")
	}
	return c.status(format)
}

// inside runs a program, or kubectl, in the cluster's network namespace in place of this process. The program finds the
// kubectl and the Helm of the cluster first, and they find its kubeconfig unless there is another. What they remember of an
// API server stays with this one: those of other versions have the same address.
func (c *cluster) inside(command string, args []string) error {
	if err := os.Setenv("KUBECACHEDIR", c.path("kube-cache")); err != nil {
		return err
	}
	if os.Getenv("KUBECONFIG") == "" {
		if err := os.Setenv("KUBECONFIG", c.kubeconfig()); err != nil {
			return err
		}
	}
	if err := os.Setenv("PATH", c.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	if command == "exec" {
		if len(args) == 0 {
			return usage("exec takes a program")
		}
		return c.execInNetns(args, os.Environ())
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return c.execAs(self, append([]string{"kubectl"}, args...), os.Environ())
}
