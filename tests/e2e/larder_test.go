package e2e_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/larder-dev/larder/tests/node"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/release"
)

const (
	system = release.Namespace
	front  = "localhost:7439/"
	host   = "reg.example"     // the origin of most images
	locked = "private.example" // the origin that asks for a password
)

// larder is Larder as a user installs it, and the origins of what the cluster runs.
type larder struct {
	origin, private *origin.Origin
	release         *release.Release
	report          *report
}

// TestLarder is one life of an installation, from the first working chart to its removal. Each part finds what the one before has left.
func TestLarder(t *testing.T) {
	l := newLarder(t)
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Install the first chart and upgrade it", l.upgrade},
		{"A pod is rewritten and its image kept", l.rewritten},
		{"Its origin is gone and so is the node's copy", l.outage},
		{"A moved tag follows after the interval and not before", l.moved},
		{"Always and ignored pods are left alone", l.leftAlone},
		{"Always is the newest or what is stored", l.always},
		{"Images come from another repository", l.elsewhere},
		{"A private image outlives its secret", l.revoked},
		{"Two teams name one private image", l.teams},
		{"By digest and as a volume and in an ephemeral container", l.kinds},
		{"A Deployment scales while its tag moves", l.tagMoves},
		{"One digest for each rollout", l.tagResolves},
		{"Back to an earlier revision without the origin", l.tagGoesBack},
		{"A trigger brings the new revision everywhere", l.tagTriggers},
		{"The registry is killed in the middle of a pull", l.killed},
		{"The registry is down", l.withoutRegistry},
		{"The controller is down", l.withoutController},
		{"The API server is down", l.withoutAPIServer},
		{"Every workload is replaced under load", l.replaced},
		{"Mirror mode", l.mirrored},
		{"Uninstall", l.uninstalled},
	} {
		if !t.Run(part.name, part.test) {
			t.FailNow() // what comes after would fail too, and tell nothing
		}
	}
	l.report.print(t)
}

func newLarder(t *testing.T) *larder {
	l := &larder{report: &report{}}
	l.origin = newOrigin(t, host)
	l.private = origin.New(t, origin.WithAddress(node.IP+":0"), origin.WithBasic(origin.User{Name: "alice", Password: "sesame"}))
	if err := shared.WriteHosts(locked, l.private.URL()); err != nil {
		t.Fatal(err)
	}
	l.report.watch(host, l.origin)
	l.report.watch(locked, l.private)
	var err error
	l.release, err = release.New(t.Context(), shared, map[string]string{
		host: l.origin.URL(), "mirror.example": l.origin.URL(), "fallback.example": l.origin.URL(), locked: l.private.URL(),
	})
	if err != nil {
		t.Fatal(err)
	}
	newNamespace(t, "shop")
	return l
}

// push makes a version of an image at the origin.
func (l *larder) push(t *testing.T, reference string, content v1.Image) origin.Image {
	t.Helper()
	return l.origin.Push(t, reference, content)
}

// helm runs helm, and ends the test where it fails.
func helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := shared.Helm(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// scale gives a workload of Larder another number of replicas, and waits until it has them.
func scale(t *testing.T, workload, app string, replicas int) {
	t.Helper()
	kubectl(t, "scale", "--namespace", system, workload, fmt.Sprintf("--replicas=%d", replicas))
	if replicas > 0 {
		kubectl(t, "rollout", "status", "--namespace", system, workload, "--timeout=120s")
		return
	}
	gone(t, system, "app.kubernetes.io/component="+app)
}

// gone waits until no pod is left that a selector names.
func gone(t *testing.T, namespace, selector string) {
	t.Helper()
	eventually(t, "the pods "+selector+" to be gone", func(ctx context.Context) error {
		left, err := shared.Kubectl(ctx, "get", "pods", "--namespace", namespace, "--selector", selector, "--output", "name")
		if err == nil && left != "" {
			err = fmt.Errorf("there are still %s", left)
		}
		return err
	})
}

// imageOf returns the image of a pod's first container.
func imageOf(t *testing.T, pod string) string {
	t.Helper()
	return kubectl(t, "get", "pod", "--namespace", "shop", pod, "--output", "jsonpath={.spec.containers[0].image}")
}

// forget deletes pods of the shop, if any, and the node's copy of images, under their own name and Larder's.
func forget(t *testing.T, pods []string, images ...string) {
	t.Helper()
	if len(pods) > 0 {
		kubectl(t, append([]string{"delete", "pod", "--namespace", "shop", "--now", "--ignore-not-found", "--wait"}, pods...)...)
	}
	for _, image := range images {
		for _, name := range []string{image, front + image} {
			eventually(t, "the node to forget "+name, func(ctx context.Context) error { return removeImage(ctx, name) })
		}
	}
}

// removeImage removes an image from the node; one that is not there is no error.
func removeImage(ctx context.Context, name string) error {
	listed, err := shared.Crictl(ctx, "images", "--output", "json")
	if err != nil || !strings.Contains(listed, strconv.Quote(name)) {
		return err
	}
	return shared.RemoveImage(ctx, name)
}

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, ok func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}
