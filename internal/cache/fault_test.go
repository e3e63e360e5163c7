package cache

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// breakWrites makes every write to the store fail, as a broken disk does.
func (f *fixture) breakWrites(t *testing.T) {
	t.Helper()
	spool := filepath.Join(f.data, "larder", "spool")
	if err := os.RemoveAll(spool); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(spool, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTag_T3_AnAnsweredCheckCountsAlsoWhereTheDiskIsFull(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(time.Hour)
	f.breakWrites(t)
	f.origin.Forget()
	for range 5 {
		f.resolve(t, "app", "1")
	}
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("%d answered checks in one interval, want 1", n)
	}
}

func TestTag_T6_TheBreakerClosesAlsoWhereTheDiskIsFull(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	fault := f.origin.Fail(origin.Manifests(), origin.Status(http.StatusServiceUnavailable))
	f.resolve(t, "app", "1")
	fault.Heal()
	f.breakWrites(t)
	for range 10 {
		f.clock.advance(2 * time.Minute)
		f.resolve(t, "app", "1")
		eventually(t, "idle", f.idle)
	}
	if f.holds.open(host) {
		t.Error("ten answered checks, and the breaker is open")
	}
}

func TestTag_T10_WhatWasConfirmedIsServedAlsoWhereTheDiskIsFull(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute, MaxStale: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(2 * time.Hour)
	f.breakWrites(t)
	f.resolve(t, "app", "1")
}

func TestBlob_B6_AFalseSizeIsNotKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	content := origin.RandomImage(1, 1<<12)
	img := f.origin.Push(t, "other:1", content)
	f.origin.Push(t, "app:1", content)
	f.pull(t, "other", "1")
	body, err := f.Manifest(t.Context(), repository("other"), ocispec.Descriptor{Digest: img.Digest})
	if err != nil {
		t.Fatal(err)
	}
	layer := img.Blobs[len(img.Blobs)-1]
	bad := []byte(strings.ReplaceAll(string(body), fmt.Sprintf(`"size":%d`, layer.Size), fmt.Sprintf(`"size":%d`, layer.Size+1)))
	wrong := ocispec.Descriptor{Digest: digest.FromBytes(bad), MediaType: ocispec.MediaTypeImageManifest, Size: int64(len(bad))}
	if err := f.keep(t.Context(), repository("app"), wrong, bad); err != nil {
		t.Fatal(err)
	}
	if _, _, err = f.read(t, "app", layer.Digest); err == nil {
		t.Error("a blob was served as one of another size")
	}
	f.clock.advance(time.Hour)
	f.resolve(t, "app", "1")
	if _, _, err = f.read(t, "app", layer.Digest); err != nil {
		t.Errorf("by the true manifest: %v", err)
	}
}

func TestList_D2_ReferrersOfNothingAreNotStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 20 {
		if _, _, err := f.Referrers(t.Context(), repository(fmt.Sprint("no/such", i)), digest.FromString(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	m, err := filepath.Glob(filepath.Join(f.data, "docker/registry/v2/repositories/reg.example/no/*"))
	if err != nil || len(m) > 0 {
		t.Errorf("%d repositories that do not exist have folders (%v)", len(m), err)
	}
}

func TestBlob_B6_AConfigIsNoManifest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	for _, b := range img.Blobs {
		desc, o, err := f.ResolveManifest(t.Context(), repository("app"), string(b.Digest))
		if err == nil {
			t.Errorf("blob %s is served as a manifest: %+v %+v", b.Digest, desc, o)
		}
	}
}
