package api_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// young is the age of what was just created, at the end of a line or before the columns of -o wide.
var young = regexp.MustCompile(`(?m) ([0-9]{1,3}s)( +\S.*| *)$`)

// printed is what kubectl prints of the objects with a label, the ages of those created just now replaced by 5s.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	out := kubectl(t, append([]string{"get", "--selector", "columns=shown"}, args...)...)
	return "\n" + young.ReplaceAllStringFunc(out, func(end string) string {
		age, rest := young.FindStringSubmatch(end)[1], young.FindStringSubmatch(end)[2]
		if rest == "" {
			return " 5s"
		}
		return " 5s" + strings.Repeat(" ", len(age)-len("5s")) + rest
	})
}

func ago(d time.Duration) *metav1.Time { return new(metav1.NewTime(time.Now().Add(-d))) }

func shown(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"columns": "shown"}}
}

func condition(value metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: value, Reason: reason, Message: message, LastTransitionTime: metav1.Now(),
	}}
}

func TestColumns_CachedImages(t *testing.T) {
	t.Parallel()
	expires := metav1.NewTime(time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC))
	for name, tt := range map[string]struct {
		spec   v1alpha1.CachedImageSpec
		status v1alpha1.CachedImageStatus
	}{
		"fluent-bit-3.2": {
			v1alpha1.CachedImageSpec{SourceImage: "fluent/fluent-bit:3.2", ExpiresAt: &expires},
			v1alpha1.CachedImageStatus{
				Phase: v1alpha1.CachedImageReady, IsCached: new(true), UpToDate: new(true), LastSync: ago(26 * time.Hour),
				Size: new(resource.MustParse("98Mi")), UsedBy: &v1alpha1.UsedBy{Count: 0},
				Conditions: condition(metav1.ConditionTrue, v1alpha1.ReasonMirrored, "the whole image is stored"),
			},
		},
		"postgres-15": {
			v1alpha1.CachedImageSpec{SourceImage: "postgres:15"},
			v1alpha1.CachedImageStatus{
				Phase: v1alpha1.CachedImageStale, IsCached: new(true), UpToDate: new(false), LastSync: ago(45 * time.Minute),
				Size: new(resource.MustParse("152Mi")), UsedBy: &v1alpha1.UsedBy{Count: 120},
				Conditions: condition(metav1.ConditionTrue, v1alpha1.ReasonMirrored, "the whole image is stored"),
			},
		},
		"team-app-1.0": {
			v1alpha1.CachedImageSpec{SourceImage: "reg.example:5000/team/app:1.0"},
			v1alpha1.CachedImageStatus{
				Phase: v1alpha1.CachedImageMirroring, IsCached: new(false), Progress: "73%", UsedBy: &v1alpha1.UsedBy{Count: 1},
				Conditions: condition(metav1.ConditionFalse, v1alpha1.ReasonMirroring, "being brought in from reg.example:5000"),
			},
		},
		"unseen": {v1alpha1.CachedImageSpec{SourceImage: "unseen"}, v1alpha1.CachedImageStatus{}},
	} {
		image := created(t, &v1alpha1.CachedImage{ObjectMeta: shown(name), Spec: tt.spec})
		image.Status = tt.status
		writeStatus(t, image)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"cachedimages"}, `
NAME             IMAGE                           STATUS      CACHED   UP TO DATE   PODS   SIZE    LAST CHECK   EXPIRES                AGE
fluent-bit-3.2   fluent/fluent-bit:3.2           Ready       true     true         0      98Mi    26h          2031-02-03T04:05:06Z   5s
postgres-15      postgres:15                     Stale       true     false        120    152Mi   45m                                 5s
team-app-1.0     reg.example:5000/team/app:1.0   Mirroring   false                 1                                                  5s
unseen           unseen                                                                                                               5s
`},
		{[]string{"ci", "-o", "wide"}, `
NAME             IMAGE                           STATUS      CACHED   UP TO DATE   PODS   SIZE    LAST CHECK   EXPIRES                AGE   PROGRESS   MESSAGE
fluent-bit-3.2   fluent/fluent-bit:3.2           Ready       true     true         0      98Mi    26h          2031-02-03T04:05:06Z   5s               the whole image is stored
postgres-15      postgres:15                     Stale       true     false        120    152Mi   45m                                 5s               the whole image is stored
team-app-1.0     reg.example:5000/team/app:1.0   Mirroring   false                 1                                                  5s    73%        being brought in from reg.example:5000
unseen           unseen                                                                                                               5s               
`},
	} {
		if diff := cmp.Diff(tt.want, printed(t, tt.args...)); diff != "" {
			t.Errorf("kubectl get %v (-want +got):\n%s", tt.args, diff)
		}
	}
}

func TestColumns_Repositories(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spec   v1alpha1.RepositorySpec
		status v1alpha1.RepositoryStatus
	}{
		"docker.io-library-postgres": {
			v1alpha1.RepositorySpec{Name: "docker.io/library/postgres", UpdateInterval: "1h"},
			v1alpha1.RepositoryStatus{Phase: v1alpha1.RepositoryReady, Images: new(int32(3)), LastUpdate: ago(73 * time.Hour),
				Conditions: condition(metav1.ConditionTrue, v1alpha1.ReasonInForce, "in force for docker.io/library/postgres")},
		},
		"postgres-too": {
			v1alpha1.RepositorySpec{Name: "postgres", UpdateInterval: "never"},
			v1alpha1.RepositoryStatus{Phase: v1alpha1.RepositoryConflict, Images: new(int32(0)),
				Conditions: condition(metav1.ConditionFalse, v1alpha1.ReasonConflict, "spec.name: taken")},
		},
		"unseen": {v1alpha1.RepositorySpec{Name: "unseen"}, v1alpha1.RepositoryStatus{}},
	} {
		repository := created(t, &v1alpha1.Repository{ObjectMeta: shown(name), Spec: tt.spec})
		repository.Status = tt.status
		writeStatus(t, repository)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"repositories"}, `
NAME                         REPOSITORY                   STATUS     IMAGES   INTERVAL   LAST UPDATE   AGE
docker.io-library-postgres   docker.io/library/postgres   Ready      3        1h         3d1h          5s
postgres-too                 postgres                     Conflict   0        never                    5s
unseen                       unseen                                                                    5s
`},
		{[]string{"repo", "-o", "wide"}, `
NAME                         REPOSITORY                   STATUS     IMAGES   INTERVAL   LAST UPDATE   AGE   MESSAGE
docker.io-library-postgres   docker.io/library/postgres   Ready      3        1h         3d1h          5s    in force for docker.io/library/postgres
postgres-too                 postgres                     Conflict   0        never                    5s    spec.name: taken
unseen                       unseen                                                                    5s    
`},
	} {
		if diff := cmp.Diff(tt.want, printed(t, tt.args...)); diff != "" {
			t.Errorf("kubectl get %v (-want +got):\n%s", tt.args, diff)
		}
	}
}

func writeStatus(t *testing.T, object client.Object) {
	t.Helper()
	if err := cluster.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}
