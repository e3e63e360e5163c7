package chart

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/internal/options/cleanup"
	"github.com/larder-dev/larder/internal/options/controller"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/larder-dev/larder/internal/options/proxy"
	"github.com/larder-dev/larder/internal/options/registry"
	"github.com/larder-dev/larder/tests/pair"
)

// process is a process's command line, as the process itself reads it.
type process struct {
	*pflag.FlagSet
	check func() error
}

func newProcess(t *testing.T, name string) process {
	t.Helper()
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	switch name {
	case "controller":
		var flags controller.Flags
		flags.Bind(set)
		return process{set, func() error { _, err := flags.Options(); return err }}
	case "registry":
		var flags registry.Flags
		flags.Bind(set)
		return process{set, func() error { _, err := flags.Options(); return err }}
	case "cleanup":
		var flags cleanup.Flags
		flags.Bind(set)
		return process{set, func() error { _, err := flags.Options(); return err }}
	case "proxy":
		var flags proxy.Flags
		flags.Bind(set)
		return process{set, func() error { _, err := flags.Options(); return err }}
	case "hosts": // cmd/larder-proxy
		var log daemon.Log
		log.Bind(set)
		address := set.String("proxy", "", "")
		set.String("dir", "", "")
		return process{set, func() error { return errors.Join(log.Check(), daemon.CheckAddress("proxy", *address)) }}
	}
	t.Fatalf("there is no process %q", name)
	return process{}
}

// TestFlags_AreTheProcessesOwn has the processes read what the chart gives them: command lines, and the files that they name.
func TestFlags_AreTheProcessesOwn(t *testing.T) {
	t.Parallel()
	kubeconfig := filepath.Join("testdata", "kubeconfig")
	for _, set := range sets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			all := parse(t, render(t, set))
			files := mount(t, all)
			for _, container := range containers(t, all) {
				args := strings.Split(files.Replace(strings.Join(container.Args, "\n")), "\n")
				p := newProcess(t, container.Name)
				if container.Name != "proxy" { // whose binary has no other command at its root
					if args[0] != container.Name {
						t.Errorf("%s: the command is %s", container.Name, args[0])
					}
					args = args[1:]
				}
				if p.Lookup("kubeconfig") != nil {
					args = append(args, "--kubeconfig", kubeconfig, "--namespace", namespace)
				}
				if slices.ContainsFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "POD_IP" }) {
					args = append(args, "--pod-ip", "10.0.0.1")
				}
				if err := p.Parse(args); err != nil {
					t.Errorf("%s: %v", container.Name, err)
				} else if err := p.check(); err != nil {
					t.Errorf("%s: %v", container.Name, err)
				}
			}
		})
	}
}

// mount writes the files of the containers into a folder, and replaces the containers' paths by its own.
func mount(t *testing.T, all objects) *strings.Replacer {
	t.Helper()
	dir := t.TempDir()
	paths := strings.NewReplacer("/etc/larder", filepath.Join(dir, "etc"), "/var/run/larder", filepath.Join(dir, "run"), "/var/lib/larder", filepath.Join(dir, "lib"))
	files := map[string]string{"/var/run/larder/token/token": "t\n", "/var/run/larder/storage/key.json": "{}"}
	files["/var/run/larder/events/sink"], files["/var/run/larder/hooks/github"] = "https://sink.example/in?key=k\n", "s\n"
	for _, object := range all {
		if object.GetKind() == "ConfigMap" {
			for name, text := range into[corev1.ConfigMap](t, object).Data {
				files["/etc/larder/"+name] = paths.Replace(text)
			}
		}
	}
	authority, err := os.ReadFile(filepath.Join("testdata", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	files["/var/run/larder/events/ca.crt"] = string(authority)
	for _, i := range []string{"0", "1", "2"} {
		files["/var/run/larder/registries/"+i+"/ca.crt"] = string(authority)
		files["/var/run/larder/registries/"+i+"/config.json"] = "{}"
	}
	files["/var/run/larder/ca/ca.crt"] = string(pair.Write(t, filepath.Join(dir, "run", "tls"), hop.ServerName))
	for path, text := range files {
		path = paths.Replace(path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// pods are the pods of all workloads.
func pods(t *testing.T, all objects) map[string]corev1.PodSpec {
	t.Helper()
	found := map[string]corev1.PodSpec{}
	for _, object := range all {
		name := object.GetLabels()["app.kubernetes.io/component"]
		switch object.GetKind() {
		case "Deployment":
			found[name] = into[appsv1.Deployment](t, object).Spec.Template.Spec
		case "StatefulSet":
			found[name] = into[appsv1.StatefulSet](t, object).Spec.Template.Spec
		case "DaemonSet":
			found[name] = into[appsv1.DaemonSet](t, object).Spec.Template.Spec
		case "Job":
			found[name] = into[batchv1.Job](t, object).Spec.Template.Spec
		}
	}
	return found
}

func containers(t *testing.T, all objects) []corev1.Container {
	t.Helper()
	var found []corev1.Container
	for _, pod := range pods(t, all) {
		found = append(found, pod.Containers...)
	}
	if len(found) < 3 {
		t.Fatalf("there are %d containers", len(found))
	}
	return found
}
