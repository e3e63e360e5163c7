package webhook_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/webhook"
)

// zeros is a body that does not end.
type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += len(p)
	return len(p), nil
}

// Whoever reaches the webhook may ask it, since API servers need not show who they are. What it answers follows from the question, its
// configuration and which images Larder cannot get: the same question gets the same answer, and nothing is changed by it.
func TestStranger_LearnsNothingThatItDidNotSay(t *testing.T) {
	t.Parallel()
	h := newRig(t, rewrite.Config{})
	const pod = `{"metadata":{"name":"a"},"spec":{"serviceAccountName":"admin","imagePullSecrets":[{"name":"hub"}],"containers":[{"name":"c","image":"nginx:1"}]}}`
	first := h.review(t, "kube-public", pod)
	if again := h.review(t, "kube-public", pod); !bytes.Equal(first.Patch, again.Patch) {
		t.Errorf("the same question has two answers:\n%s\n%s", first.Patch, again.Patch)
	}
	var operations []struct {
		Path  string
		Value json.RawMessage
	}
	if err := json.Unmarshal(first.Patch, &operations); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
		if !strings.HasPrefix(o.Path, "/metadata/annotations") && o.Path != "/spec/containers/0/image" {
			t.Errorf("the answer changes %s to %s", o.Path, o.Value)
		}
	}
	if first.Result != nil && first.Result.Message != "" || len(first.Warnings) > 0 || len(first.AuditAnnotations) > 0 {
		t.Errorf("the answer says more than the patch: %+v", first)
	}
}

func TestStranger_IsNotReadForEver(t *testing.T) {
	t.Parallel()
	h := newRig(t, rewrite.Config{})
	body := &zeros{}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, io.NopCloser(body))
	req.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	h.handler.ServeHTTP(answer, req)
	if body.read > 16<<20 || strings.Contains(answer.Body.String(), `"allowed":true`) {
		t.Errorf("it read %d bytes, and says %s", body.read, answer.Body)
	}
	const many = 200_000
	for _, deep := range []string{
		strings.Repeat(`{"a":`, many) + "1" + strings.Repeat("}", many),
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"CREATE","object":{"spec":{"containers":` +
			strings.Repeat("[", many) + strings.Repeat("]", many) + `}}}}`,
	} {
		if answer := h.post(t, []byte(deep)); bytes.Contains(answer, []byte(`"patch"`)) {
			t.Errorf("JSON that is %d deep: %.200s", many, answer)
		}
	}
}
