package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/types"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// maxSecrets is how many secrets of pods are read for one repository. An image that hundreds of namespaces use has hundreds, most of them
// copies of one.
const maxSecrets = 64

// users lists the pods that use images of the repository.
func (k *Keychain) users(ctx context.Context, repo imageref.Repository) ([]corev1.Pod, error) {
	var all []corev1.Pod
	for _, named := range k.o.Users(repo) {
		pods, err := usage.PodsOf(ctx, k.o.Pods, named)
		if err != nil {
			return nil, err
		}
		all = append(all, pods...)
	}
	return all, nil
}

// named lists the pull secrets of pods, each once: those of the newest pod first, in the order in which the pod names them, but of each
// namespace one in turn: nobody's many shall crowd out another's one.
func (k *Keychain) named(pods []corev1.Pod) []types.NamespacedName {
	pods = slices.Clone(pods)
	slices.SortFunc(pods, newestFirst)
	secrets := make([][]types.NamespacedName, len(pods))
	for i := range pods {
		secrets[i] = k.secretsOf(&pods[i])
	}
	return inTurn(secrets)
}

// inTurn lists the secrets of pods, each once, of each namespace one in turn.
func inTurn(ofPods [][]types.NamespacedName) []types.NamespacedName {
	var rounds [][]types.NamespacedName // the first of each namespace, the second of each, ...
	seen, count := map[types.NamespacedName]bool{}, map[string]int{}
	for _, secrets := range ofPods {
		for _, name := range secrets {
			round := count[name.Namespace]
			if seen[name] || round == maxSecrets {
				continue
			}
			if round == len(rounds) {
				rounds = append(rounds, nil)
			}
			rounds[round] = append(rounds[round], name)
			seen[name], count[name.Namespace] = true, round+1
		}
	}
	names := slices.Concat(rounds...)
	return names[:min(len(names), maxSecrets)]
}

// secretsOf lists the pull secrets of a pod that may be read.
func (k *Keychain) secretsOf(pod *corev1.Pod) []types.NamespacedName {
	if len(k.o.Namespaces) > 0 && !slices.Contains(k.o.Namespaces, pod.Namespace) {
		return nil
	}
	var names []types.NamespacedName
	for _, secret := range pod.Spec.ImagePullSecrets {
		if len(content.IsPathSegmentName(secret.Name)) == 0 && secret.Name != "" { // the API server takes any name in a pod
			names = append(names, types.NamespacedName{Namespace: pod.Namespace, Name: secret.Name})
		}
	}
	return names
}

// Stamp changes when other pods, secrets or pullSecretNames come into question for the repository. It asks nobody: while the pods are not
// known yet, it says so, and changes once they are.
func (k *Keychain) Stamp(repo imageref.Repository) string {
	parts := []string{"pods unknown"}
	if pods, err := k.users(ended, repo); err == nil {
		parts = k.sorted(pods)
	}
	parts = append(parts, "own")
	parts = append(parts, k.o.Own(repo)...)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:8])
}

// ended is a context with which a cache that is not in sync does not wait.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// sorted lists the pods that have pull secrets, and these.
func (k *Keychain) sorted(pods []corev1.Pod) []string {
	var parts []string
	for i := range pods {
		for _, name := range k.secretsOf(&pods[i]) {
			parts = append(parts, name.String()+" of "+string(pods[i].UID))
		}
	}
	slices.Sort(parts)
	return parts
}
