package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/tests/origin"
)

const app = host + "/team/app"

const appManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: c, image: "IMAGE", args: [serve, ':8080'], readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}}
`

// tagMoves: a Deployment scales up while its tag moves, twice. The node's copy is removed each time, as if another node had the new pod.
func (l *larder) tagMoves(t *testing.T) {
	l.install(t, "triggers.enabled=true")
	apply(t, repository, "NAME", "app", "REPOSITORY", app, "INTERVAL", "1h")
	l.push(t, "team/app:stable", guests.Image("app 1"))
	apply(t, appManifest, "IMAGE", app+":stable")
	kubectl(t, "rollout", "status", "--namespace", "shop", "deployment/app", "--timeout=120s")
	kubectl(t, "wait", cachedImage(t, app+":stable"), "--for=condition=Ready", "--timeout=60s")
	l.scaleWhileMoving(t, "app 2", "app 3")
	runs(t, "app 1", "app 2", "app 3")
	if sets := replicaSets(t); len(sets) != 1 {
		t.Errorf("there are the ReplicaSets %q, want one", sets)
	}
	l.report.note("%s: without resolveDigests one ReplicaSet ran three versions", app)
}

// tagResolves: the same with resolveDigests.
func (l *larder) tagResolves(t *testing.T) {
	kubectl(t, "patch", "repository/app", "--type=merge", `--patch={"spec":{"resolveDigests":true}}`)
	settled(t)
	restartApp(t)
	runs(t, "app 3", "app 3", "app 3")
	kubectl(t, "scale", "--namespace", "shop", "deployment/app", "--replicas=1")
	l.scaleWhileMoving(t, "app 4", "app 5")
	runs(t, "app 3", "app 3", "app 3")
	if got := kubectl(t, "get", cachedImage(t, app+":stable"), "--output", "jsonpath={.status.usedBy.count}"); got != "3" {
		t.Errorf("the tag has %s pods, want all 3", got)
	}
	if got := kubectl(t, "get", "deployment", "--namespace", "shop", "app", "--output", "jsonpath={.spec.template.spec.containers[0].image}"); got != app+":stable" {
		t.Errorf("the workload has the image %s, want it unchanged", got)
	}
	l.report.note("%s: with resolveDigests one version, also for pods that came after two moves", app)
}

// tagGoesBack: a pin brings an earlier revision back while the origin refuses connections.
func (l *larder) tagGoesBack(t *testing.T) {
	object := cachedImage(t, app+":stable")
	before := kubectl(t, "get", object, "--output", "jsonpath={.status.history[1].digest}")
	l.origin.Refuse()
	kubectl(t, "patch", object, "--type=merge", fmt.Sprintf(`--patch={"spec":{"pinnedDigest":%q}}`, before))
	serves(t, before)
	settled(t)
	restartApp(t)
	runs(t, "app 4", "app 4", "app 4")
	l.origin.Heal()
	kubectl(t, "patch", object, "--type=merge", `--patch={"spec":{"pinnedDigest":null}}`)
	refresh(t)
	l.report.note("%s: rolled back to %s without its origin", app, before)
}

// tagTriggers: the Deployment asks to be restarted, and is: once for each revision, and only when that is stored whole.
func (l *larder) tagTriggers(t *testing.T) {
	forgetApp(t)
	kubectl(t, "annotate", "deployment", "--namespace", "shop", "app", v1alpha1.AnnotationOnUpdate+"=restart", v1alpha1.AnnotationRestartInterval+"=1s")
	eventually(t, "app 5 everywhere", func(ctx context.Context) error { return running(ctx, "app 5", "app 5", "app 5") })
	sets := replicaSets(t)

	const size, rate = 24 << 20, 2 << 20
	pushed := l.push(t, "team/app:stable", guests.Large("app 6", size))
	slow := l.origin.Fail(origin.Blobs().Of(pushed.Blobs[len(pushed.Blobs)-1].Digest.String()), origin.Drip(rate))
	defer slow.Heal()
	refresh(t)
	object := cachedImage(t, app+":stable")
	var whole time.Time
	eventually(t, "app 6 to be whole", func(context.Context) error {
		revision := newest(t)
		if revision.Digest != pushed.Digest.String() || revision.CompleteAt == nil {
			if got := restartedFor(t); strings.Contains(got, pushed.Digest.String()) {
				t.Fatal("the Deployment was restarted before the revision was whole")
			}
			return fmt.Errorf("the newest is %+v", revision)
		}
		whole = revision.CompleteAt.Time
		return nil
	})
	eventually(t, "app 6 everywhere", func(ctx context.Context) error { return running(ctx, "app 6", "app 6", "app 6") })
	restarted, err := time.Parse(time.RFC3339, kubectl(t, "get", "deployment", "--namespace", "shop", "app", "--output",
		`jsonpath={.spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}`))
	if err != nil || restarted.Sub(whole) < rollout.Settle {
		t.Errorf("whole at %v, restarted at %v (%v)", whole, restarted, err)
	}
	if after := replicaSets(t); len(after) != len(sets)+1 {
		t.Errorf("there were the ReplicaSets %q, and are %q, want one more", sets, after)
	}
	events := kubectl(t, "get", "events", "--namespace", "shop", "--field-selector", "involvedObject.name=app,reason=Restarted", "--output",
		`jsonpath={range .items[*]}{.message}{"\n"}{end}`)
	if strings.Count(events, pushed.Digest.String()) != 1 {
		t.Errorf("the events are %q, want one of %s", events, pushed.Digest)
	}
	kubectl(t, "delete", "deployment", "--namespace", "shop", "app")
	gone(t, "shop", "app=app")
	l.report.note("%s: a trigger brought the new version everywhere, once, %s after %s was whole", app, restarted.Sub(whole), object)
}

// scaleWhileMoving gives the Deployment one pod more after each move of its tag.
func (l *larder) scaleWhileMoving(t *testing.T, versions ...string) {
	t.Helper()
	for i, version := range versions {
		pushed := l.push(t, "team/app:stable", guests.Image(version))
		refresh(t)
		serves(t, pushed.Digest.String())
		kubectl(t, "wait", cachedImage(t, app+":stable"), "--for=condition=Ready", "--timeout=60s")
		forgetApp(t)
		kubectl(t, "scale", "--namespace", "shop", "deployment/app", fmt.Sprintf("--replicas=%d", i+2))
		kubectl(t, "rollout", "status", "--namespace", "shop", "deployment/app", "--timeout=120s")
	}
}

// forgetApp removes the node's copies of the image, by tag and by every digest.
func forgetApp(t *testing.T) {
	t.Helper()
	names := []string{app + ":stable"}
	for digest := range strings.FieldsSeq(kubectl(t, "get", cachedImage(t, app+":stable"), "--output", "jsonpath={.status.history[*].digest}")) {
		names = append(names, app+"@"+digest)
	}
	forget(t, nil, names...)
}

// refresh has the tag checked now.
func refresh(t *testing.T) {
	t.Helper()
	kubectl(t, "annotate", "--overwrite", cachedImage(t, app+":stable"), fmt.Sprintf("%s=%d", v1alpha1.AnnotationRefresh, time.Now().UnixNano()))
}

// serves waits until the tag is served with a digest.
func serves(t *testing.T, digest string) {
	t.Helper()
	eventually(t, "the tag to be "+digest, func(context.Context) error {
		if got := newest(t).Digest; got != digest {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// newest is what the status says of the revision that is current.
func newest(t *testing.T) v1alpha1.Revision {
	t.Helper()
	var image v1alpha1.CachedImage
	if err := json.Unmarshal([]byte(kubectl(t, "get", cachedImage(t, app+":stable"), "--output", "json")), &image); err != nil {
		t.Fatal(err)
	}
	if len(image.Status.History) == 0 {
		return v1alpha1.Revision{}
	}
	return image.Status.History[0]
}

// settled waits until a new ReplicaSet gets the revision that is current.
func settled(t *testing.T) {
	t.Helper()
	eventually(t, "the newest revision to settle", func(context.Context) error {
		revision := newest(t)
		if at, complete := rollout.Settled(&revision); !complete || time.Since(at) < 2*time.Second {
			return fmt.Errorf("it is %+v", revision)
		}
		return nil
	})
}

func restartApp(t *testing.T) {
	t.Helper()
	kubectl(t, "rollout", "restart", "--namespace", "shop", "deployment/app")
	kubectl(t, "rollout", "status", "--namespace", "shop", "deployment/app", "--timeout=120s")
}

// runs checks which versions the pods of the Deployment run.
func runs(t *testing.T, versions ...string) {
	t.Helper()
	eventually(t, "the pods to run "+strings.Join(versions, ", "), func(ctx context.Context) error { return running(ctx, versions...) })
}

func running(ctx context.Context, versions ...string) error {
	out, err := shared.Kubectl(ctx, "get", "pods", "--namespace", "shop", "--selector", "app=app", "--output", "name")
	if err != nil {
		return err
	}
	var got []string
	for pod := range strings.FieldsSeq(out) {
		version, err := shared.Kubectl(ctx, "exec", "--namespace", "shop", pod, "--", "/guest", "version")
		if err != nil {
			return err
		}
		got = append(got, strings.TrimSpace(version))
	}
	if slices.Sort(got); !slices.Equal(got, versions) {
		return fmt.Errorf("they run %q", got)
	}
	return nil
}

// replicaSets are the names of the Deployment's.
func replicaSets(t *testing.T) []string {
	t.Helper()
	return strings.Fields(kubectl(t, "get", "replicasets", "--namespace", "shop", "--selector", "app=app", "--output", "name"))
}

func restartedFor(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "deployment", "--namespace", "shop", "app", "--output",
		`jsonpath={.spec.template.metadata.annotations.larder\.dev/restarted-for}`)
}
