package rewrite

import (
	_ "embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

//go:embed testdata/images.txt
var imagesText string

// imageCase is a line of testdata/images.txt.
type imageCase struct {
	config  Config
	section string
	image   string
	policy  corev1.PullPolicy
	want    string // an image or a reason
}

// verdict is what the case wants, in the form of Verdict.
func (c imageCase) verdict() (rewritten string, reason Reason) {
	if Reason(c.want).Explain() != "" {
		return "", Reason(c.want)
	}
	return c.want, ""
}

func imageCases(t testing.TB) []imageCase {
	t.Helper()
	var cases []imageCase
	var section imageCase
	for i, line := range strings.Split(imagesText, "\n") {
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "[{"):
			end := strings.LastIndex(line, "}] ")
			section = imageCase{section: line[end+len("}] "):]}
			if err := yaml.UnmarshalStrict([]byte(line[1:end+1]), &section.config); err != nil {
				t.Fatalf("testdata/images.txt:%d: %v", i+1, err)
			}
		default:
			before, want, ok := strings.Cut(line, "->")
			words := strings.Fields(before)
			if !ok || len(words) < 1 || len(words) > 2 {
				t.Fatalf("testdata/images.txt:%d: %q", i+1, line)
			}
			c := section
			c.image, c.want = spell(words[0]), spell(strings.TrimSpace(want))
			if len(words) == 2 {
				c.policy = corev1.PullPolicy(words[1])
			}
			cases = append(cases, c)
		}
	}
	return cases
}

var repeated = regexp.MustCompile(`x[0-9]{3}`)

// spell replaces what the tables abbreviate.
func spell(s string) string {
	s = strings.NewReplacer("DIGEST512", "sha512:"+strings.Repeat("b", 128), "DIGEST", "sha256:"+strings.Repeat("a", 64),
		"DIGITS", strings.Repeat("a", 63)).Replace(s)
	return repeated.ReplaceAllStringFunc(s, func(x string) string {
		times, _ := strconv.Atoi(x[1:]) // digits only
		return strings.Repeat("x", times)
	})
}

// Each image has the same verdict wherever a pod names it, when the pod is created and, volumes aside, when it is updated to it.
func TestImages(t *testing.T) {
	t.Parallel()
	cases := imageCases(t)
	if len(cases) < 100 {
		t.Fatalf("%d cases, want 100 at least", len(cases))
	}
	for _, c := range cases {
		t.Run(c.section+"/"+c.image+" "+string(c.policy), func(t *testing.T) {
			t.Parallel()
			rules := rulesOf(t, c.config)
			create := Request{Pod: everywhere(c.image, c.policy), Namespace: "default"}
			update := Request{Pod: everywhere(c.image, c.policy), Old: everywhere("old:1", c.policy), Namespace: "default"}
			ephemeral := update
			ephemeral.Ephemeral = true
			for _, test := range []struct {
				req    Request
				images int
			}{{create, 5}, {update, 4}, {ephemeral, 1}} {
				d, _ := decide(t, rules, test.req)
				if d.Pod != "" || len(d.Images) != test.images {
					t.Errorf("decided on %d images, want %d (%s)", len(d.Images), test.images, d.Pod)
				}
				rewritten, reason := c.verdict()
				for _, v := range d.Images {
					if v.Rewritten != rewritten || v.Reason != reason {
						t.Errorf("%s: %q %q, want %s", v.Path, v.Rewritten, v.Reason, c.want)
					}
				}
			}
		})
	}
}

// everywhere is a pod that names an image wherever it can.
func everywhere(image string, policy corev1.PullPolicy) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	var pod corev1.Pod
	pod.Name, pod.Namespace = "a", "default"
	pod.Spec.InitContainers = []corev1.Container{
		{Name: "init", Image: image, ImagePullPolicy: policy},
		{Name: "sidecar", Image: image, ImagePullPolicy: policy, RestartPolicy: &always},
	}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: image, ImagePullPolicy: policy}}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{
		{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: image, ImagePullPolicy: policy}},
	}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "empty"},
		{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image, PullPolicy: policy}}},
	}
	return &pod
}

func imagePath(kind string, i int) string { return fmt.Sprintf("/spec/%s/%d/image", kind, i) }

func volumePath(i int) string { return fmt.Sprintf("/spec/volumes/%d/image/reference", i) }
