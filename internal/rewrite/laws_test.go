package rewrite

import (
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

const proxy = "localhost:7439"

// rulesOf makes rules of a configuration that has no mistakes.
func rulesOf(t testing.TB, c Config) *Rules {
	t.Helper()
	rules, problems := NewRules(proxy, "larder", c)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return rules
}

// patched applies a decision's patches as the API server does.
func patched(t testing.TB, pod *corev1.Pod, d Decision) *corev1.Pod {
	t.Helper()
	before, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Patches) == 0 {
		return pod.DeepCopy()
	}
	text, err := json.Marshal(d.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	after, err := patch.Apply(before)
	if err != nil {
		t.Fatalf("%s cannot be applied to %s: %v", text, before, err)
	}
	var result corev1.Pod
	if err := json.Unmarshal(after, &result); err != nil {
		t.Fatalf("%s does not decode: %v", after, err)
	}
	return &result
}

// decide decides, and checks what holds for every decision: nothing but images and two annotations changes, nothing changes the second
// time, every rewrite can be inverted. It returns the pod as it becomes, too.
func decide(t testing.TB, r *Rules, req Request) (Decision, *corev1.Pod) {
	t.Helper()
	untouched := req.Pod.DeepCopy()
	d := r.Decide(req)
	if !sameJSON(t, untouched, req.Pod) {
		t.Errorf("the request's pod was changed:\n%s", cmp.Diff(untouched, req.Pod))
	}
	result := patched(t, req.Pod, d)
	again := req
	again.Pod = result
	if second := r.Decide(again); len(second.Patches) > 0 {
		t.Errorf("the second application changes something again: %v\nthe first: %v", second.Patches, d.Patches)
	}
	for _, p := range d.Patches {
		if req.Old != nil && strings.HasPrefix(p.Path, "/spec/volumes/") || req.Ephemeral && !strings.HasPrefix(p.Path, "/spec/ephemeralContainers/") {
			t.Errorf("the request may not change %s", p.Path)
		}
	}
	onlyImagesChange(t, req, d, result)
	for _, v := range d.Images {
		inverts(t, r, req, v, result)
	}
	return d, result
}

// onlyImagesChange checks that each image is what the decision says, and that nothing else has changed but its annotations.
func onlyImagesChange(t testing.TB, req Request, d Decision, result *corev1.Pod) {
	t.Helper()
	want := req.Pod.DeepCopy()
	for _, v := range d.Images {
		if (v.Rewritten == "") == (v.Reason == "") || v.Reason != "" && v.Reason.Explain() == "" {
			t.Errorf("%+v is not a verdict", v)
		}
		if v.Rewritten != "" {
			setImage(t, want, v.Path, v.Rewritten)
		}
	}
	got := result.DeepCopy()
	for _, pod := range []*corev1.Pod{want, got} {
		delete(pod.Annotations, AnnotationOriginals)
		delete(pod.Annotations, AnnotationNotRewritten)
		if len(pod.Annotations) == 0 {
			pod.Annotations = nil
		}
	}
	if !sameJSON(t, want, got) {
		t.Errorf("the pod has changed (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func sameJSON(t testing.TB, a, b any) bool {
	t.Helper()
	first, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(first) == string(second)
}

func setImage(t testing.TB, pod *corev1.Pod, path, image string) {
	t.Helper()
	for _, f := range imagesOf(pod, false) {
		if f.path == path {
			*f.at(pod) = image
			return
		}
	}
	t.Fatalf("no image at %s", path)
}

// at is the place itself.
func (f field) at(pod *corev1.Pod) *string {
	spec := &pod.Spec
	for i := range spec.InitContainers {
		if f.path == imagePath("initContainers", i) {
			return &spec.InitContainers[i].Image
		}
	}
	for i := range spec.Containers {
		if f.path == imagePath("containers", i) {
			return &spec.Containers[i].Image
		}
	}
	for i := range spec.EphemeralContainers {
		if f.path == imagePath("ephemeralContainers", i) {
			return &spec.EphemeralContainers[i].Image
		}
	}
	for i := range spec.Volumes {
		if f.path == volumePath(i) {
			return &spec.Volumes[i].Image.Reference
		}
	}
	return nil
}

// inverts checks that the original of a rewritten image is recovered, by itself and, to the letter, by the annotation.
func inverts(t testing.TB, r *Rules, req Request, v Verdict, result *corev1.Pod) {
	t.Helper()
	if v.Rewritten == "" {
		return
	}
	ref, ok := imageref.Invert(r.Proxy, v.Rewritten)
	if !ok || ref.Rewrite(r.Proxy) != v.Rewritten {
		t.Errorf("%s is rewritten to %s, which is inverted to %s", v.Image, v.Rewritten, ref)
	}
	before, err := imageref.Parse(v.Image)
	if v.Digest != "" {
		if ref.Digest != v.Digest || before.Digest != "" && !onNode(before.Repository.Host) {
			t.Errorf("%s is rewritten to %s, with the digest %s", v.Image, v.Rewritten, v.Digest)
		}
		ref.Digest = ""
	}
	if err != nil || before != ref && !onNode(before.Repository.Host) {
		t.Errorf("%s is rewritten to %s", v.Image, v.Rewritten)
	}
	noted, ok := notedOriginals(result)[v.Container]
	if !ok || req.Ephemeral {
		return // the decision had no room for it, or the API server drops it
	}
	if original, err := imageref.Parse(noted); err != nil || original != ref || before == ref && noted != v.Image {
		t.Errorf("the original of %s is %q, want %q", v.Rewritten, noted, v.Image)
	}
}

func notedOriginals(pod *corev1.Pod) map[string]string {
	return read(pod.Annotations).originals
}
