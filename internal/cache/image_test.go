package cache

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
)

func reference(t *testing.T, image string) imageref.Reference {
	t.Helper()
	ref, err := imageref.Parse(host + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (f *fixture) image(t *testing.T, image string, platforms ...string) Image {
	t.Helper()
	got, err := f.Image(t.Context(), reference(t, image), platforms)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestImage_M1_CompleteIsWhatAMirrorWouldLeave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomIndex(2, 1<<12, "linux/amd64", "linux/arm64"))
	if _, err := f.Image(t.Context(), reference(t, "app:1"), nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before anything is stored: got the error %v, want store.ErrNotFound", err)
	}
	f.resolve(t, "app", "1")
	if got := f.image(t, "app:1", "linux/arm64"); got.Complete || got.Digest != img.Digest || got.Size <= img.Size {
		t.Errorf("with the index alone: got %+v, want it incomplete", got)
	}
	mirrored := f.mirror(t, "app:1", "linux/arm64")
	f.origin.Forget()
	for range 2 {
		for _, test := range []struct {
			platforms []string
			want      bool
		}{
			{[]string{"linux/arm64"}, true},
			{[]string{"linux/arm64/v8"}, true},
			{[]string{"linux/arm64", "linux/s390x"}, true}, // what the index does not have, no mirror brings
			{[]string{"linux/amd64"}, false},
			{[]string{"linux/arm64", "linux/amd64"}, false},
			{[]string{"windows/amd64"}, false},
			{nil, false},
		} {
			got := f.image(t, "app:1", test.platforms...)
			if got.Complete != test.want || got.Digest != img.Digest || got.Upstream != img.Digest {
				t.Errorf("platforms %v: got %+v, want complete %v of %s", test.platforms, got, test.want, img.Digest)
			}
			if test.want && got.Size != mirrored.Size {
				t.Errorf("platforms %v: got %d bytes, want those of the mirror: %d", test.platforms, got.Size, mirrored.Size)
			}
		}
		if n := f.origin.Count(origin.Everything()); n != 0 {
			t.Errorf("the origin was asked %d times, want never", n)
		}
		f.origin.Refuse()
		f.restart(t)
	}
}

func TestImage_M3_NoticesWhatWasLostBehindOurBack(t *testing.T) {
	t.Parallel()
	remove := func(t *testing.T, file string) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	truncate := func(t *testing.T, file string) {
		if err := os.Truncate(file, 7); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(*testing.T, string){"removed": remove, "truncated": truncate} {
		for what, victim := range map[string]func(origin.Image) digest.Digest{
			"the index":  func(i origin.Image) digest.Digest { return i.Digest },
			"a manifest": func(i origin.Image) digest.Digest { return i.Manifests[0].Digest },
			"a config":   func(i origin.Image) digest.Digest { return i.Manifests[0].Blobs[0].Digest },
			"a layer":    func(i origin.Image) digest.Digest { return i.Manifests[0].Blobs[2].Digest },
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				img := f.origin.Push(t, "app:1", origin.RandomIndex(2, 1<<12, "linux/amd64"))
				f.mirror(t, "app:1")
				for _, image := range []string{"app:1", "app@" + string(img.Digest)} {
					if got := f.image(t, image); !got.Complete {
						t.Fatalf("%s is not complete after its mirror: %+v", image, got)
					}
				}
				damage(t, storedFile(t, f.data, victim(img)))
				for _, image := range []string{"app:1", "app@" + string(img.Digest)} {
					if got := f.image(t, image); got.Complete || got.Digest != img.Digest || got.Size <= 0 {
						t.Errorf("%s: got %+v, want it incomplete", image, got)
					}
				}
				f.mirror(t, "app:1")
				if got := f.image(t, "app:1"); !got.Complete {
					t.Errorf("not complete after it was repaired: %+v", got)
				}
			})
		}
	}
}

func TestImage_M3_AStoreThatCannotTellIsNoLoss(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	file := storedFile(t, f.data, img.Blobs[1].Digest)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, file); err != nil { // looking there fails, and not because there is nothing
		t.Fatal(err)
	}
	if got, err := f.Image(t.Context(), reference(t, "app:1"), nil); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %+v and the error %v, want the store's own error", got, err)
	}
}

