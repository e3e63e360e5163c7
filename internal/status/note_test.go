package status_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/tests/kube"
)

func TestNote_IsWhatTheAPIServerTakes(t *testing.T) {
	t.Parallel()
	cluster := kube.New(t)
	for name, tt := range map[string]struct{ text, want string }{
		"Short":                             {"Grüße aus 東京", "Grüße aus 東京"},
		"As long as it may be":              {strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		"Too long":                          {strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
		"Too long by one character of four": {"ab" + strings.Repeat("🦭", 256), "ab" + strings.Repeat("🦭", 254) + "…"},
		"Cut within a character":            {"a" + strings.Repeat("東", 400), "a" + strings.Repeat("東", 340) + "…"},
		"No UTF-8":                          {"an origin said \xff\xfe", "an origin said \uFFFD"},
		"Cut off, and no UTF-8":             {strings.Repeat("\xffx", 600), strings.Repeat("\uFFFDx", 255) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := status.Note(tt.text)
			if got != tt.want || !utf8.ValidString(got) || len(got) > 1024 {
				t.Errorf("got %d bytes, %q; want %q", len(got), got, tt.want)
			}
			event := &eventsv1.Event{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "note-"}, EventTime: metav1.NowMicro(),
				ReportingController: "larder-registry", ReportingInstance: "test", Action: "Check", Reason: "Stale", Type: "Warning",
				Regarding: corev1.ObjectReference{Kind: "CachedImage", Name: "app"}, Note: got,
			}
			if err := cluster.Create(t.Context(), event); err != nil {
				t.Fatal(err)
			}
			if event.Note != tt.want {
				t.Errorf("the API server has %q", event.Note)
			}
		})
	}
}
