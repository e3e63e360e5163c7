package cache

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
)

func TestMirror_M1_TheWholeIndexThroughTheSameFetches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.origin.Forget()
	var last Progress
	ref := imageref.Reference{Repository: repository("app"), Tag: "1"}
	out, err := f.Mirror(t.Context(), ref, nil, func(p Progress) {
		if p.Done < last.Done || p.Done > p.Total {
			t.Errorf("progress went from %+v to %+v", last, p)
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Digest != img.Digest || last.Done != out.Size || last.Total != out.Size {
		t.Errorf("got %+v after the progress %+v, want all of %s", out, last, img.Digest)
	}
	for _, child := range img.Manifests {
		for _, b := range child.Blobs {
			if n := f.origin.BytesSent(b.Digest); n != b.Size {
				t.Errorf("the origin sent %d bytes of blob %s, want %d", n, b.Digest, b.Size)
			}
		}
	}
	f.origin.Refuse()
	f.restart(t)
	f.pull(t, "app", "1")
}

func TestMirror_M1_OnlyTheWantedPlatformsAndTheIndexUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	if out := f.mirror(t, "app:1", "linux/arm64"); out.Digest != img.Digest {
		t.Errorf("got digest %s, want %s", out.Digest, img.Digest)
	}
	for _, child := range img.Manifests {
		_, err := f.store.LinkedManifest(t.Context(), repository("app"), child.Digest)
		if stored, want := err == nil, platformName(*child.Platform) == "linux/arm64"; stored != want {
			t.Errorf("platform %+v: stored %v, want %v", *child.Platform, stored, want)
		}
	}
	ref := imageref.Reference{Repository: repository("app"), Tag: "1"}
	if _, err := f.Mirror(t.Context(), ref, []string{"windows/amd64"}, nil); !errors.Is(err, ErrNoPlatform) {
		t.Errorf("mirroring a platform that the index lacks: got the error %v, want ErrNoPlatform", err)
	}
}

func TestMirror_M1_TwoAtATimePerHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, tag := range []string{"1", "2", "3", "4"} {
		f.origin.Push(t, "app:"+tag, origin.RandomImage(1, 1<<12))
	}
	hang := f.origin.Fail(origin.Manifests(), origin.Hang())
	var wg sync.WaitGroup
	for _, tag := range []string{"1", "2", "3", "4"} {
		wg.Go(func() { f.mirror(t, "app:"+tag) })
	}
	hang.Await(t, mirrorsPerHost)
	if n := f.origin.Count(origin.Manifests()); n != mirrorsPerHost {
		t.Errorf("%d mirrors run at a time, want %d", n, mirrorsPerHost)
	}
	hang.Heal()
	wg.Wait()
}

func TestMirror_M1_PausesFor429(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.origin.Fail(origin.Blobs().First(1), origin.Status(http.StatusTooManyRequests, "Retry-After", "1"))
	start := time.Now()
	if out := f.mirror(t, "app:1"); out.Digest != img.Digest {
		t.Errorf("got digest %s, want %s", out.Digest, img.Digest)
	}
	if took := time.Since(start); took < time.Second {
		t.Errorf("the mirror went on after %s, want a pause of a second", took)
	}
}

func TestMirror_M1_EndsWithItsCaller(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(20, 1<<12))
	for i, match := range []origin.Match{origin.Manifests(), origin.Blobs()} {
		hang := f.origin.Fail(match, origin.Hang())
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := f.Mirror(ctx, reference(t, "app:1"), nil, nil)
			failed <- err
		}()
		hang.Await(t, 1)
		cancel()
		err := <-failed // the origin still hangs
		if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d: got the error %v, want the caller's own end, once", i, err)
		}
		hang.Heal()
	}
	f.mirror(t, "app:1")
}

func TestMirror_M5_IsAPullOnlyWhereNoObjectNamesTheTag(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	f.policies.named = map[string]bool{"named": true}
	for _, tag := range []string{"named", "unnamed"} {
		f.origin.Push(t, "app:"+tag, origin.RandomImage(1, 1<<12))
		f.pull(t, "app", tag)
	}
	pulled := f.clock.now()
	f.clock.advance(20 * time.Hour)
	f.mirror(t, "app:named")
	f.mirror(t, "app:unnamed")
	eventually(t, "the pull is written down", func() bool {
		rec, err := f.store.Tag(t.Context(), repository("app"), "unnamed")
		return err == nil && rec.PulledAt.Equal(f.clock.now())
	})
	f.stop() // waits for what runs in the background
	rec, err := f.store.Tag(t.Context(), repository("app"), "named")
	if err != nil || !rec.PulledAt.Equal(pulled) {
		t.Errorf("got pulled at %s, %v, want %s", rec.PulledAt, err, pulled)
	}
}

func TestMirror_M2_RepeatingTransfersNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(3, 1<<12))
	first := f.mirror(t, "app:1")
	f.origin.Forget()
	second := f.mirror(t, "app:1")
	if n := f.origin.Count(origin.Everything()); n != 0 {
		t.Errorf("the origin was asked %d times, want never", n)
	}
	if second.Size != first.Size || second.Loaded != 0 || first.Loaded == 0 {
		t.Errorf("got %+v, then %+v, want the same size and nothing loaded", first, second)
	}
}

func TestMirror_M3_ALostBlobComesBack(t *testing.T) {
	t.Parallel()
	for name, repair := range map[string]func(*fixture, *testing.T){
		"by a mirror": func(f *fixture, t *testing.T) { f.mirror(t, "app:1") },
		"by a pull":   func(f *fixture, t *testing.T) { f.pull(t, "app", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			img := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
			f.pull(t, "app", "1")
			if err := os.RemoveAll(filepath.Dir(storedFile(t, f.data, img.Blobs[0].Digest))); err != nil {
				t.Fatal(err)
			}
			repair(f, t)
			f.origin.Refuse()
			f.pull(t, "app", "1")
		})
	}
}

func TestMirror_M3_ALostVolumeIsRefilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.mirror(t, "app:1")
	f.stop()
	volume := f.data
	if os.Getenv(driverEnv) == "s3" {
		volume = filepath.Join(f.data, "docker") // all that is in the bucket
	}
	if err := os.RemoveAll(volume); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	f.mirror(t, "app:1")
	f.origin.Refuse()
	f.pull(t, "app", "1")
}
