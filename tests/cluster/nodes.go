package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"cluster/container"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// client talks to the API server as admin, in the cluster's network namespace.
func (c *cluster) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig())
	if err != nil {
		return nil, err
	}
	config.UserAgent, config.Timeout = "cluster", 10*time.Second
	return kubernetes.NewForConfig(config)
}

// waitNode returns when a node is Ready and may be scheduled to.
func waitNode(ctx context.Context, client kubernetes.Interface, name string) error {
	return poll(ctx, "node "+name+" to be Ready", func() (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type != corev1.NodeReady {
				continue
			}
			if condition.Status != corev1.ConditionTrue {
				return false, errors.New(condition.Message)
			}
			if len(node.Spec.Taints) > 0 {
				return false, fmt.Errorf("it has the taint %s", node.Spec.Taints[0].Key)
			}
			return true, nil
		}
		return false, errors.New("it says nothing of itself")
	})
}

// addNode gives a new node its certificate and its addresses, starts its kubelet and waits until it is Ready.
func (c *cluster) addNode(ctx context.Context, name string) error {
	if !validName.MatchString(name) {
		return usage("%q is no name for a node", name)
	}
	if _, err := c.part(name); err == nil {
		return fmt.Errorf("there is a part %q already", name)
	}
	node := nodeConfig{Name: name, CIDR: fmt.Sprintf("10.244.%d", len(c.config.Nodes)+1)}
	if len(c.config.Nodes) >= 250 {
		return errors.New("no more nodes than 250")
	}
	c.config.Nodes = append(c.config.Nodes, node)
	if err := c.addNodeCertificates(node); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	if err := c.addNodeAddress(node); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.startPart(ctx, c.kubelet(node)); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return waitNode(ctx, client, name)
}

// loseNode is a machine that loses its power: kubelet and Pods end at once, and nobody is told.
// All that it had on its disk is gone.
func (c *cluster) loseNode(name string) error {
	if _, err := c.node(name); err != nil {
		return err
	}
	if p, running := c.partProcess(name); running {
		if err := p.signal(syscall.SIGKILL); err != nil {
			return err
		}
		if err := p.waitGone(10 * time.Second); err != nil {
			return err
		}
	}
	if err := c.endPods(name); err != nil {
		return err
	}
	if err := unmountBelow(c.nodeDir(name)); err != nil {
		return err
	}
	return os.RemoveAll(c.nodeDir(name))
}

// endPods kills what runs in a node's Pods and removes their networks.
func (c *cluster) endPods(name string) error {
	node, err := c.node(name)
	if err != nil {
		return err
	}
	pods, err := newRuntime(c, node)
	if err != nil {
		return err
	}
	var left []process
	for _, p := range pods.containers {
		state, err := container.ReadState(pods.home(p.ID))
		if err != nil || pods.ended(p.ID) {
			continue
		}
		shim := process(state.Shim)
		if err := shim.signal(syscall.SIGKILL); err != nil {
			return err
		}
		left = append(left, shim, process(state.Process))
	}
	for _, p := range left {
		if err := p.waitGone(10 * time.Second); err != nil {
			return err
		}
	}
	for _, s := range pods.sandboxes {
		if s.Netns == "" {
			continue
		}
		if err := deleteNetns(s.Netns); err != nil {
			return err
		}
	}
	return nil
}
