package cluster

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

var hooksAddress = regexp.MustCompile(`Registries tell it of pushes on (\S+),`)

// A real registry tells a controller, which does not lead, of a push; no policy would have the tag checked.
func TestHooks_APushIsSeenAtOnceWhicheverReplicaHearsOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "distribution"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	leader := w.newController(t)
	leader.Start(t)
	process.Eventually(t, "one controller to lead", func() bool {
		_, metrics := leader.GetHealth(t, "/metrics")
		return strings.Contains(string(metrics), `leader_election_master_status{name="larder-controller"} 1`)
	})
	hears := w.newController(t, "--hooks-listen", "127.0.0.1:0", "--hooks-secrets", secrets)
	hears.Start(t)
	var address []string
	process.Eventually(t, "the hooks' address", func() bool {
		address = hooksAddress.FindStringSubmatch(hears.Said())
		return address != nil
	})
	o := origin.New(t, origin.WithNotifications("http://"+address[1]+"/hooks/distribution?host="+process.Host, "Bearer hunter2"))
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	larder := w.newRegistry(t, o)
	larder.Start(t)
	w.pod(t, "app", []string{app})
	first := w.awaitReady(t, app)
	alias := &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "alias"}, Spec: v1alpha1.CachedImageSpec{SourceImage: "alias.example/app:v1"}}
	create(t, w, alias)
	create(t, w, repository("alias", v1alpha1.RepositorySpec{Name: "alias.example/app", Origin: process.Host + "/team/app"}))
	other := w.image(t, app).ResourceVersion

	pushed := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	process.Eventually(t, "the push to be served", func() bool {
		found := w.image(t, app)
		return found.Status.Digest == pushed.Digest.String() && found.Status.Phase == v1alpha1.CachedImageReady
	})
	found := w.image(t, app)
	if found.Status.Digest == first.Status.Digest || found.ResourceVersion == other || !strings.HasPrefix(found.Annotations[v1alpha1.AnnotationRefresh], "distribution ") {
		t.Errorf("the annotations are %v", found.Annotations)
	}
	process.Eventually(t, "the image that comes from there to be refreshed", func() bool {
		return strings.HasPrefix(w.image(t, "alias.example/app:v1").Annotations[v1alpha1.AnnotationRefresh], "distribution ")
	})
	_, metrics := hears.GetHealth(t, "/metrics")
	if !strings.Contains(string(metrics), `larder_hook_requests_total{outcome="accepted",source="distribution"}`) {
		t.Error("accepted notifications are not counted")
	}
	if said := hears.Said(); strings.Contains(said, "hunter2") {
		t.Errorf("the log shows the secret:\n%s", said)
	}
}
