package rewrite

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// configs are those that a fuzzed request is decided under.
func configs(t testing.TB) []*Rules {
	no := false
	return []*Rules{
		rulesOf(t, Config{}),
		rulesOf(t, Config{IgnorePullPolicyAlways: &no, IgnoredImages: []string{"a"}, NoProxyNodeSelectors: []map[string]string{{"a": "b"}}}),
		rulesOf(t, Config{IgnorePullPolicyAlways: &no, AcceptedImages: []string{"io"}, ComparingOwners: []string{}}),
	}
}

// FuzzDecide puts images, one a line, and what annotations say of them, into all places of a pod.
func FuzzDecide(f *testing.F) {
	for _, c := range imageCases(f) {
		f.Add(c.image, "", c.image, "", uint8(0))
	}
	f.Add("localhost:7000/docker.io/library/nginx:1", "nginx:1", "x", `{"c0":"IgnoredImage"}`, uint8(0b1010))
	f.Add("localhost:7000/index.docker.io/library/nginx:1", "docker.io/nginx:1", "", "{", uint8(0b111))
	f.Fuzz(func(t *testing.T, images, originals, olds, left string, flags uint8) {
		for _, text := range []string{images, originals, olds, left} {
			if strings.ToValidUTF8(text, "") != text {
				return
			}
		}
		pod, old := fuzzedPod(images, flags), fuzzedPod(olds, flags)
		noted := map[string]string{}
		for i, original := range strings.Split(originals, "\n") {
			noted[fmt.Sprintf("c%d", i)] = original
		}
		annotations := map[string]string{AnnotationOriginals: encode(noted), AnnotationNotRewritten: left}
		if flags&1 != 0 {
			annotations = map[string]string{"original-image-c0": originals, AnnotationOriginals: left}
		}
		old.Annotations = annotations
		if flags&2 != 0 {
			pod.Annotations = annotations
		}
		req := Request{Pod: pod, Ephemeral: flags&4 != 0}
		if flags&8 != 0 {
			req.Old = old
		}
		for _, rules := range configs(t) {
			decide(t, rules, req)
			resolving := req
			resolving.Digest = resolveAll
			decide(t, rules, resolving)
		}
	})
}

// fuzzedPod has each image in several places.
func fuzzedPod(images string, flags uint8) *corev1.Pod {
	policy := []corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}[flags>>4&3]
	var pod corev1.Pod
	for i, image := range strings.Split(images, "\n") {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image, ImagePullPolicy: policy}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
		c.Name = "i" + c.Name
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		c.Name = "e" + c.Name
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers,
			corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: image, PullPolicy: policy},
		}})
	}
	if flags&64 != 0 {
		pod.Labels = map[string]string{PolicyLabels[0]: PolicyIgnore}
	}
	if flags&128 != 0 {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "postgresql.cnpg.io/v1", Kind: "Cluster"}}
	}
	return &pod
}

// FuzzDecide_Pod decides on whatever decodes as a pod.
func FuzzDecide_Pod(f *testing.F) {
	for _, c := range podCases(f) {
		pod, err := json.Marshal(c.Pod.pod())
		if err != nil {
			f.Fatal(err)
		}
		old, err := json.Marshal(c.Old.pod())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pod, old, c.Namespace, c.Ephemeral)
	}
	f.Fuzz(func(t *testing.T, podText, oldText []byte, namespace string, ephemeral bool) {
		var pod corev1.Pod
		var old *corev1.Pod
		if json.Unmarshal(podText, &pod) != nil || json.Unmarshal(oldText, &old) != nil {
			return
		}
		for _, rules := range configs(t) {
			decide(t, rules, Request{Pod: &pod, Old: old, Namespace: namespace, Ephemeral: ephemeral})
		}
	})
}
