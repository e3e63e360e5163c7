package cache

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/tests/origin"
)

func TestBlob_B6_AnotherRepositoryNeedsItsOwnConfirmation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	private := f.origin.Push(t, "private:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "private", "1")
	layer := private.Blobs[1].Digest
	f.origin.Push(t, "other:1", origin.RandomImage(1, 1<<12))

	_, _, err := f.read(t, "other", layer)
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound || e.Code != CodeBlobUnknown {
		t.Errorf("a stored blob of another repository: got the error %v, want 404 BLOB_UNKNOWN", err)
	}
	if _, _, err := f.ResolveBlob(t.Context(), repository("other"), layer); err == nil {
		t.Error("HEAD answered for a blob of another repository")
	}
	if _, _, err := f.ResolveManifest(t.Context(), repository("other"), string(private.Digest)); err == nil {
		t.Error("a manifest of another repository was served")
	}
}

func TestBlob_B6_JoiningNeedsConfirmation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	private := f.origin.Push(t, "private:1", origin.RandomImage(1, 1<<20))
	f.origin.Push(t, "other:1", origin.RandomImage(1, 1<<12))
	layer := private.Blobs[1].Digest
	stall := f.origin.Fail(origin.Blobs().Of(string(layer)).In("private").By("GET"), origin.StallAfter(1<<10))
	b, _, err := f.Blob(t.Context(), repository("private"), layer, fetch.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	stall.Await(t, 1)
	if _, _, err := f.read(t, "other", layer); err == nil {
		t.Error("a repository joined the transfer of another one's blob without a confirmation of its own")
	}
	stall.Heal()
}

func TestBlob_B6_ConfirmedByTheOriginServedFromTheStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	content := origin.RandomImage(1, 1<<12)
	img := f.origin.Push(t, "one:1", content)
	f.origin.Push(t, "two:1", content)
	f.pull(t, "one", "1")
	f.origin.Forget()
	layer := img.Blobs[1].Digest
	for range 3 {
		body, outcome, err := f.read(t, "two", layer)
		if err != nil || digest.FromBytes(body) != layer || outcome.Kind != Hit {
			t.Fatalf("got %d bytes, %+v, %v, want a hit", len(body), outcome, err)
		}
	}
	if heads, gets := f.origin.Count(origin.Blobs().By("HEAD")), f.origin.Count(origin.Blobs().By("GET")); heads != 1 || gets != 0 {
		t.Errorf("got %d HEADs and %d GETs at the origin, want one HEAD", heads, gets)
	}
	// A manifest stored in a repository confirms what it names.
	f.pull(t, "two", "1")
	if gets := f.origin.Count(origin.Blobs().By("GET")); gets != 0 {
		t.Errorf("got %d GETs of blobs that are stored, want none", gets)
	}
}

func TestBlob_B5_ATruncatedBlobIsNoticedAndRepaired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<20))
	f.pull(t, "app", "1")
	layer := img.Blobs[1].Digest
	path := storedFile(t, f.data, layer)
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(driverEnv) == "s3" { // an object's end is noticed where it is read; nobody takes it for the whole
		if body, _, err := f.read(t, "app", layer); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %d bytes, %v, want an end that is none", len(body), err)
		}
	}
	body, outcome, err := f.read(t, "app", layer)
	if err != nil || digest.FromBytes(body) != layer || outcome.Kind != Miss {
		t.Fatalf("got %d bytes, %+v, %v, want the whole blob, fetched again", len(body), outcome, err)
	}
	f.settle(t, img.Blobs)
	if _, outcome, _ := f.read(t, "app", layer); outcome.Kind != Hit {
		t.Errorf("got %+v after the repair, want a hit", outcome)
	}
}

// storedFile is the path of a stored blob, in distribution's layout.
func storedFile(t *testing.T, data string, dgst digest.Digest) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "data" && strings.Contains(path, dgst.Encoded()) {
			found = path
		}
		return nil
	})
	if err != nil || found == "" {
		t.Fatalf("blob %s is not in %s (%v)", dgst, data, err)
	}
	return found
}

func TestBlob_B8_RangesOfAStoredBlob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<20))
	f.pull(t, "app", "1")
	layer := img.Blobs[1].Digest
	whole, _, err := f.read(t, "app", layer)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(whole))
	for name, test := range map[string]struct {
		rng        fetch.Range
		start, end int64
	}{
		"the first byte": {fetch.Range{Partial: true, Start: 0, End: 1}, 0, 1},
		"an open end":    {fetch.Range{Partial: true, Start: 1000, End: -1}, 1000, size},
		"a suffix":       {fetch.Range{Partial: true, Suffix: 10}, size - 10, size},
	} {
		body, _, err := f.readRange(t, "app", layer, test.rng)
		if err != nil || !bytes.Equal(body, whole[test.start:test.end]) {
			t.Errorf("%s: got %d bytes (%v), want bytes %d to %d", name, len(body), err, test.start, test.end)
		}
	}
	if _, _, err := f.readRange(t, "app", layer, fetch.Range{Partial: true, Start: size, End: -1}); !errors.Is(err, ErrRange) {
		t.Errorf("a range beyond the end: got the error %v, want ErrRange", err)
	}
}
