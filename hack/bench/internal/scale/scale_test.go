package scale

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/larder-dev/larder/hack/bench/internal/audit"
	"github.com/larder-dev/larder/hack/bench/internal/content"
)

func images(n int) []image {
	found := make([]image, n)
	for i := range found {
		repository := fmt.Sprintf("team/app-%d", i)
		found[i] = image{Image: content.Image{Tag: "v1", Digest: fmt.Sprintf("sha256:%d", i)}, name: "a.example/" + repository + ":v1", host: "a.example", repository: repository}
	}
	return found
}

func TestPods_UseEveryImageAndAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	all := images(30)
	pods, e := podsOf(all, 100), newExpectation()
	for _, p := range pods {
		e.add(p, time.Now())
	}
	if len(pods) != 100 || len(e.all()) != 30 {
		t.Errorf("%d pods use %d images, want 100 and 30", len(pods), len(e.all()))
	}
	for i, again := range podsOf(all, 100) {
		if again.name != pods[i].name || len(again.images) != len(pods[i].images) || again.images[0].name != pods[i].images[0].name {
			t.Fatalf("pod %d is %v, then %v", i, pods[i], again)
		}
	}
}

func TestExpectation_CountsAPodOnce(t *testing.T) {
	t.Parallel()
	e, one := newExpectation(), images(1)[0]
	e.add(pod{images: []image{one, one}}, time.Now())
	if got := e.all()[one.name].users; got != 1 {
		t.Errorf("a pod that names an image twice counts %d times", got)
	}
}

// object is one of Larder's, as a watch has it.
func object(name string, spec, status map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec, "status": status}}
	o.SetName(name)
	return o
}

func cachedImage(name, source string, users int64) *unstructured.Unstructured {
	return object(name, map[string]any{"sourceImage": source},
		map[string]any{"phase": ready, "digest": "sha256:0", "usedBy": map[string]any{"count": users}})
}

func repository(name string) *unstructured.Unstructured {
	return object(name, map[string]any{"name": "a.example/team/app-0"}, map[string]any{"phase": ready, "images": int64(1)})
}

func TestView_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const source = "a.example/team/app-0:v1"
	for name, tt := range map[string]struct {
		images, repositories []*unstructured.Unstructured
		want                 []string
	}{
		"Nothing": {
			[]*unstructured.Unstructured{cachedImage("one", source, 1)}, []*unstructured.Unstructured{repository("r")}, nil,
		},
		"Lost": {nil, nil, []string{"has 0 CachedImages", "has 0 Repositories"}},
		"Duplicated": {
			[]*unstructured.Unstructured{cachedImage("one", source, 1), cachedImage("two", source, 1)},
			[]*unstructured.Unstructured{repository("r"), repository("s")}, []string{"has 2 CachedImages", "has 2 Repositories"},
		},
		"A wrong count": {
			[]*unstructured.Unstructured{cachedImage("one", source, 2)}, []*unstructured.Unstructured{repository("r")}, []string{"users:2"},
		},
		"What nobody uses": {
			[]*unstructured.Unstructured{cachedImage("one", source, 1), cachedImage("two", "other:v1", 0)},
			[]*unstructured.Unstructured{repository("r")}, []string{"nothing uses other:v1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, e := newView(), newExpectation()
			e.add(pod{images: images(1)}, time.Now())
			for _, o := range tt.images {
				v.setImage(o, true)
			}
			for _, o := range tt.repositories {
				v.setRepository(o, true)
			}
			got := v.wrong(e.all())
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("got %q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestTimeless_TellsTimestampsFromTheRest(t *testing.T) {
	t.Parallel()
	at := func(phase, update string) map[string]any {
		return timeless(object("r", nil, map[string]any{"phase": phase, "lastUpdate": update}))
	}
	if diff := cmp.Diff(at(ready, "1"), at(ready, "2")); diff != "" {
		t.Errorf("another time alone (-want +got):\n%s", diff)
	}
	if cmp.Equal(at(ready, "1"), at("Conflict", "1")) {
		t.Error("another phase is no mere timestamp")
	}
}

func TestKind_NamesWhoWroteWhatAndHowItEnded(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]audit.Request{
		"larder-registry: patch cachedimages/status":         {User: "larder-registry", Agent: "larder-registry/v1", Verb: "patch", Resource: "cachedimages/status", Code: 200},
		"larder-controller: create pods (409)":               {User: "larder-controller", Agent: "larder-controller/v1", Verb: "create", Resource: "pods", Code: 409},
		"larder-controller's leader election: update leases": {User: "larder-controller", Agent: "larder/v0 (x) k/leader-election", Verb: "update", Resource: "leases", Code: 200},
	} {
		if got := kind(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
