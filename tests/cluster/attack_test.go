package cluster

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// Who administers a namespace, by the roles that every cluster has, may neither write Larder's objects nor read its secrets: a CachedImage has
// Larder fetch, a Repository says with what.
func TestAttack_ANamespacesAdministratorChangesNothingOfLarder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grant(t, w.Cluster, "cleanup.yaml", "larder-cleanup")
	_, w.users["mallory"] = w.User(t, "mallory")
	for _, part := range []string{"admin", "edit", "view"} { // of which the role admin is made; no role of Larder's is added to them
		create(t, w, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "mallory-" + part},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-" + part},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "mallory"}},
		})
	}
	var roles rbacv1.ClusterRoleList
	if err := w.List(t.Context(), &roles); err != nil {
		t.Fatal(err)
	}
	for i := range roles.Items {
		if name := roles.Items[i].Name; strings.HasPrefix(name, "larder-") && len(roles.Items[i].Labels) > 0 {
			t.Errorf("the role %s has labels %v: it may be added to others", name, roles.Items[i].Labels)
		}
	}
	mallory := w.as(t, "mallory")
	image := &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: v1alpha1.CachedImageSpec{SourceImage: app}}
	repo := repository("mine", v1alpha1.RepositorySpec{Name: process.Host + "/team/app", PullSecretNames: []string{"hub"}})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"}}
	process.Eventually(t, "the role of a namespace to count", func() bool {
		own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "mine-"}}
		return mallory.Create(t.Context(), own) == nil
	})
	for _, object := range []client.Object{image, repo, secret} {
		for verb, try := range map[string]func(client.Object) error{
			"create": func(o client.Object) error { return mallory.Create(t.Context(), o) },
			"read":   func(o client.Object) error { return mallory.Get(t.Context(), client.ObjectKeyFromObject(o), o) },
			"patch": func(o client.Object) error {
				return mallory.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte("{}")))
			},
			"delete": func(o client.Object) error { return mallory.Delete(t.Context(), o) },
		} {
			if err := try(object.DeepCopyObject().(client.Object)); !apierrors.IsForbidden(err) {
				t.Errorf("mallory may %s %T: %v", verb, object, err)
			}
		}
	}
}

// A Repository's pullSecretNames are of Larder's own namespace: neither a name with a namespace, nor one that another namespace has, leads
// elsewhere.
func TestAttack_A3_ARepositoryLeadsToNoSecretElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t, origin.WithTokens(alice))
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	w.pullSecret(t, "hub", alice) // in default
	for _, name := range []string{"default/hub", "../default/hub", "hub.default.", "Hub", "hub%2f..", ""} {
		err := w.Create(t.Context(), repository("elsewhere", v1alpha1.RepositorySpec{Name: process.Host + "/team/app", PullSecretNames: []string{name}}))
		if !apierrors.IsInvalid(err) {
			t.Errorf("pullSecretNames %q: %v, want it refused", name, err)
		}
	}
	create(t, w, repository("team", v1alpha1.RepositorySpec{Name: process.Host + "/team/app", PullSecretNames: []string{"hub"}}))
	larder := w.newRegistry(t, o)
	larder.Start(t)
	process.Eventually(t, "the registry to have looked for the secret", func() bool {
		got, body := larder.Get(t, http.MethodGet, manifestPath)
		if got.StatusCode == http.StatusOK {
			t.Fatalf("it pulled with a secret of another namespace: %s", body)
		}
		return got.StatusCode == http.StatusForbidden && strings.Contains(larder.Said(), "pull secret skipped")
	})
	if n := o.Count(origin.Tokens().That(func(r *origin.Request) bool { return r.Header.Get("Authorization") != "" })); n > 0 {
		t.Errorf("%d requests for a token had credentials", n)
	}
}

// An origin sends the registry to the API server, which would take it for somebody of the cluster.
func TestAttack_AnOriginThatLeadsToTheAPIServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	image := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	larder := w.newRegistry(t, o)
	larder.Start(t)
	server := strings.TrimPrefix(w.users[registry].Host, "https://")
	_, port, _ := strings.Cut(server, ":")
	for _, target := range []string{
		"https://" + server + "/api/v1/secrets", "https://localhost:" + port + "/version", "https://[::ffff:127.0.0.1]:" + port + "/version",
		"https://user:password@" + server + "/version",
	} {
		fault := o.Fail(origin.Everything(), origin.RedirectTo(target))
		blob := "/v2/" + process.Host + "/team/app/blobs/" + image.Blobs[1].Digest.String()
		got, body := larder.Get(t, http.MethodGet, blob)
		if got.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "Larder itself") {
			t.Errorf("a redirect to %s: %d %s, want it refused", target, got.StatusCode, body)
		}
		fault.Heal()
		larder.Restart(t) // which forgets the refusal
	}
	direct := process.Host + "/team/app"
	if got, body := larder.Get(t, http.MethodGet, "/v2/"+strings.ReplaceAll(server, ":", "_")+"/"+direct+"/manifests/v1"); got.StatusCode != http.StatusForbidden {
		t.Errorf("the API server as an origin: %d %s", got.StatusCode, body)
	}
}

