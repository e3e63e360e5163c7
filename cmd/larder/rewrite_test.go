package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"pod.yaml":    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: c, image: nginx}\n",
		"broken.yaml": "kind: Pod\nspec:\n  containers: [\n",
		"larder.yaml": "webhook: {ignorePullPolicyAlways: false}\n",
		"wrong.yaml":  "webhook:\n  ignoredImages: ['(']\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"By the configuration":    {[]string{"-f", "pod.yaml"}, 0, "becomes localhost:7439/docker.io/library/nginx:latest"},
		"By defaults":             {[]string{"-f", "pod.yaml", "--config", os.DevNull}, 0, "left alone: PullPolicyAlways\n  PullPolicyAlways: imagePullPolicy is Always"},
		"Another proxy":           {[]string{"-f", "pod.yaml", "--proxy", "127.0.0.1:5000"}, 0, "becomes 127.0.0.1:5000/docker.io/library/nginx:latest"},
		"An ignored namespace":    {[]string{"-f", "pod.yaml", "-n", "kube-system"}, 0, "left alone: IgnoredNamespace"},
		"No file":                 {nil, 2, "--filename: missing: name a file"},
		"A wrong proxy":           {[]string{"-f", "pod.yaml", "--proxy", "localhost"}, 2, "--proxy: \"localhost\": write host:port"},
		"A wrong configuration":   {[]string{"-f", "pod.yaml", "--config", "wrong.yaml"}, 2, "wrong.yaml:2: webhook.ignoredImages[0]: \"(\": missing closing )"},
		"A missing configuration": {[]string{"-f", "pod.yaml", "--config", "none.yaml"}, 2, "none.yaml: no such file"},
		"Broken YAML":             {[]string{"-f", "broken.yaml"}, 1, "broken.yaml:3: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exit, out, errOut := finish(t, folder, append([]string{"rewrite"}, test.args...)...)
			if exit != test.exit || !strings.Contains(out+errOut, test.want) {
				t.Errorf("exit %d, %q, %q; want %d and %q", exit, out, errOut, test.exit, test.want)
			}
		})
	}
}
