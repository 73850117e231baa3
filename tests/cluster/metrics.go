package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	metricsAddress = apiAddress + ":10251"
	metricsPath    = "/apis/metrics.k8s.io/v1beta1"
	// cpuAnnotation and memoryAnnotation say what a Pod is to be said to use.
	cpuAnnotation    = "test.serin.dev/cpu"
	memoryAnnotation = "test.serin.dev/memory"
)

// runMetrics serves metrics.k8s.io for Pods, so that autoscalers have something to go by: figures that a test sets.
func runMetrics(c *cluster) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.path("pki", "metrics.kubeconfig"))
	if err != nil {
		return err
	}
	config.UserAgent, config.Timeout = "cluster-metrics", 10*time.Second
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: metricsAddress, Handler: metricsRoutes(client), ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServeTLS(c.path("pki", "metrics-server.crt"), c.path("pki", "metrics-server.key"))
}

func metricsRoutes(client kubernetes.Interface) http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: v1beta1.SchemeGroupVersion.String(),
			APIResources: []metav1.APIResource{{
				Name: "pods", SingularName: "pod", Kind: "PodMetrics", Namespaced: true, Verbs: metav1.Verbs{"get", "list"},
			}},
		})
	})
	list := func(w http.ResponseWriter, r *http.Request) { replyList(client, w, r) }
	routes.HandleFunc("GET "+metricsPath+"/pods", list)
	routes.HandleFunc("GET "+metricsPath+"/namespaces/{namespace}/pods", list)
	routes.HandleFunc("GET "+metricsPath+"/namespaces/{namespace}/pods/{name}", func(w http.ResponseWriter, r *http.Request) {
		pod, err := client.CoreV1().Pods(r.PathValue("namespace")).Get(r.Context(), r.PathValue("name"), metav1.GetOptions{})
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, http.StatusOK, podMetrics(pod))
	})
	return routes
}

func replyList(client kubernetes.Interface, w http.ResponseWriter, r *http.Request) {
	pods, err := client.CoreV1().Pods(r.PathValue("namespace")).List(r.Context(), metav1.ListOptions{
		LabelSelector: r.URL.Query().Get("labelSelector"), FieldSelector: "status.phase=Running",
	})
	if err != nil {
		replyError(w, err)
		return
	}
	list := v1beta1.PodMetricsList{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetricsList", APIVersion: v1beta1.SchemeGroupVersion.String()},
		Items:    []v1beta1.PodMetrics{},
	}
	for i := range pods.Items {
		list.Items = append(list.Items, podMetrics(&pods.Items[i]))
	}
	reply(w, http.StatusOK, list)
}

// podMetrics puts what a Pod's annotations say on its first container, and nothing on the others.
func podMetrics(pod *corev1.Pod) v1beta1.PodMetrics {
	metrics := v1beta1.PodMetrics{
		TypeMeta:   metav1.TypeMeta{Kind: "PodMetrics", APIVersion: v1beta1.SchemeGroupVersion.String()},
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, CreationTimestamp: metav1.Now()},
		Timestamp:  metav1.Now(), Window: metav1.Duration{Duration: time.Second},
	}
	for i, container := range pod.Spec.Containers {
		used := corev1.ResourceList{corev1.ResourceCPU: {}, corev1.ResourceMemory: {}}
		if i == 0 {
			used[corev1.ResourceCPU] = figure(pod, cpuAnnotation)
			used[corev1.ResourceMemory] = figure(pod, memoryAnnotation)
		}
		metrics.Containers = append(metrics.Containers, v1beta1.ContainerMetrics{Name: container.Name, Usage: used})
	}
	return metrics
}

// figure reads an annotation; none, or one that is no quantity, is zero.
func figure(pod *corev1.Pod, annotation string) resource.Quantity {
	quantity, err := resource.ParseQuantity(strings.TrimSpace(pod.Annotations[annotation]))
	if err != nil {
		return resource.Quantity{}
	}
	return quantity
}

func reply(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // the reader has gone
}

// replyError passes the API server's own refusal on.
func replyError(w http.ResponseWriter, err error) {
	status := apierrors.NewInternalError(err).Status()
	if known := apierrors.APIStatus(nil); errors.As(err, &known) {
		status = known.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	reply(w, int(status.Code), status)
}

// waitMetrics returns when the API server reaches the part `metrics`: until then discovery is incomplete, and some clients
// take that for a failure.
func waitMetrics(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, "metrics.k8s.io to be served", func() (bool, error) {
		_, err := client.Discovery().RESTClient().Get().AbsPath(metricsPath).DoRaw(ctx)
		return err == nil, err
	})
}
