package registry

import (
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/cache"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
)

func TestPressure_AFullStoreIsAnEventOfTheRegistrysPod(t *testing.T) {
	t.Parallel()
	recorder := events.NewFakeRecorder(10)
	p := &process{}
	p.crowded(3<<30, cache.Limit{High: 2 << 30}) // no API server yet
	p.pressure.Store(&pressure{nil, recorder})
	p.crowded(3<<30, cache.Limit{High: 2 << 30}) // nobody said which pod
	p.pressure.Store(&pressure{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "larder-registry-0"}}, recorder})
	p.crowded(3<<30, cache.Limit{High: 2 << 30})
	select {
	case said := <-recorder.Events:
		if !strings.HasPrefix(said, "Warning StoreOverLimit ") || !strings.Contains(said, "3Gi") || !strings.Contains(said, "2Gi") {
			t.Errorf("it says %q", said)
		}
	default:
		t.Fatal("nobody is told")
	}
	if len(recorder.Events) > 0 {
		t.Errorf("it also says %q", <-recorder.Events)
	}
}
