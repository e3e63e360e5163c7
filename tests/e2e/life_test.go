package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// firstChart is the first that worked.
const firstChart = "testdata/larder-0.1.0.tgz"

// upgrade installs the first chart that worked, and upgrades it to this one with pods running.
func (l *larder) upgrade(t *testing.T) {
	const image = host + "/team/old:1"
	l.push(t, "team/old:1", guests.Image("old 1", "serve", ":8080"))
	chart, err := filepath.Abs(firstChart)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.release.Install(t.Context(), chart, "config.keepWorkloadImages=false"); err != nil { // its roles do not have all that takes now
		t.Fatal(err)
	}
	kubectl(t, "run", "old", "--namespace", "shop", "--image", image)
	kubectl(t, "wait", "--namespace", "shop", "pod/old", "--for=condition=Ready", "--timeout=120s")
	l.install(t) // with the fields of the objects that it lacks, too
	kubectl(t, "wait", cachedImage(t, image), "--for=condition=Ready", "--timeout=120s")
	forget(t, []string{"old"}, image)
	kubectl(t, "wait", repositoryOf(t, host+"/team/old"), "--for=jsonpath={.status.access.public}=true", "--timeout=60s")
	l.origin.Refuse()
	defer l.origin.Heal()
	if got := l.run(t, image); got != "old 1" {
		t.Errorf("after the upgrade the image is %q", got)
	}
}

// install has Helm make the installation as this chart, and more values, say.
func (l *larder) install(t *testing.T, settings ...string) {
	t.Helper()
	if err := l.release.Install(t.Context(), l.release.Chart(), settings...); err != nil {
		t.Fatal(err)
	}
}

// rolledOut waits for all of Larder.
func (l *larder) rolledOut(t *testing.T) {
	t.Helper()
	if err := l.release.RolledOut(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// replaced: a rolling update of all that Larder is fails no pull.
func (l *larder) replaced(t *testing.T) {
	const size = 4 << 20
	image := host + "/team/load:1"
	l.push(t, "team/load:1", guests.Large("load 1", size))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	pulls := 0
	go func() {
		for ctx.Err() == nil {
			if err := pullAnew(front + image); err != nil {
				ended <- fmt.Errorf("pull %d: %w", pulls+1, err)
				return
			}
			pulls++
		}
		ended <- nil
	}()
	for _, workload := range []string{"deployment/larder-controller", "statefulset/larder-registry", "daemonset/larder-proxy"} {
		kubectl(t, "rollout", "restart", "--namespace", system, workload)
	}
	l.rolledOut(t)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	l.report.note("%s: pulled %d times while every workload was replaced, without a failure", image, pulls)
}

// pullAnew removes the node's copy of an image, and pulls it; what it began it brings to its end.
func pullAnew(image string) error {
	ctx := context.Background()
	_, err := shared.Crictl(ctx, "pull", image)
	return errors.Join(err, removeImage(ctx, image))
}

// mirrored: without a change of names, and with the origin as the way out.
func (l *larder) mirrored(t *testing.T) {
	l.install(t, "mirror.enabled=true", "mirror.certsDir="+shared.CertsDir)
	file := filepath.Join(shared.CertsDir, "_default", "hosts.toml")
	eventually(t, "hosts.toml", func(context.Context) error { _, err := os.Stat(file); return err })
	kept, fallback := "mirror.example/team/kept:1", "fallback.example/team/fallback:1"
	l.push(t, "team/kept:1", guests.Image("kept 1"))
	l.push(t, "team/fallback:1", guests.Image("fallback 1"))
	// Somebody's own file of a host stays as it is: Larder first, and then the origin.
	if err := shared.WriteHosts("fallback.example", l.origin.URL(), "http://127.0.0.1:7439"); err != nil {
		t.Fatal(err)
	}
	l.version(t, kept, "kept 1") // no DNS knows the host: through Larder or not at all
	l.origin.Refuse()
	l.version(t, kept, "kept 1")
	l.origin.Heal()

	scale(t, "statefulset/larder-registry", "registry", 0)
	l.version(t, fallback, "fallback 1")
	if asked := l.origin.Requests(origin.Manifests().In("team/fallback")); len(asked) == 0 || !strings.Contains(asked[0].Header.Get("User-Agent"), "containerd") {
		t.Errorf("the origin was asked by %v, want containerd itself", asked)
	}
	scale(t, "statefulset/larder-registry", "registry", 1)
	l.report.note("%s: pulled under its own name through Larder, also without its origin; %s from its origin, without Larder", kept, fallback)
}

// uninstalled: nothing of Larder is left that holds anything up.
func (l *larder) uninstalled(t *testing.T) {
	apply(t, web, "NAMESPACE", "shop", "IMAGE", host+"/team/web:1")
	l.install(t) // rewriting again
	if _, err := os.Stat(filepath.Join(shared.CertsDir, "_default", "hosts.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("hosts.toml outlives mirror mode: %v", err)
	}
	kubectl(t, "rollout", "restart", "--namespace", "shop", "deployment/web")
	kubectl(t, "rollout", "status", "--namespace", "shop", "deployment/web", "--timeout=120s")
	helm(t, "uninstall", "larder", "--namespace", system, "--wait", "--timeout=5m")
	if got := kubectl(t, "get", "mutatingwebhookconfigurations", "--output", "name"); strings.Contains(got, "larder") {
		t.Errorf("there is still %s", got)
	}
	kubectl(t, "delete", "customresourcedefinition", "cachedimages.larder.dev", "repositories.larder.dev", "--timeout=60s")
	kubectl(t, "rollout", "restart", "--namespace", "shop", "deployment/web")
	kubectl(t, "rollout", "status", "--namespace", "shop", "deployment/web", "--timeout=120s")
	eventually(t, "the pods to have their own names", func(ctx context.Context) error {
		images, err := shared.Kubectl(ctx, "get", "pods", "--namespace", "shop", "--selector", "app=web", "--output", "jsonpath={.items[*].spec.containers[0].image}")
		if err == nil && strings.Contains(images, front) { // of pods that have not ended yet, at first
			err = fmt.Errorf("they are %s", images)
		}
		return err
	})
	kubectl(t, "delete", "namespace", system, "--timeout=60s")
}
