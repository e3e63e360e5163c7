package rewrite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

const (
	current = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	other   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	hub     = proxy + "/docker.io/library/"
)

func resolveAll(imageref.Reference) digest.Digest { return current }

// resolveSome knows a digest for images whose names say so.
func resolveSome(ref imageref.Reference) digest.Digest {
	if strings.HasPrefix(ref.Repository.Path, "library/known") {
		return current
	}
	return ""
}

func TestDigest_IsWrittenBehindTags(t *testing.T) {
	t.Parallel()
	no := false
	for name, tt := range map[string]struct {
		config Config
		image  string
		policy corev1.PullPolicy
		noted  string // in the annotation, of the container
		want   string // empty: it is left alone
		note   string // what is noted then
	}{
		"A tag":                               {image: "known:1", want: hub + "known:1@" + current, note: "known:1"},
		"Of another registry":                 {image: "ghcr.io/known:1", want: proxy + "/ghcr.io/known:1", note: "ghcr.io/known:1"},
		"Nothing is known":                    {image: "new:1", want: hub + "new:1", note: "new:1"},
		"A digest of its owner's":             {image: "known:1@" + other, want: hub + "known:1@" + other, note: "known:1@" + other},
		"A digest alone":                      {image: "known@" + other, want: hub + "known@" + other, note: "known@" + other},
		"No tag, with Always rewritten":       {config: Config{IgnorePullPolicyAlways: &no}, image: "known", want: hub + "known:latest@" + current, note: "known"},
		"No tag, with Always left alone":      {image: "known"},
		"Never pulled":                        {image: "known:1", policy: corev1.PullNever},
		"Named behind the proxy":              {image: hub + "known:1", want: hub + "known:1@" + current, note: "known:1"},
		"Named behind the proxy, and unknown": {image: hub + "new:1"},
		"Named behind the proxy, and Never":   {image: hub + "known:1", policy: corev1.PullNever},
		"Resolved before":                     {image: hub + "known:1@" + other, noted: "known:1", note: "known:1"},
		"A copy of one that was rewritten":    {image: hub + "known:1", noted: "docker.io/known:1", want: hub + "known:1@" + current, note: "docker.io/known:1"},
		"A copy from another configuration":   {image: "localhost:7000/docker.io/library/known:1@" + other, noted: "known:1", want: hub + "known:1@" + current, note: "known:1"},
		"A copy, of its owner's digest":       {image: "localhost:7000/docker.io/library/known:1@" + other, noted: "known:1@" + other, want: hub + "known:1@" + other, note: "known:1@" + other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: tt.image, ImagePullPolicy: tt.policy}}}}
			if tt.noted != "" {
				pod.Annotations = map[string]string{AnnotationOriginals: encode(map[string]string{"c": tt.noted})}
			}
			d, result := decide(t, rulesOf(t, tt.config), Request{Pod: pod, Namespace: "default", Digest: resolveSome})
			if got := d.Images[0].Rewritten; got != tt.want {
				t.Errorf("it becomes %q, want %q", got, tt.want)
			}
			if got := notedOriginals(result)["c"]; got != tt.note {
				t.Errorf("its original is %q, want %q", got, tt.note)
			}
		})
	}
}

func TestDigest_InEveryPlaceButEphemeralContainers(t *testing.T) {
	t.Parallel()
	_, result := decide(t, rulesOf(t, Config{}), Request{Pod: everywhere("known:1", ""), Namespace: "default", Digest: resolveSome})
	got := map[string]string{}
	for _, f := range imagesOf(result, false) {
		got[f.name] = f.image
	}
	resolved := hub + "known:1@" + current
	want := map[string]string{"init": resolved, "sidecar": resolved, "main": resolved, "debug": hub + "known:1", "volume/data": resolved}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	old := everywhere("old:1", "")
	d, _ := decide(t, rulesOf(t, Config{}), Request{Pod: everywhere("known:1", ""), Old: old, Ephemeral: true, Namespace: "default", Digest: resolveSome})
	if got := d.Images[0].Rewritten; got != hub+"known:1" {
		t.Errorf("through the subresource an ephemeral container's becomes %s", got)
	}
}

// An update resolves what it changes, and leaves the digests of the rest as they were.
func TestDigest_OfAnUpdate(t *testing.T) {
	t.Parallel()
	pod := func(a, b string) *corev1.Pod {
		p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: a}, {Name: "b", Image: b}}}}
		p.Annotations = map[string]string{AnnotationOriginals: `{"a":"known:1","b":"known-too:1"}`}
		return p
	}
	before := hub + "known:1@" + other
	req := Request{Old: pod(before, hub+"known-too:1@"+other), Pod: pod(before, "known-too:2"), Namespace: "default", Digest: resolveSome}
	_, result := decide(t, rulesOf(t, Config{}), req)
	if got := result.Spec.Containers[0].Image; got != before {
		t.Errorf("what did not change became %s", got)
	}
	if got, want := result.Spec.Containers[1].Image, hub+"known-too:2@"+current; got != want {
		t.Errorf("what changed became %s, want %s", got, want)
	}
	if diff := cmp.Diff(map[string]string{"a": "known:1", "b": "known-too:2"}, notedOriginals(result)); diff != "" {
		t.Errorf("originals (-want +got):\n%s", diff)
	}
}
