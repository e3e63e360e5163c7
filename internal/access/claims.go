package access

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// What a Keychain finds of Larder's own, in the sources of grants.
const (
	sourceSecret = "secret/" // and the name of one of the Repository's pullSecretNames
	sourceCloud  = "cloud"
)

// Pods lists the pods on a node that use an image of repo, as grant.Cluster has it.
func (k *Keychain) Pods(ctx context.Context, repo imageref.Repository, node string) ([]grant.Pod, error) {
	found, err := usage.PodsOf(ctx, k.o.Pods, repo)
	if err != nil {
		return nil, err
	}
	found = slices.Clone(found)
	if node != "" {
		found = slices.DeleteFunc(found, func(pod corev1.Pod) bool { return pod.Spec.NodeName != node })
	}
	slices.SortFunc(found, newestFirst)
	pods := make([]grant.Pod, 0, len(found))
	for i := range found {
		pod := grant.Pod{Namespace: found[i].Namespace, Name: found[i].Name, UID: string(found[i].UID)}
		for _, name := range k.secretsOf(&found[i]) {
			pod.Secrets = append(pod.Secrets, name.Name)
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// Claims reads the secrets of pods, as grant.Cluster has it.
func (k *Keychain) Claims(ctx context.Context, repo imageref.Repository, pods []grant.Pod) ([]grant.Claim, error) {
	secrets := make([][]types.NamespacedName, len(pods))
	for i, pod := range pods {
		for _, name := range pod.Secrets {
			secrets[i] = append(secrets[i], types.NamespacedName{Namespace: pod.Namespace, Name: name})
		}
	}
	found, err := k.entries(ctx, repo, inTurn(secrets))
	claims := make([]grant.Claim, 0, len(found))
	for _, e := range found {
		claims = append(claims, grant.Claim{Credential: e.config, Namespace: e.from.Namespace})
	}
	return claims, err
}

// Own reads what Larder itself can show, as grant.Cluster has it: the secrets of repo's own Repository, and not of others that ask the
// origin too.
func (k *Keychain) Own(ctx context.Context, repo, origin imageref.Repository) ([]grant.Claim, error) {
	cloud := meanwhile(func() []authn.AuthConfig { return k.cloud.find(ctx, origin.Host) })
	found, err := k.entries(ctx, origin, k.inLarders(k.o.OwnOf(repo)))
	var claims []grant.Claim
	for _, e := range found {
		claims = append(claims, grant.Claim{Credential: e.config, Source: sourceSecret + e.from.Name})
	}
	for _, config := range cloud() {
		claims = append(claims, grant.Claim{Credential: config, Source: sourceCloud})
	}
	return claims, err
}

// OwnSources names where Own looks, as grant.Cluster has it.
func (k *Keychain) OwnSources(repo, origin imageref.Repository) []string {
	var sources []string
	for _, name := range k.o.OwnOf(repo) {
		sources = append(sources, sourceSecret+name)
	}
	if k.cloud.owns(origin.Host) {
		sources = append(sources, sourceCloud)
	}
	return sources
}

// Changed returns a channel that is closed when the pods of a repository change, as grant.Cluster has it.
func (k *Keychain) Changed(repo imageref.Repository) <-chan struct{} { return k.changes.of(repo) }

// entries reads what secrets hold for a repository.
func (k *Keychain) entries(ctx context.Context, repo imageref.Repository, names []types.NamespacedName) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	found, err := k.secrets.read(ctx, names)
	return fitting(found, repo), err
}

func newestFirst(a, b corev1.Pod) int {
	if age := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); age != 0 {
		return age
	}
	return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
}
