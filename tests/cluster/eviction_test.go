package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// evictions is within when replicas look at the size of the store, every five minutes, and have deleted what they may.
const evictions = 8 * time.Minute

// TestReplicas_WhatOneEvictsStaysOutForAll lets a bucket grow beyond its limit with images that nobody uses, and its replicas come and go then.
func TestReplicas_WhatOneEvictsStaysOutForAll(t *testing.T) {
	if !soak() {
		t.Skip("it waits for minutes until the store is looked at: LARDER_SOAK=1 runs it")
	}
	t.Parallel()
	o := origin.New(t)
	g := newGroup(t, o, "store: {maxSize: 2Mi}")
	for range 3 {
		g.add(t)
	}
	g.tell(t)
	g.proxy(t, 1)
	g.known(t)
	images := map[string]origin.Image{}
	for i := range 12 {
		img := o.Push(t, fmt.Sprintf("team/app-%d:v1", i), origin.RandomImage(1, 256<<10))
		images[img.Repository] = img
		g.want(t, fmt.Sprintf("app-%d", i), img.Repository+":v1")
	}
	for _, img := range images {
		g.unused(t, g.awaitReady(t, process.Host+"/"+img.Repository+":v1"))
	}
	var out []origin.Image
	for deadline := time.Now().Add(evictions); len(out) < 4; out = g.evicted(t, images) { // 3 MiB are to become less than 1.8
		if time.Now().After(deadline) {
			t.Fatalf("%d images were evicted: %v", len(out), out)
		}
		<-time.After(time.Second)
	}
	leader := g.leaders(t)[0]
	process.Eventually(t, "the eviction to end", func() bool {
		_, metrics := leader.GetHealth(t, "/metrics")
		return !strings.Contains(string(metrics), "\nlarder_store_bytes 0\n")
	})
	o.Forget()
	g.kill(t, leader)
	g.add(t)
	g.tell(t)
	g.known(t)
	g.look(t)
	for _, img := range out {
		if n := o.Count(origin.Everything().In(img.Repository)); n > 0 {
			t.Errorf("%d requests for %s: it is brought in again although nobody asks for it", n, img.Name())
		}
	}
	if err := pull(t.Context(), g.proxies[0], out[0]); err != nil {
		t.Error(err)
	}
	g.awaitReady(t, process.Host+"/"+out[0].Repository+":v1")
}

// unused has an object say that nobody uses its image.
func (g *group) unused(t *testing.T, object *v1alpha1.CachedImage) {
	t.Helper()
	before := object.DeepCopy()
	object.Spec.ExpiresAt = new(metav1.NewTime(time.Now().Add(24 * time.Hour)))
	if err := g.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// evicted lists the images whose objects tell that they were evicted.
func (g *group) evicted(t *testing.T, images map[string]origin.Image) (out []origin.Image) {
	t.Helper()
	for _, img := range images {
		found := g.image(t, process.Host+"/"+img.Repository+":v1")
		for _, c := range found.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Reason == v1alpha1.ReasonEvicted {
				out = append(out, img)
			}
		}
	}
	return out
}

// look has every object looked at by whoever owns it, which an image that is new then shows to be over.
func (g *group) look(t *testing.T) {
	t.Helper()
	var list v1alpha1.CachedImageList
	if err := g.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		object := &list.Items[i]
		before := object.DeepCopy()
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, "touched", "1")
		if err := g.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 { // of several owners
		name := fmt.Sprintf("team/new-%d", i)
		g.origin.Push(t, name+":v1", origin.RandomImage(1, 4<<10))
		g.want(t, fmt.Sprintf("new-%d", i), name+":v1")
		g.awaitReady(t, process.Host+"/"+name+":v1")
	}
}
