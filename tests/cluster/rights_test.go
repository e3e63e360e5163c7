package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/kube"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// seldom are rights that the life below does not use, and when they are.
var seldom = map[kube.Right]string{
	{User: controller, Verb: "patch", Resource: "events"}:             "an event that repeats is counted up",
	{User: registry, Verb: "patch", Resource: "events.k8s.io/events"}: "an event that repeats is counted up",

	{User: registry, Verb: "create", Resource: "coordination.k8s.io/leases"}: onABucket,
	{User: registry, Verb: "get", Resource: "coordination.k8s.io/leases"}:    onABucket,
	{User: registry, Verb: "update", Resource: "coordination.k8s.io/leases"}: onABucket,

	{User: controller, Verb: "get", Resource: "apps/controllerrevisions"}: resolved,
	{User: controller, Verb: "get", Resource: "apps/daemonsets"}:          resolved,
	{User: controller, Verb: "get", Resource: "apps/deployments"}:         resolved,
	{User: controller, Verb: "get", Resource: "apps/replicasets"}:         resolved,
	{User: controller, Verb: "get", Resource: "apps/statefulsets"}:        resolved,
	{User: controller, Verb: "get", Resource: "batch/jobs"}:               resolved,
	{User: controller, Verb: "patch", Resource: "apps/daemonsets"}:        rolled,
	{User: controller, Verb: "patch", Resource: "apps/deployments"}:       rolled,
	{User: controller, Verb: "patch", Resource: "apps/statefulsets"}:      rolled,
	{User: controller, Verb: "create", Resource: "events.k8s.io/events"}:  rolled,
	{User: controller, Verb: "patch", Resource: "events.k8s.io/events"}:   rolled,
}

// What other tests do under the same roles.
const (
	onABucket = "replicas share a bucket: TestReplicas_B1_T3_AsOneRegistry"
	resolved  = "a tag is resolved, or a workload rolled: TestRollout_UnderItsRoles"
	rolled    = "a workload is rolled: TestRollout_UnderItsRoles"
)

// rights are those that a file of the chart grants to a user.
func rights(t *testing.T, file, user string) map[kube.Right]bool {
	t.Helper()
	content, err := os.ReadFile("../../helm/larder/files/rbac/" + file)
	if err != nil {
		t.Fatal(err)
	}
	granted := map[kube.Right]bool{}
	for documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096); ; {
		var role rbacv1.ClusterRole // a Role has the same rules
		err := documents.Decode(&role)
		if errors.Is(err, io.EOF) {
			return granted
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					resource, sub, _ := strings.Cut(resource, "/")
					for _, verb := range rule.Verbs {
						granted[kube.NewRight(user, verb, group, resource, sub)] = true
					}
				}
			}
		}
	}
}

// TestRoles_EveryRightIsUsed has both processes live through all that they have rights for, under their roles and with every toggle on, and
// looks in the API server's audit log for each right that the chart grants. A right that nobody uses is not granted.
func TestRoles_EveryRightIsUsed(t *testing.T) {
	t.Parallel()
	c, used := kube.NewAudited(t, controller, registry)
	w := newWorldIn(t, c)
	o := origin.New(t, origin.WithTokens(alice))
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	larder := w.newRegistry(t, o, "--token-file", "token") // without one there is nothing to say of who may pull
	larder.Write(t, "token", "secret-of-the-test\n")
	hook := w.newHook(t, "--token-secret", "larder-token", "--registry-tls", "larder-registry", "--registry-tls-settle", "2s",
		"--expiry-delay", "3s", "--expiry-grace", "2s")
	larder.Start(t)
	hook.Start(t)
	w.liveThroughAll(t)

	granted := rights(t, "controller.yaml", controller)
	for right := range rights(t, "registry.yaml", registry) {
		granted[right] = true
	}
	var unused []kube.Right
	defer func() {
		if len(unused) > 0 {
			t.Errorf("granted, and used by nobody: %v", unused)
		}
	}()
	process.Eventually(t, "every right to be used", func() bool {
		unused = nil
		used := used()
		for right := range granted {
			if !used[right] && !listsByWatch(right, used) && seldom[right] == "" {
				unused = append(unused, right)
			}
		}
		return len(unused) == 0
	})
	for right, when := range seldom {
		if !granted[right] {
			t.Errorf("%v is not granted, and said to be for when %s", right, when)
		}
	}
}

// listsByWatch says whether a right is to list what is watched: this API server streams the list as a watch, others do not.
func listsByWatch(right kube.Right, used map[kube.Right]bool) bool {
	return right.Verb == "list" && used[kube.Right{User: right.User, Verb: "watch", Resource: right.Resource}]
}

// liveThroughAll does what makes the processes use their rights.
func (w *world) liveThroughAll(t *testing.T) {
	t.Helper()
	w.pullSecret(t, "hub", alice)
	other, err := imageref.ParsePath(process.Host + "/team/taken")
	if err != nil {
		t.Fatal(err)
	}
	taken := repository(other.ObjectName(0), v1alpha1.RepositorySpec{Name: process.Host + "/team/elsewhere"}) // somebody has that name
	create(t, w, taken)
	w.pod(t, "taken", []string{process.Host + "/team/taken:v1"})
	pod := w.pod(t, "app", []string{app}, "hub")
	w.awaitReady(t, app)
	create(t, w, repository("team", v1alpha1.RepositorySpec{Name: process.Host + "/team/app", UpdateInterval: "1h"})) // a person's
	if err := w.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	process.Eventually(t, "the image to expire", func() bool { return w.image(t, app) == nil })

	w.configure(t, "localhost:1", nil)
	broken := client.RawPatch(types.MergePatchType, []byte(`{"data":{"tls.crt":null}}`))
	process.Eventually(t, "the webhook's authority, which is made anew where it is broken", func() bool {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: authority.Namespace, Name: authority.Name}}
		return w.Patch(t.Context(), secret, broken) == nil
	})
	w.serving(t)
	w.kubectl(t, "annotate", "secret", "-n", namespace, "larder-registry-tls", "larder.dev/rotate=now")
}
