package revisions

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/store"
)

func sha(start string) digest.Digest {
	return digest.Digest("sha256:" + start + strings.Repeat("0", 64-len(start)))
}

func TestFind_ADigestOrTheBeginningOfOneInTheHistory(t *testing.T) {
	t.Parallel()
	tag := cache.Tag{
		Digest: sha("aaaa1"), Upstream: sha("bbbb"),
		History: []store.Revision{{Digest: sha("aaaa1")}, {Digest: sha("aaaa2")}, {Digest: sha("aaaa1")}},
	}
	for text, want := range map[string]digest.Digest{
		string(sha("cccc")): sha("cccc"), "aaaa1": sha("aaaa1"), "sha256:aaaa2": sha("aaaa2"), "bbbb": sha("bbbb"),
		"aaaa": "", "aaa": "", "sha256:": "", "dddd": "", "sha512:aaaa1": "", "AAAA1": "", "": "", "latest": "",
	} {
		got, err := find(tag, text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestEarlier_TheLastCompleteRevisionBeforeThisOne(t *testing.T) {
	t.Parallel()
	whole := time.Unix(1, 0)
	tag := cache.Tag{Digest: sha("a"), History: []store.Revision{
		{Digest: sha("a"), CompleteAt: whole}, {Digest: sha("b")}, {Digest: sha("a"), CompleteAt: whole}, {Digest: sha("c"), CompleteAt: whole}, {Digest: sha("d"), CompleteAt: whole},
	}}
	if got, err := earlier(tag); got != sha("c") || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, sha("c"))
	}
	tag.History = tag.History[:3]
	if got, err := earlier(tag); err == nil {
		t.Errorf("got %s, want that there is none", got)
	}
}
