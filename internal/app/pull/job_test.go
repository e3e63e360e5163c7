package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a cache in which each image has a result or an error.
type answers map[string]any

func (a answers) Mirror(ctx context.Context, ref imageref.Reference, _ []string, progress func(cache.Progress)) (cache.Mirrored, error) {
	progress(cache.Progress{Done: 1, Total: 2})
	switch answer := a[ref.String()].(type) {
	case cache.Mirrored:
		return answer, ctx.Err()
	case error:
		return cache.Mirrored{}, answer
	default:
		return cache.Mirrored{}, errors.New("not asked for")
	}
}

func refs(t *testing.T, names ...string) []imageref.Reference {
	t.Helper()
	parsed, err := ParseImages(names)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

var duration = regexp.MustCompile(`\d+\.\ds`)

func TestJob_PlainOutput(t *testing.T) {
	t.Parallel()
	dgst := digest.FromString("index")
	through := answers{
		"docker.io/library/alpine:3.20": cache.Mirrored{Digest: dgst, Size: 12_345_678, Loaded: 5, Outcome: cache.Outcome{Kind: cache.Miss}},
		"reg.test/private:v1":           &cache.Error{Code: cache.CodeDenied, Err: errors.New("reg.test: 401 Unauthorized")},
		"docker.io/library/none:latest": &cache.Error{Code: cache.CodeManifestUnknown, Err: errors.New("docker.io: 404 Not Found")},
	}
	var out bytes.Buffer
	j := job{images: refs(t, "alpine:3.20", "reg.test/private:v1", "none"), out: &out}
	err := j.run(t.Context(), through)
	if err == nil || err.Error() != "2 of 3 images failed" {
		t.Errorf("got error %v, want that 2 of 3 images failed", err)
	}
	want := "docker.io/library/alpine:3.20: 12.3 MB, digest " + dgst.String() + ", 0.0s (new)\n" +
		"reg.test/private:v1: reg.test: 401 Unauthorized\n" +
		"  check the name; where the image is private, log in with docker login reg.test, or set credentialsFile for it in the configuration file\n" +
		"docker.io/library/none:latest: docker.io: 404 Not Found\n" +
		"  check the name and the tag: docker.io does not have it\n"
	if diff := cmp.Diff(want, duration.ReplaceAllString(out.String(), "0.0s")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestJob_OnATerminal(t *testing.T) {
	t.Parallel()
	through := answers{"docker.io/library/alpine:3.20": cache.Mirrored{Digest: digest.FromString("index"), Size: 1}}
	var out bytes.Buffer
	j := job{images: refs(t, "alpine:3.20"), out: &out, terminal: true}
	if err := j.run(t.Context(), through); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\r") || !strings.HasSuffix(out.String(), "s\n") {
		t.Errorf("output %q: want a bar that is drawn over, then the line", out.String())
	}
}

func TestBar_TotalNeverShrinksAndNoRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := newBar(&out, refs(t, "nginx:1")[0])
		for _, p := range []cache.Progress{{Done: 0, Total: 0}, {Done: 4_000_000, Total: 5_000_000}, {Done: 4_500_000, Total: 4_600_000}} {
			b.progress(p)
			time.Sleep(time.Second) // in the bubble's time
		}
		b.end()
		said := out.String()
		if !strings.Contains(said, "docker.io/library/nginx:1 4.5 MB of 5.0 MB") || strings.Contains(said, "/s") || strings.Contains(said, "4.6 MB") {
			t.Errorf("it drew %q; want a total that does not shrink, and no rate", said)
		}
	})
}

func TestJob_Interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := job{images: refs(t, "alpine:3.20", "nginx"), out: &bytes.Buffer{}}
	through := answers{"docker.io/library/alpine:3.20": cache.Mirrored{}}
	if err := j.run(ctx, through); err == nil || !strings.HasPrefix(err.Error(), "interrupted") {
		t.Errorf("got %v, want that it was interrupted", err)
	}
}

func TestJob_ItsServerWentAway(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := job{images: refs(t, "alpine:3.20", "nginx"), out: &out}
	gone := fmt.Errorf("%w: run the command again", control.ErrGone)
	through := answers{"docker.io/library/alpine:3.20": gone, "docker.io/library/nginx:latest": gone}
	if err := j.run(t.Context(), through); !errors.Is(err, control.ErrGone) || out.Len() > 0 {
		t.Errorf("got %v and %q, want ErrGone once", err, out.String())
	}
}

