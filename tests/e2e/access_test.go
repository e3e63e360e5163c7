package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

var (
	teamA = origin.User{Name: "alice", Password: "sesame"}
	teamB = origin.User{Name: "bob", Password: "builder"}
)

const private = locked + "/team/teams:1"

// teams: what one team may pull, another one may not, and each keeps what it has. They share the node, so that never both have a pod there.
func (l *larder) teams(t *testing.T) {
	l.private.SetUsers(teamA, teamB)
	l.private.Push(t, "team/teams:1", guests.Image("teams 1"))
	for _, ns := range []string{"team-a", "team-b"} {
		newNamespace(t, ns)
		eventually(t, "the namespace to take pods", func(ctx context.Context) error {
			_, err := shared.Kubectl(ctx, "get", "serviceaccount", "--namespace", ns, "default")
			return err
		})
	}
	pullSecret(t, "team-a", "right", teamA)
	pullSecret(t, "team-b", "right", teamB)
	pullSecret(t, "team-b", "wrong", origin.User{Name: "alice", Password: "guessed"})

	l.teamPulls(t, "team-a", "right")
	kubectl(t, "wait", cachedImage(t, private), "--for=condition=Ready", "--timeout=60s")
	l.private.Forget()
	teamIsDenied(t, "", "has no pull secret for it")
	teamIsDenied(t, "wrong", "the origin accepts none of the 1 credentials")
	l.teamPulls(t, "team-b", "right")
	if n := l.private.Count(origin.Manifests()); n != 1 || l.private.Count(origin.Blobs()) != 0 {
		t.Errorf("the origin was asked for %d manifests and %d blobs, want one confirmation", n, l.private.Count(origin.Blobs()))
	}
	repo := repositoryOf(t, locked+"/team/teams")
	kubectl(t, "wait", repo, "--for=jsonpath={.status.access.grants}=2", "--timeout=60s")
	granted := kubectl(t, "exec", "--namespace", system, "larder-registry-0", "--", "larder", "grants", "list",
		"--config", "/etc/larder/larder.yaml", "--data", "/var/lib/larder", locked+"/team/teams")
	if !strings.Contains(granted, "team-a") || !strings.Contains(granted, "team-b") {
		t.Errorf("larder grants list says %s", granted)
	}

	l.private.SetUsers()
	l.private.Refuse()
	defer l.private.Heal()
	l.teamPulls(t, "team-a", "right")
	teamIsDenied(t, "wrong", "cannot be found out now")
	kubectl(t, "delete", "pod", "--namespace", system, "larder-registry-0", "--wait")
	kubectl(t, "rollout", "status", "--namespace", system, "statefulset/larder-registry", "--timeout=120s")
	l.teamPulls(t, "team-a", "right")
	teamIsDenied(t, "wrong", "cannot be found out now")
	l.report.note("%s: pulled by team A and, with a secret of its own, by team B, with one confirmation; "+
		"by neither without; by team A also when its secret was revoked, the origin down and the registry restarted", private)
}

// repositoryOf waits for the Repository of a name, and returns it for kubectl.
func repositoryOf(t *testing.T, name string) (found string) {
	t.Helper()
	eventually(t, "the Repository of "+name, func(ctx context.Context) error {
		out, err := shared.Kubectl(ctx, "get", "repositories", "--output", `jsonpath={range .items[*]}{.spec.name} {.metadata.name}{"\n"}{end}`)
		for line := range strings.Lines(out) {
			if spec, object, _ := strings.Cut(strings.TrimSpace(line), " "); spec == name {
				found = "repository/" + object
				return err
			}
		}
		return fmt.Errorf("there are only %q (%w)", out, err)
	})
	return found
}

func pullSecret(t *testing.T, ns, name string, user origin.User) {
	t.Helper()
	kubectl(t, "create", "secret", "docker-registry", name, "--namespace", ns, "--docker-server", locked,
		"--docker-username", user.Name, "--docker-password", user.Password)
}

// teamPulls runs the private image in a namespace, with a secret, on a node that has no copy of it.
func (l *larder) teamPulls(t *testing.T, ns, secret string) {
	t.Helper()
	const pod = "once"
	runsPrivate(t, ns, pod, "[{name: "+secret+"}]")
	done := "--for=jsonpath={.status.phase}=Succeeded"
	if _, err := shared.Kubectl(t.Context(), "wait", "--namespace", ns, "pod/"+pod, done, "--timeout=60s"); err != nil {
		t.Fatalf("%v\n%s", err, kubectl(t, "describe", "pod", "--namespace", ns, pod))
	}
	if got := kubectl(t, "logs", "--namespace", ns, pod); got != "teams 1" {
		t.Errorf("%s runs %q", ns, got)
	}
	leave(t, ns, pod)
}

func runsPrivate(t *testing.T, ns, pod, secrets string) {
	t.Helper()
	apply(t, once+"  imagePullSecrets: SECRETS\n", "NAMESPACE", ns, "POD", pod, "ON_HOST", "false", "IMAGE", private, "ARGS", "[version]",
		"SECRETS", secrets)
}

// teamIsDenied checks that a pod of team B, with a secret or none, does not get the private image, and is told why.
func teamIsDenied(t *testing.T, secret, why string) {
	t.Helper()
	const ns, pod = "team-b", "nosy"
	secrets := "[]"
	if secret != "" {
		secrets = "[{name: " + secret + "}]"
	}
	runsPrivate(t, ns, pod, secrets)
	eventually(t, "the pod to be told that it is denied", func(ctx context.Context) error {
		told, err := shared.Kubectl(ctx, "get", "events", "--namespace", ns, "--output", `jsonpath={range .items[*]}{.reason} {.message}{"\n"}{end}`)
		if err == nil && (!strings.Contains(told, "PullDenied") || !strings.Contains(told, why)) {
			err = fmt.Errorf("it was told %s", told)
		}
		return err
	})
	eventually(t, "its pull to fail", func(ctx context.Context) error {
		state, err := shared.Kubectl(ctx, "get", "pod", "--namespace", ns, pod, "--output", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
		if err == nil && !strings.Contains(state, "ImagePull") {
			err = fmt.Errorf("its container is %q", state)
		}
		return err
	})
	leave(t, ns, pod)
	kubectl(t, "delete", "events", "--namespace", ns, "--all")
}

// leave removes a pod, and the node's copy of the private image.
func leave(t *testing.T, ns, pod string) {
	t.Helper()
	kubectl(t, "delete", "pod", "--namespace", ns, "--now", "--wait", pod)
	forget(t, nil, private)
}
