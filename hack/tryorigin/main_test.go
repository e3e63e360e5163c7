package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/leak"
	"github.com/larder-dev/larder/tests/origin"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestExplain_MatchesTheExample(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../docs/examples/try.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"host: " + host + "\n", "'http://" + byExample + "'"} {
		if !strings.Contains(string(example), want) {
			t.Errorf("docs/examples/try.yaml does not say %q", want)
		}
	}
	images := []origin.Image{{Repository: "random", Tag: "latest"}}
	for address, snippet := range map[string]bool{byExample: false, "127.0.0.1:5002": true} {
		var out strings.Builder
		if err := explain(&out, address, "localhost:7439", images); err != nil {
			t.Fatal(err)
		}
		said := out.String()
		for _, want := range []string{
			"  crane digest localhost:7439/try.example/random:latest ",
			"  crane pull localhost:7439/try.example/random:latest random.tar\n",
			"  docker pull localhost:7439/try.example/random:latest\n",
		} {
			if !strings.Contains(said, want) {
				t.Errorf("at %s it does not say %q:\n%s", address, want, said)
			}
		}
		if got := strings.Contains(said, "registries:"); got != snippet {
			t.Errorf("at %s: a snippet of the configuration: %v, want %v:\n%s", address, got, snippet, said)
		}
		if got := strings.Contains(said, "make run CONFIG=docs/examples/try.yaml"); got == snippet {
			t.Errorf("at %s: the example: %v, want %v:\n%s", address, got, !snippet, said)
		}
	}
}

func TestRun_ListensWhenItsImagesAreIn(t *testing.T) {
	t.Parallel()
	free := origin.New(t) // its port is free once it is closed
	address := free.Host()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, writer, address, "localhost:7439")
		_ = writer.CloseWithError(errors.New("it ended"))
	}()
	for lines := bufio.NewScanner(reader); lines.Scan() && lines.Text() != "Interrupt to end."; {
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Head("http://" + address + "/v2/random/manifests/latest")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the image answered %d, want 200", resp.StatusCode)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