func TestRemark(t *testing.T) {
	t.Parallel()
	byTag, byDigest := refs(t, "nginx:1")[0], refs(t, "nginx@"+digest.FromString("x").String())[0]
	for want, got := range map[string]string{
		" (new)":       remark(byTag, cache.Outcome{Kind: cache.Miss}),
		" (confirmed)": remark(byTag, cache.Outcome{Kind: cache.Revalidated}),
		" (stored; not asked again: its policy has no check due)": remark(byTag, cache.Outcome{Kind: cache.Hit, TTL: -1}),
		" (stored)": remark(byDigest, cache.Outcome{Kind: cache.Hit, TTL: -1}),
		" (stale: could not be confirmed: unreachable)": remark(byTag, cache.Outcome{Kind: cache.Stale, Why: "unreachable"}),
		"": remark(byTag, cache.Outcome{}), // an older larder serve does not tell
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExplain_OneLineForManyBlobs(t *testing.T) {
	t.Parallel()
	err := errors.Join(errors.New("blob 1: refused"), errors.New("blob 2: refused"), errors.New("blob 3: refused"))
	got := explain(refs(t, "nginx:1")[0], err)
	if want := "docker.io/library/nginx:1: blob 1: refused (and 2 more)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExplain_AFailureOfAMomentAgo(t *testing.T) {
	t.Parallel()
	denied := &upstream.Error{Reason: upstream.Denied, Host: "a.b", Err: errors.New("401 Unauthorized")}
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.Local)
	got := explain(refs(t, "a.b/c:1")[0], &cache.Error{Code: cache.CodeDenied, Err: &cache.Remembered{Err: denied, Until: until}})
	if want := "\n  that was a moment ago: its origin is asked again from 03:04:05 on"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
}

// TestAdvice_RefusedAddresses asks the real client of origins: its words tell the refusals apart.
func TestAdvice_RefusedAddresses(t *testing.T) {
	t.Parallel()
	client, err := upstream.New(upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for image, want := range map[string]string{
		"localhost:5000/app":     "to allow it, list it in the configuration file: {host: 'localhost:5000', endpoints: ['http://localhost:5000']}",
		"127.0.0.1:5000/app":     "to allow it, list it in the configuration file: {host: '127.0.0.1:5000', endpoints: ['http://127.0.0.1:5000']}",
		"169.254.169.254/latest": "remove 169.254.169.254 ",
	} {
		ref := refs(t, image)[0]
		_, _, err := client.ResolveManifest(t.Context(), ref.Repository, ref.Tag)
		if got := advice(ref, err); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %v: the advice is %q, want %q", image, err, got, want)
		}
	}
	redirected := &upstream.Error{Reason: upstream.Refused, Host: "reg.test", Err: errors.New("it is a loopback address")}
	if got := advice(refs(t, "reg.test/app")[0], redirected); !strings.HasSuffix(got, "{host: 'reg.test', endpoints: ['http://127.0.0.1:PORT']}") {
		t.Errorf("the advice is %q", got)
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	ref := refs(t, "reg.test/app:v1")[0]
	tests := map[string]struct {
		err  error
		want string
	}{
		"Rate limited, with a time": {&cache.Error{Code: cache.CodeTooManyRequests, RetryAfter: time.Minute, Err: errors.New("429")}, "try again in 1m0s"},
		"Rate limited, without":     {&upstream.Error{Reason: upstream.RateLimited, Err: errors.New("429")}, "try again later"},
		"The origin is away":        {&upstream.Error{Reason: upstream.Unreachable, Err: errors.New("refused")}, "check that reg.test can be reached"},
		"It sends something else": {
			&cache.Error{Code: cache.CodeUnavailable, Err: &upstream.Error{Reason: upstream.Invalid, Err: errors.New("digest")}}, "tell whoever runs reg.test",
		},
		"The disk is full": {store.ErrNoRoom, "make room"},
		"Nobody knows":     {errors.New("else"), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := advice(ref, tt.err)
			if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %q, want it to begin with %q", got, tt.want)
			}
		})
	}
}

func TestCheckPlatforms(t *testing.T) {
	t.Parallel()
	for platform, good := range map[string]bool{
		"linux/amd64": true, "linux/arm64/v8": true, "amd64": false, "linux/": false, "a/b/c/d": false, "": false,
	} {
		if err := CheckPlatforms([]string{platform}); (err == nil) != good {
			t.Errorf("CheckPlatforms(%q) = %v, want good: %v", platform, err, good)
		}
	}
}
