package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
)

// A pull that arrives before any object of Larder's exists finds the secrets of its pod; one that was rotated is used at once.
func TestKeychain_A3_FirstPullOfAPrivateImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	o := origin.New(t, origin.WithTokens(origin.User{Name: "tenant", Password: password("tenant")}))
	img, err := random.Image(64, 1)
	w.must(err)
	o.Push(t, "team/app:1", img)
	c, err := upstream.New(upstream.Options{
		Registries: []upstream.Registry{{Host: "private.test", Endpoints: []string{o.URL()}}}, Credentials: w.Keychain, Log: w.lines.logger(),
	})
	w.must(err)
	t.Cleanup(c.Close)
	repo := repository(t, "private.test/team/app")
	pull := func() error {
		_, _, err := c.ResolveManifest(t.Context(), repo, "1")
		return err
	}
	var denied *upstream.Error
	if err := pull(); !errors.As(err, &denied) || denied.Reason != upstream.Denied {
		t.Fatalf("without any pod: got %v, want it denied", err)
	}
	w.secret("wrong", "private.test/team", "stranger")
	w.secret("right", "private.test", "tenant")
	w.pod("one", "private.test/team/app:1", "missing", "wrong", "right")
	if c.CredentialSet(repo) == denied.CredentialSet {
		t.Error("the denial would still be remembered")
	}
	w.must(pull())

	o.SetUsers(origin.User{Name: "tenant", Password: "another"})
	o.ExpireTokens()
	var secret corev1.Secret
	w.must(w.cluster.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "right"}, &secret))
	old := string(secret.Data[corev1.DockerConfigJsonKey])
	secret.Data[corev1.DockerConfigJsonKey] = []byte(strings.ReplaceAll(old, password("tenant"), "another"))
	w.must(w.cluster.Update(t.Context(), &secret))
	w.await(func() bool { return pull() == nil }) // within secretTTL
	for _, line := range w.lines.all() {
		if strings.Contains(line, password("")) || strings.Contains(line, "another\"") {
			t.Errorf("the log tells a password: %s", line)
		}
	}
}
