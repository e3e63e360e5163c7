package usage_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/usage"
)

func TestSlim_KeepsWhoWhereAndWhat(t *testing.T) {
	t.Parallel()
	pod := runningPod(7)
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: pod.Name, UID: pod.UID, ResourceVersion: "7", Generation: 1, CreationTimestamp: pod.CreationTimestamp},
		Spec: corev1.PodSpec{
			NodeName: "node-7", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			Containers: []corev1.Container{
				{Image: "localhost:7439/ghcr.io/shop/init:1", ImagePullPolicy: corev1.PullIfNotPresent},
				{Image: "localhost:7439/ghcr.io/shop/app:7", ImagePullPolicy: corev1.PullIfNotPresent},
				{Image: "localhost:7439/docker.io/istio/proxyv2:1.27", ImagePullPolicy: corev1.PullIfNotPresent},
			},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "10.0.0.7",
			ContainerStatuses: []corev1.ContainerStatus{{ImageID: "ghcr.io/shop/app@sha256:" + zeros}},
		},
	}
	for range 2 { // a cache may transform what it transformed already
		got, err := usage.Slim(pod)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("slim pod (-want +got):\n%s", diff)
		}
	}
}

func TestSlim_FinishedPodHasNoImages(t *testing.T) {
	t.Parallel()
	pod := runningPod(1)
	pod.Status.Phase = corev1.PodSucceeded
	if _, err := usage.Slim(pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(corev1.PodSpec{}, pod.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestSlim_LeavesOwnKindsWhole(t *testing.T) {
	t.Parallel()
	image := &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", Annotations: map[string]string{v1alpha1.AnnotationRefresh: "1"}, Finalizers: []string{v1alpha1.FinalizerUntag},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Spec: v1alpha1.CachedImageSpec{SourceImage: "a"}, Status: v1alpha1.CachedImageStatus{Phase: v1alpha1.CachedImageReady},
	}
	want := image.DeepCopy()
	want.ManagedFields = nil
	if _, err := usage.Slim(image); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, image); diff != "" {
		t.Errorf("slim CachedImage (-want +got):\n%s", diff)
	}
	gone := struct{ Key string }{"a"} // such as a cache's tombstone
	if got, err := usage.Slim(gone); err != nil || got != any(gone) {
		t.Errorf("Slim = %v, %v, want what it was given", got, err)
	}
}

func TestSlim_Node(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"l": "v"}, Annotations: map[string]string{"a": "v"}},
		Spec:       corev1.NodeSpec{ProviderID: "p"},
		Status: corev1.NodeStatus{
			Images:    []corev1.ContainerImage{{Names: []string{"a"}}},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			NodeInfo:  corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64", KernelVersion: "6"},
		},
	}
	want := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"l": "v"}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			NodeInfo:  corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"},
		},
	}
	if _, err := usage.Slim(node); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, node); diff != "" {
		t.Errorf("slim node (-want +got):\n%s", diff)
	}
}

// BenchmarkSlim says how many bytes of heap a pod takes in a cache, before and after.
func BenchmarkSlim(b *testing.B) {
	for name, slim := range map[string]bool{"whole": false, "slim": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			const pods = 2000
			for b.Loop() {
				before := heap()
				kept := make([]*corev1.Pod, 0, pods)
				for i := range pods {
					pod := decoded(b, runningPod(i))
					if slim {
						if _, err := usage.Slim(pod); err != nil {
							b.Fatal(err)
						}
					}
					kept = append(kept, pod)
				}
				b.ReportMetric(float64(heap()-before)/pods, "bytes/pod")
				runtime.KeepAlive(kept)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// decoded returns the pod as an informer gets it: off the wire.
func decoded(b *testing.B, pod *corev1.Pod) *corev1.Pod {
	b.Helper()
	wire, err := pod.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	back := &corev1.Pod{}
	if err := back.Unmarshal(wire); err != nil {
		b.Fatal(err)
	}
	return back
}

// runningPod is a pod as a Deployment behind a service mesh has them.
func runningPod(i int) *corev1.Pod {
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080), Scheme: "HTTP"}}, PeriodSeconds: 10}
	container := func(name, image string) corev1.Container {
		c := corev1.Container{
			Name: name, Image: "localhost:7439/" + image, ImagePullPolicy: corev1.PullIfNotPresent, ReadinessProbe: probe, LivenessProbe: probe,
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
			Resources:    corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")}},
			VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access-x", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}},
		}
		for n := range 10 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", n), Value: "http://service.shop.svc.cluster.local:8080"})
		}
		return c
	}
	name := fmt.Sprintf("shop-7d4b9c6f5-%05d", i)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, GenerateName: "shop-7d4b9c6f5-", UID: "4a1f7c1e-0c61-4f0c-9ef0-0c5b0d7c9d11", ResourceVersion: "7", Generation: 1,
			CreationTimestamp: metav1.Unix(1_700_000_000, 0),
			Labels:            map[string]string{"app.kubernetes.io/name": "shop", "pod-template-hash": "7d4b9c6f5"},
			Annotations:       map[string]string{"larder.dev/original-images": `{"app":"ghcr.io/shop/app:1"}`, "sidecar.istio.io/status": string(make([]byte, 400))},
			OwnerReferences:   []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "shop-7d4b9c6f5", Controller: new(true)}},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "kube-controller-manager", Operation: "Update", FieldsV1: metav1.NewFieldsV1(string(make([]byte, 3000)))},
				{Manager: "kubelet", Operation: "Update", Subresource: "status", FieldsV1: metav1.NewFieldsV1(string(make([]byte, 2000)))},
			},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", i), ServiceAccountName: "shop", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			InitContainers: []corev1.Container{container("init", "ghcr.io/shop/init:1")},
			Containers:     []corev1.Container{container("app", fmt.Sprintf("ghcr.io/shop/app:%d", i)), container("proxy", "docker.io/istio/proxyv2:1.27")},
			Volumes:        []corev1.Volume{{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}},
			Tolerations:    []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: ptr.To[int64](300)}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: fmt.Sprintf("10.0.0.%d", i), PodIP: "10.1.0.1",
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Image: "ghcr.io/shop/app:1", ImageID: "ghcr.io/shop/app@sha256:" + zeros, ContainerID: "containerd://" + zeros}},
		},
	}
}
