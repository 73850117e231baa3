package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cadvisor "github.com/google/cadvisor/info/v1"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/downwardapi"
	"k8s.io/kubernetes/pkg/volume/emptydir"
	"k8s.io/kubernetes/pkg/volume/hostpath"
	"k8s.io/kubernetes/pkg/volume/projected"
	"k8s.io/kubernetes/pkg/volume/secret"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
	"k8s.io/mount-utils"
)

// kubeletPort is where every kubelet listens, on its node's address.
const kubeletPort = 10250

// runNode is a real kubelet whose containers are plain processes: no container engine, no images, no cgroups.
func runNode(c *cluster, args []string) error {
	flags := flag.NewFlagSet("node", flag.ExitOnError)
	name := flags.String("name", firstNode, "the node's name")
	klog.InitFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	node, err := c.node(*name)
	if err != nil {
		return err
	}
	f, k, err := kubeletSettings(c, node)
	if err != nil {
		return err
	}
	for _, dir := range []string{f.RootDirectory, k.PodLogsDir, f.CertDirectory} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	deps, err := kubeletParts(c, node)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if deps.TLSOptions, err = kubeletapp.InitializeTLS(ctx, f, k); err != nil {
		return err
	}
	server := &options.KubeletServer{KubeletFlags: *f, KubeletConfiguration: *k}
	if err := kubeletapp.RunKubelet(ctx, server, deps); err != nil {
		return err
	}
	select {}
}

// kubeletSettings is what the kubelet would read from its flags and its file.
func kubeletSettings(c *cluster, node nodeConfig) (*options.KubeletFlags, *kubeletconfig.KubeletConfiguration, error) {
	f := options.NewKubeletFlags()
	f.RootDirectory = filepath.Join(c.nodeDir(node.Name), "kubelet")
	f.CertDirectory = filepath.Join(c.nodeDir(node.Name), "pki")
	f.HostnameOverride = node.Name
	f.NodeIP = node.CIDR + ".1"
	k, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, nil, err
	}
	k.EnableServer, k.Address, k.Port = true, f.NodeIP, kubeletPort
	k.TLSCertFile, k.TLSPrivateKeyFile = c.path("pki", node.Name+"-server.crt"), c.path("pki", node.Name+"-server.key")
	k.ReadOnlyPort, k.HealthzPort = 0, 0
	k.MaxPods = 110
	if k.NodeLeaseDurationSeconds, err = leaseSeconds(c.config.NodeGrace); err != nil {
		return nil, nil, err
	}
	k.RegisterNode = true
	k.CgroupsPerQOS, k.CgroupRoot = false, ""
	k.EnforceNodeAllocatable = nil
	k.EnableControllerAttachDetach = false
	k.ClusterDomain, k.ClusterDNS = "cluster.local", []string{dnsAddress}
	k.ResolverConfig = ""
	k.PodLogsDir = filepath.Join(c.nodeDir(node.Name), "logs")
	k.SerializeImagePulls = false
	k.EvictionHard = map[string]string{"nodefs.available": "1%"}
	k.ImageGCHighThresholdPercent, k.ImageGCLowThresholdPercent = 100, 99
	return f, k, nil
}

// leaseSeconds is how long a kubelet's lease lasts. It is renewed four times in that time, so that a node which is only busy
// does not seem lost: the ratio is that of Kubernetes' own defaults, 40 s and 50 s.
func leaseSeconds(grace string) (int32, error) {
	limit, err := time.ParseDuration(grace)
	if err != nil {
		return 0, err
	}
	return max(int32(limit.Seconds()*4/5), 4), nil
}

// kubeletParts puts together what the kubelet runs on: our runtime, real volumes, and stand-ins for the machine.
func kubeletParts(c *cluster, node nodeConfig) (*kubelet.Dependencies, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.path("pki", node.Name+".kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.UserAgent = "kubelet"
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	machine, err := newMachine(c, node)
	if err != nil {
		return nil, err
	}
	pods, err := newRuntime(c, node)
	if err != nil {
		return nil, err
	}
	if err := pods.serveStreams(); err != nil {
		return nil, err
	}
	mounter := mount.New("")
	return &kubelet.Dependencies{
		KubeClient: client, HeartbeatClient: client, EventClient: client.CoreV1(),
		RemoteRuntimeService: pods, RemoteImageService: pods,
		CAdvisorInterface: machine,
		OSInterface:       kubecontainer.RealOS{},
		ContainerManager:  cm.NewStubContainerManager(),
		VolumePlugins:     volumePlugins(),
		OOMAdjuster:       oom.NewFakeOOMAdjuster(),
		Mounter:           mounter, Subpather: subpath.New(mounter), HostUtil: hostutil.NewHostUtil(),
		PodStartupLatencyTracker:  kubeletutil.NewPodStartupLatencyTracker(),
		NodeStartupLatencyTracker: kubeletutil.NewNodeStartupLatencyTracker(),
		TracerProvider:            noop.NewTracerProvider(),
	}, nil
}

func volumePlugins() []volume.VolumePlugin {
	var all []volume.VolumePlugin
	all = append(all, emptydir.ProbeVolumePlugins()...)
	all = append(all, hostpath.ProbeVolumePlugins(volume.VolumeConfig{})...)
	all = append(all, secret.ProbeVolumePlugins()...)
	all = append(all, downwardapi.ProbeVolumePlugins()...)
	all = append(all, configmap.ProbeVolumePlugins()...)
	return append(all, projected.ProbeVolumePlugins()...)
}

// machine is what the kubelet is told about its machine: the capacity that `up` was given.
type machine struct {
	cadvisortest.Fake
	cpu    int
	memory uint64
}

func newMachine(c *cluster, node nodeConfig) (*machine, error) {
	cpu, err := resource.ParseQuantity(c.config.CPU)
	if err != nil {
		return nil, fmt.Errorf("read the number of processors: %w", err)
	}
	memory, err := resource.ParseQuantity(c.config.Memory)
	if err != nil {
		return nil, fmt.Errorf("read the size of the memory: %w", err)
	}
	return &machine{Fake: cadvisortest.Fake{NodeName: node.Name}, cpu: int(cpu.Value()), memory: uint64(memory.Value())}, nil
}

// MachineInfo is where a node's capacity comes from.
func (m *machine) MachineInfo() (*cadvisor.MachineInfo, error) {
	return &cadvisor.MachineInfo{NumCores: m.cpu, InstanceID: cadvisor.InstanceID(m.NodeName), MemoryCapacity: m.memory}, nil
}

// VersionInfo names the kernel that runs the processes.
func (m *machine) VersionInfo() (*cadvisor.VersionInfo, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	kernel := strings.TrimRight(string(name.Release[:]), "\x00")
	return &cadvisor.VersionInfo{KernelVersion: kernel, ContainerOsVersion: "processes"}, nil
}
