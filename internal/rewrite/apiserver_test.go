package rewrite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/kube"
)

// What the API server takes without our patches, it takes with them, and makes the same of it otherwise.
func TestDecide_APIServerTakesEveryPatch(t *testing.T) {
	t.Parallel()
	cluster := kube.New(t)
	g := generator{Rand: rand.New(rand.NewPCG(1, 2)), images: []string{"", " nginx:1", "nginx:1 ", "a b", "a\nb", strings.Repeat("y", 5000)}}
	for _, c := range imageCases(t) {
		g.images = append(g.images, c.image)
	}
	no := false
	for _, rules := range []*Rules{rulesOf(t, Config{}), rulesOf(t, Config{IgnorePullPolicyAlways: &no})} {
		world := world{Client: cluster, rules: rules}
		for range 80 {
			world.create(t, g.pod())
			world.update(t, g)
		}
		if world.created < 30 || world.updated < 30 || world.attached < 30 {
			t.Errorf("the API server took %d creations, %d updates, %d ephemeral containers: too few to tell", world.created, world.updated, world.attached)
		}
	}
}

// world is an API server that counts what it took.
type world struct {
	client.Client
	rules                      *Rules
	created, updated, attached int
}

// try has the API server take an object without our patches, in a dry run, and if it does so with them; it returns what became of both.
func (w *world) try(t *testing.T, req Request, send func(context.Context, *corev1.Pod) error) (without, with *corev1.Pod) {
	t.Helper()
	without = req.Pod.DeepCopy()
	if err := send(t.Context(), without); err != nil {
		return nil, nil
	}
	d, with := decide(t, w.rules, req)
	if err := send(t.Context(), with); err != nil {
		t.Fatalf("the API server takes this pod, but not with the patches %v: %v\n%+v", d.Patches, err, req.Pod)
	}
	req.Pod = without
	if diff := cmp.Diff(d.Images, w.rules.Decide(req).Images); diff != "" {
		t.Errorf("with the API server's defaults, the verdicts differ (-without +with):\n%s", diff)
	}
	if diff := cmp.Diff(policies(without), policies(with)); diff != "" {
		t.Errorf("the API server's defaults differ after a rewrite (-before +after):\n%s", diff)
	}
	return without, with
}

func policies(pod *corev1.Pod) map[string]corev1.PullPolicy {
	found := map[string]corev1.PullPolicy{}
	for _, f := range imagesOf(pod, false) {
		found[f.name] = f.policy
	}
	return found
}

func (w *world) create(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	without, _ := w.try(t, Request{Pod: pod, Namespace: pod.Namespace}, func(ctx context.Context, pod *corev1.Pod) error {
		return w.Create(ctx, pod, client.DryRunAll)
	})
	if without != nil {
		w.created++
	}
}

// update changes images of a pod that runs, rewritten or not, and attaches ephemeral containers to it.
func (w *world) update(t *testing.T, g generator) {
	t.Helper()
	running := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "u-", Namespace: "default"}}
	for i := range 3 {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: fmt.Sprintf("nginx:1.%d", i)}
		running.Spec.Containers = append(running.Spec.Containers, c)
		c.Name = "i" + c.Name
		running.Spec.InitContainers = append(running.Spec.InitContainers, c)
	}
	running.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "data:1"}}}}
	if g.IntN(2) == 0 {
		_, running = decide(t, w.rules, Request{Pod: running})
	}
	if err := w.Create(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	changed := running.DeepCopy()
	for i := range changed.Spec.Containers {
		if g.IntN(2) == 0 {
			changed.Spec.Containers[i].Image = g.image()
		}
		if g.IntN(2) == 0 {
			changed.Spec.InitContainers[i].Image = g.image()
		}
	}
	if g.IntN(3) == 0 {
		changed.Annotations = g.annotations()
	}
	updated, _ := w.try(t, Request{Pod: changed, Old: running}, func(ctx context.Context, pod *corev1.Pod) error {
		return w.Update(ctx, pod, client.DryRunAll)
	})
	if updated != nil {
		w.updated++
	}
	debugged := running.DeepCopy()
	for i := range 1 + g.IntN(2) {
		common := corev1.EphemeralContainerCommon{Name: fmt.Sprintf("e%d", i), Image: g.image(), TerminationMessagePolicy: corev1.TerminationMessageReadFile}
		debugged.Spec.EphemeralContainers = append(debugged.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: common})
	}
	attached, _ := w.try(t, Request{Pod: debugged, Old: running, Ephemeral: true}, func(ctx context.Context, pod *corev1.Pod) error {
		return w.SubResource("ephemeralcontainers").Update(ctx, pod, client.DryRunAll)
	})
	if attached != nil {
		w.attached++
	}
}

// generator makes pods of which an API server takes most.
type generator struct {
	*rand.Rand
	images []string
}

func (g generator) image() string { return g.images[g.IntN(len(g.images))] }

func (g generator) container(name string) corev1.Container {
	anyPolicy := []corev1.PullPolicy{"", "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
	return corev1.Container{Name: name, Image: g.image(), ImagePullPolicy: anyPolicy[g.IntN(len(anyPolicy))]}
}

func (g generator) pod() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-", Namespace: "default"}}
	always := corev1.ContainerRestartPolicyAlways
	for i := range 1 + g.IntN(3) {
		pod.Spec.Containers = append(pod.Spec.Containers, g.container(fmt.Sprintf("c%d", i)))
	}
	for i := range g.IntN(3) {
		c := g.container(fmt.Sprintf("i%d", i))
		if g.IntN(2) == 0 {
			c.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
	for i := range g.IntN(2) {
		c := g.container(fmt.Sprintf("v%d", i))
		source := &corev1.ImageVolumeSource{Reference: c.Image, PullPolicy: c.ImagePullPolicy}
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{Image: source}})
	}
	if g.IntN(3) == 0 {
		pod.Annotations = g.annotations()
	}
	g.place(pod)
	return pod
}

// annotations are ours, stale or torn, and perhaps nearly as many as the API server takes.
func (g generator) annotations() map[string]string {
	annotations := map[string]string{}
	if g.IntN(2) == 0 {
		annotations[AnnotationOriginals] = encode(map[string]string{"c0": g.image(), "gone": g.image()})
	}
	if g.IntN(2) == 0 {
		annotations[AnnotationNotRewritten] = g.image()
	}
	if g.IntN(2) == 0 {
		room := validation.TotalAnnotationSizeLimitB - g.IntN(400)
		for key, value := range annotations {
			room -= len(key) + len(value)
		}
		annotations["a"] = strings.Repeat("x", room-1)
	}
	return annotations
}

// place says where a pod may run, and to whom it belongs.
func (g generator) place(pod *corev1.Pod) {
	switch g.IntN(10) {
	case 0:
		pod.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	case 1:
		pod.Labels = map[string]string{PolicyLabels[g.IntN(len(PolicyLabels))]: PolicyIgnore}
	case 2:
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "postgresql.cnpg.io/v1", Kind: "Cluster", Name: "a", UID: "b"}}
	case 3:
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "a"}
		pod.Spec.NodeName = []string{"", "node"}[g.IntN(2)]
	case 4:
		pod.Spec.Containers[0].Args = slices.Repeat([]string{strings.Repeat("x", 1000)}, 900+g.IntN(600))
	}
}
