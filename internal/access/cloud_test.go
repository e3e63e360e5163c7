package access

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
)

func TestCloud_OwnsItsRegistriesAlone(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com":      "aws",
		"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com": "aws",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":  "aws",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil": "",
		"x.dkr.ecr.evil.com":                                "",
		"public.ecr.aws":                                    "",
		"europe-docker.pkg.dev":                             "google",
		"gcr.io":                                            "google",
		"eu.gcr.io":                                         "google",
		"evilgcr.io":                                        "",
		"pkg.dev.evil":                                      "",
		"mine.azurecr.io":                                   "azure",
		"azurecr.io.evil":                                   "",
		"mine.azurecr.io:5000":                              "",
		"docker.io":                                         "",
		"reg.example:5000":                                  "",
		"europe-docker.pkg.dev:443":                         "",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000": "",
	} {
		got := ""
		for _, i := range identities() {
			if i.owns(host) {
				got += i.cloud
			}
		}
		if got != want {
			t.Errorf("%s belongs to %q, want %q", host, got, want)
		}
	}
}

// sky is a cloud whose answers a test makes.
func sky(login func(context.Context) (authn.AuthConfig, error)) (c *cloud, asked *int, log *lines) {
	asked, log = new(int), &lines{}
	return newCloud([]identity{{"sky", func(host string) bool { return host == "sky.test" }, func(ctx context.Context, _ string) (authn.AuthConfig, error) {
		*asked++
		return login(ctx)
	}}}, log.logger()), asked, log
}

func TestCloud_AsksOnceAndHoldsOnThroughAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down error
		c, asked, log := sky(func(context.Context) (authn.AuthConfig, error) { return authn.AuthConfig{Username: "sky"}, down })
		find := func(host string) []string { return users(c.find(t.Context(), host)) }
		if got := find("other.test"); len(got) != 0 || *asked != 0 {
			t.Errorf("got %q for a host that is not the cloud's", got)
		}
		for range 3 {
			if diff := cmp.Diff([]string{"sky"}, find("sky.test")); diff != "" {
				t.Error(diff)
			}
		}
		down = errors.New("down")
		time.Sleep(cloudTTL)
		for range 3 {
			if diff := cmp.Diff([]string{"sky"}, find("sky.test")); diff != "" {
				t.Error(diff)
			}
		}
		if *asked != 2 {
			t.Errorf("asked %d times, want 2", *asked)
		}
		time.Sleep(cloudOutage)
		if got := find("sky.test"); len(got) != 0 {
			t.Errorf("got %q long after the cloud gave it", got)
		}
		if n := len(log.all()); n != 1 {
			t.Errorf("%d log lines, want one", n)
		}
	})
}

func TestCloud_OneThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, asked, _ := sky(func(ctx context.Context) (authn.AuthConfig, error) {
			<-ctx.Done()
			return authn.AuthConfig{}, ctx.Err()
		})
		started := time.Now()
		if got := c.find(t.Context(), "sky.test"); len(got) != 0 || time.Since(started) != cloudPatience {
			t.Errorf("got %d after %s", len(got), time.Since(started))
		}
		time.Sleep(cloudTimeout)
		started = time.Now()
		if got := c.find(t.Context(), "sky.test"); len(got) != 0 || time.Since(started) != 0 || *asked != 1 {
			t.Errorf("asked %d times, waited %s", *asked, time.Since(started))
		}
	})
}
