package rewrite

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/larder-dev/larder/internal/imageref"
)

//go:embed testdata/pods.yaml
var podsYAML string

// podCase is a case of testdata/pods.yaml.
type podCase struct {
	Case            string            `json:"case"`
	Config          Config            `json:"config"`
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Ephemeral       bool              `json:"ephemeral"`
	Old             *shortPod         `json:"old"`
	Pod             *shortPod         `json:"pod"`

	Images      map[string]string `json:"images"`
	Left        map[string]Reason `json:"left"`
	Reason      Reason            `json:"reason"`
	Annotations map[string]string `json:"annotations"`
	Unchanged   bool              `json:"unchanged"`
}

// shortPod is a pod as the table writes it: images by container.
type shortPod struct {
	Labels       map[string]string                  `json:"labels"`
	Annotations  map[string]string                  `json:"annotations"`
	Owner        *metav1.OwnerReference             `json:"owner"`
	OS           corev1.OSName                      `json:"os"`
	NodeSelector map[string]string                  `json:"nodeSelector"`
	Affinity     [][]corev1.NodeSelectorRequirement `json:"affinity"` // terms
	Init         map[string]string                  `json:"init"`
	Sidecars     map[string]string                  `json:"sidecars"`
	Containers   map[string]string                  `json:"containers"`
	Ephemeral    map[string]string                  `json:"ephemeral"`
	Volumes      map[string]string                  `json:"volumes"`
}

func podCases(t testing.TB) []podCase {
	t.Helper()
	var cases []podCase
	if err := yaml.UnmarshalStrict([]byte(spell(podsYAML)), &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// pod writes the pod out, containers in the order of their names.
func (s *shortPod) pod() *corev1.Pod {
	if s == nil {
		return nil
	}
	var pod corev1.Pod
	pod.Name, pod.Labels, pod.Annotations = "a", s.Labels, s.Annotations
	if s.Owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*s.Owner}
	}
	if s.OS != "" {
		pod.Spec.OS = &corev1.PodOS{Name: s.OS}
	}
	pod.Spec.NodeSelector = s.NodeSelector
	if s.Affinity != nil {
		required := &corev1.NodeSelector{}
		for _, term := range s.Affinity {
			required.NodeSelectorTerms = append(required.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: term})
		}
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
	}
	pod.Spec.InitContainers = slices.Concat(containersOf(s.Init, ""), containersOf(s.Sidecars, corev1.ContainerRestartPolicyAlways))
	pod.Spec.Containers = containersOf(s.Containers, "")
	for _, c := range containersOf(s.Ephemeral, "") {
		common := corev1.EphemeralContainerCommon(c)
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: common})
	}
	for _, c := range containersOf(s.Volumes, "") {
		source := &corev1.ImageVolumeSource{Reference: c.Image, PullPolicy: c.ImagePullPolicy}
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{Image: source}})
	}
	return &pod
}

func containersOf(images map[string]string, restart corev1.ContainerRestartPolicy) []corev1.Container {
	var containers []corev1.Container
	for _, name := range slices.Sorted(maps.Keys(images)) {
		image, policy, _ := strings.Cut(images[name], " ")
		c := corev1.Container{Name: name, Image: image, ImagePullPolicy: corev1.PullPolicy(policy)}
		if restart != "" {
			c.RestartPolicy = &restart
		}
		containers = append(containers, c)
	}
	return containers
}

func (c podCase) request() Request {
	return Request{Pod: c.Pod.pod(), Old: c.Old.pod(), Ephemeral: c.Ephemeral, Namespace: c.Namespace, NamespaceLabels: c.NamespaceLabels}
}

func TestPods(t *testing.T) {
	t.Parallel()
	cases := podCases(t)
	if len(cases) < 70 {
		t.Fatalf("%d cases, want 70 at least", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			t.Parallel()
			rules := rulesOf(t, c.Config)
			rules.Unavailable = func(ref imageref.Reference) bool { return ref.Repository.Path == "library/unavailable" }
			req := c.request()
			d, result := decide(t, rules, req)
			if d.Pod != c.Reason {
				t.Errorf("the pod's reason is %q, want %q", d.Pod, c.Reason)
			}
			if c.Unchanged {
				if len(d.Patches) > 0 {
					t.Errorf("patches: %v", d.Patches)
				}
				c.Annotations = req.Pod.Annotations
			}
			images := map[string]string{}
			for _, f := range imagesOf(result, false) {
				images[f.name] = f.image
			}
			for name, want := range c.Images {
				if images[name] != want {
					t.Errorf("%s has the image %q, want %q", name, images[name], want)
				}
			}
			left := map[string]Reason{}
			for _, v := range d.Images {
				if v.Reason != "" && c.Reason == "" {
					left[v.Container] = v.Reason
				}
			}
			if diff := cmp.Diff(c.Left, left, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("left alone (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.Annotations, result.Annotations, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}
