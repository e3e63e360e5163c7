package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Right is one that a request needed.
type Right struct{ User, Verb, Resource string } // Resource with its group and subresource: "larder.dev/cachedimages/status"

// NewAudited is New of a cluster that remembers which rights users have used: used returns those of requests that were answered so far.
func NewAudited(t testing.TB, users ...string) (c *Cluster, used func() map[Right]bool) {
	t.Helper()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	text := fmt.Sprintf("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- {level: Metadata, users: [%s]}\n- {level: None}\n",
		strings.Join(users, ", "))
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c = newWith(t, "audit-policy-file", policy, "audit-log-path", log)
	return c, func() map[Right]bool {
		content, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return rights(t, content[:bytes.LastIndexByte(content, '\n')+1]) // the last line may still be being written
	}
}

func rights(t testing.TB, log []byte) map[Right]bool {
	t.Helper()
	used := map[Right]bool{}
	for line := range bytes.Lines(log) {
		var e struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef *struct{ APIGroup, Resource, Subresource string }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.ObjectRef != nil {
			used[NewRight(e.User.Username, e.Verb, e.ObjectRef.APIGroup, e.ObjectRef.Resource, e.ObjectRef.Subresource)] = true
		}
	}
	return used
}

// NewRight returns the right to a verb on a resource of a group, or on its subresource.
func NewRight(user, verb, group, resource, subresource string) Right {
	parts := []string{resource}
	if group != "" {
		parts = []string{group, resource}
	}
	if subresource != "" {
		parts = append(parts, subresource)
	}
	return Right{user, verb, strings.Join(parts, "/")}
}