// A tenant has a registry of its own that claims to hold a private blob of another one, and knows that one's digest. Where the registry is not
// allowed, nothing of it is asked or served.
func TestAttack_AnOriginThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o, theirs := origin.New(t), origin.New(t)
	content := origin.RandomImage(1, 4<<10)
	image := o.Push(t, "team/app:v1", content)
	theirs.Push(t, "evil/app:v1", content)
	larder := w.newRegistry(t, o)
	larder.Write(t, "larder.yaml", strings.Join([]string{
		"registries:", "- {host: " + process.Host + ", endpoints: ['" + o.URL() + "']}", "- {host: evil.example, endpoints: ['" + theirs.URL() + "']}",
		"allowedOrigins: [" + process.Host + "/team]",
	}, "\n"))
	larder.Start(t)
	layer := "/blobs/" + image.Blobs[1].Digest.String()
	for _, path := range []string{"/manifests/v1", layer} {
		if got, body := larder.Get(t, http.MethodGet, "/v2/"+process.Host+"/team/app"+path); got.StatusCode != http.StatusOK {
			t.Fatalf("what is allowed: %d %s", got.StatusCode, body)
		}
	}
	for _, repo := range []string{"evil.example/evil/app", process.Host + "/other/app"} {
		for _, path := range []string{"/manifests/v1", "/manifests/" + image.Digest.String(), layer, "/tags/list", "/referrers/" + image.Digest.String()} {
			got, body := larder.Get(t, http.MethodGet, "/v2/"+repo+path)
			if got.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "allowedOrigins") {
				t.Errorf("%s%s: %d %s, want it refused", repo, path, got.StatusCode, body)
			}
		}
	}
	if n := theirs.Count(origin.Everything()); n != 0 {
		t.Errorf("the other registry was asked %d times", n)
	}
}

// Nobody is asked anything without the token, whatever the method, and a request with a token of before is one without.
func TestAttack_APodCallsTheRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	image := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	larder := w.newRegistry(t, o, "--token-file", "token")
	larder.Write(t, "token", "right\n")
	larder.Start(t)
	shown := []string{"Authorization", "Bearer right"}
	if got, _ := larder.Get(t, http.MethodGet, manifestPath, shown...); got.StatusCode != http.StatusOK {
		t.Fatalf("with the token: %d", got.StatusCode)
	}
	asked := o.Count(origin.Everything())
	paths := []string{
		manifestPath, "/v2/" + process.Host + "/team/app/blobs/" + image.Blobs[1].Digest.String(), "/v2/team/app/manifests/v1?ns=" + process.Host,
		"/v2/" + process.Host + "/team/app/tags/list", "/v2/" + process.Host + "/team/app/referrers/" + image.Digest.String(),
		"/v2/" + process.Host + "/team/other/manifests/v1", "/v2/" + process.Host + "/team/app/blobs/uploads/", "/v2/_catalog", "/v2/",
	}
	for _, header := range [][]string{
		nil, {"Authorization", "Bearer left"}, {"Authorization", "Basic cmlnaHQ6cmlnaHQ="}, {"Larder-Node", "worker"}, {"X-Forwarded-For", "127.0.0.1"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			for _, path := range paths {
				if got, body := larder.Get(t, method, path, header...); got.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s %s with %v: %d %s, want 401", method, path, header, got.StatusCode, body)
				}
			}
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		for _, path := range paths {
			if got, body := larder.Get(t, method, path, shown...); got.StatusCode != http.StatusMethodNotAllowed && got.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s with the token: %d %s, want it refused", method, path, got.StatusCode, body)
			}
		}
	}
	if n := o.Count(origin.Everything()); n != asked {
		t.Errorf("the origin was asked %d times", n-asked)
	}
	if got, _ := larder.Get(t, http.MethodGet, manifestPath, shown...); got.StatusCode != http.StatusOK {
		t.Errorf("the image afterwards: %d", got.StatusCode)
	}
}
