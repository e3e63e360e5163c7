package usage_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/usage"
)

func TestDigests_WhatTheNodeSaysOfEachContainer(t *testing.T) {
	t.Parallel()
	a, b := digest.FromString("a"), digest.FromString("b")
	pod := &corev1.Pod{Status: corev1.PodStatus{
		Phase:                 corev1.PodRunning,
		InitContainerStatuses: []corev1.ContainerStatus{{ImageID: "localhost:7439/docker.io/library/nginx@" + a.String()}},
		ContainerStatuses: []corev1.ContainerStatus{
			{ImageID: ""}, {ImageID: "sha256:" + strings.Repeat("0", 64)}, {ImageID: "docker-pullable://nginx@" + b.String()}, {ImageID: "nginx@" + a.String()},
		},
	}}
	for range 2 {
		if diff := cmp.Diff([]digest.Digest{a, b}, usage.Digests(pod)); diff != "" {
			t.Errorf("digests (-want +got):\n%s", diff)
		}
		if _, err := usage.Slim(pod); err != nil {
			t.Fatal(err)
		}
	}
}