func TestImage_T5_TheLastCompleteRevisionUntilTheNewOneIsComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	old := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.mirror(t, "app:1")
	started := f.clock.now()
	moved := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	fault := f.origin.Fail(origin.Blobs(), origin.Status(http.StatusServiceUnavailable))
	f.clock.advance(time.Hour)
	f.resolve(t, "app", "1")
	key := tagKey{repository("app"), "1"}
	eventually(t, "the mirror failed", func() bool { return f.mirrorFailed(key) })
	for range 2 {
		got := f.image(t, "app:1")
		if got.Digest != old.Digest || got.Upstream != moved.Digest || !got.Complete {
			t.Errorf("got %+v, want the complete %s and %s upstream", got, old.Digest, moved.Digest)
		}
		if !got.ChangedAt.Equal(f.clock.now()) || !got.CheckedAt.Equal(f.clock.now()) || got.ChangedAt.Equal(started) {
			t.Errorf("got %+v, want checked and changed at %s", got, f.clock.now())
		}
		f.restart(t)
	}
	fault.Heal()
	f.clock.advance(time.Minute)
	f.mirror(t, "app:1")
	if got := f.image(t, "app:1"); got.Digest != moved.Digest || got.Upstream != moved.Digest || !got.Complete {
		t.Errorf("got %+v, want the complete %s", got, moved.Digest)
	}
}

func TestImage_T6_ProblemIsWhyTheLastCheckFailed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	if got := f.image(t, "app:1"); got.Problem != nil || !got.ProblemAt.IsZero() {
		t.Errorf("got %+v, want no problem", got)
	}
	checked := f.clock.now()
	fault := f.origin.Fail(origin.Manifests(), origin.Status(http.StatusForbidden))
	f.clock.advance(time.Minute)
	f.resolve(t, "app", "1")
	var e *Error
	if got := f.image(t, "app:1"); !errors.As(got.Problem, &e) || e.Code != CodeDenied || !got.ProblemAt.Equal(f.clock.now()) {
		t.Errorf("got %+v, want DENIED at %s", got, f.clock.now())
	} else if !got.CheckedAt.Equal(checked) {
		t.Errorf("got checked at %s, want the last answer, %s", got.CheckedAt, checked)
	}
	fault.Heal()
	f.clock.advance(time.Minute)
	f.resolve(t, "app", "1")
	if got := f.image(t, "app:1"); got.Problem != nil || !got.CheckedAt.Equal(f.clock.now()) {
		t.Errorf("got %+v, want the problem gone", got)
	}
}

func TestImage_T7_ADigestIsItsOwnUpstream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	for _, image := range []string{"app@" + string(img.Digest), "app:1@" + string(img.Digest)} {
		f.mirror(t, image)
		got := f.image(t, image)
		want := Image{Digest: img.Digest, Upstream: img.Digest, Complete: true, Size: got.Size}
		if !reflect.DeepEqual(got, want) || got.Size <= 0 {
			t.Errorf("%s: got %+v, want %+v", image, got, want)
		}
	}
	if _, err := f.Image(t.Context(), reference(t, "app:1"), nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got the error %v of the tag, want store.ErrNotFound", err)
	}
}

func TestImage_M5_IsNoPull(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(23 * time.Hour)
	f.image(t, "app:1")
	f.clock.advance(time.Hour)
	f.expireAll(t)
	if got := f.image(t, "app:1"); !got.Untagged || !got.Complete {
		t.Errorf("got %+v, want it expired, and complete all the same", got)
	}
}

func TestImage_M3_OfATagOfAnotherRegistry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.stop()
	if err := os.RemoveAll(filepath.Join(f.data, "docker/registry/v2/repositories/reg.example/app/_larder")); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	if got := f.image(t, "app:1"); got.Digest != img.Digest || !got.Complete || !got.CheckedAt.IsZero() {
		t.Errorf("got %+v, want %s complete and never checked", got, img.Digest)
	}
}
