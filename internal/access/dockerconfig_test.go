package access

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

func TestMatching_AsKubeletDoes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, content string
		repo          imageref.Repository
		want          []string
	}{
		{
			"Longest path first", `"r.test":{"username":"host"},"r.test/team/app":{"username":"app"},"r.test/team":{"username":"team"}`,
			imageref.Repository{Host: "r.test", Path: "team/app/sub"}, []string{"app", "team", "host"},
		},
		{"Whole components", `"r.test/team/app":{"username":"app"}`, imageref.Repository{Host: "r.test", Path: "team/apple"}, []string{}},
		{"Another host", `"r.test":{"username":"a"}`, imageref.Repository{Host: "r.test.evil", Path: "a"}, []string{}},
		{"A subdomain", `"r.test":{"username":"a"}`, imageref.Repository{Host: "a.r.test", Path: "a"}, []string{}},
		{"Port of the repository", `"r.test":{"username":"a"}`, imageref.Repository{Host: "r.test:5000", Path: "a"}, []string{}},
		{"Port of the key", `"r.test:5000":{"username":"a"}`, imageref.Repository{Host: "r.test", Path: "a"}, []string{}},
		{"Port of both", `"https://r.test:5000/":{"username":"a"}`, imageref.Repository{Host: "r.test:5000", Path: "a"}, []string{"a"}},
		{
			"Globs after what is written", `"*.r.test":{"username":"glob"},"a.r.test":{"username":"host"},"[a-c].r.test":{"username":"class"},"*.r.test/x":{"username":"path"}`,
			imageref.Repository{Host: "a.r.test", Path: "x/y"}, []string{"path", "host", "glob", "class"},
		},
		{"A glob is one label", `"*.test":{"username":"a"}`, imageref.Repository{Host: "a.r.test", Path: "x"}, []string{}},
		{"A glob and a port", `"*.test:5000":{"username":"a"}`, imageref.Repository{Host: "r.test:5000", Path: "x"}, []string{"a"}},
		{"A malformed glob", `"[.test":{"username":"a"}`, imageref.Repository{Host: "r.test", Path: "x"}, []string{}},
		{
			"Docker Hub's names", `"https://index.docker.io/v1/":{"username":"index"},"docker.io/library":{"username":"path"},"registry-1.docker.io":{"username":"reg"}`,
			imageref.Repository{Host: "docker.io", Path: "library/nginx"}, []string{"path", "index", "reg"},
		},
		{"URLs", `"https://r.test/v2/team/":{"username":"a"},"http://r.test/v1":{"username":"b"}`,
			imageref.Repository{Host: "r.test", Path: "team/app"}, []string{"a", "b"}},
		{"A path that begins like a version", `"r.test/v10":{"username":"a"}`, imageref.Repository{Host: "r.test", Path: "v10/app"}, []string{"a"}},
		{"Case of the host", `"R.Test":{"username":"a"}`, imageref.Repository{Host: "r.test", Path: "x"}, []string{"a"}},
		{"Nothing in it", `"r.test":{},"r.test/x":{"email":"a@b"}`, imageref.Repository{Host: "r.test", Path: "x"}, []string{}},
		{"Tokens", `"r.test":{"identitytoken":"i","username":"<token>"}`, imageref.Repository{Host: "r.test", Path: "x"}, []string{"<token>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries, problem := parse(secretOf("ns", "s", `{"auths":{`+tt.content+`}}`))
			if problem != "" {
				t.Fatal(problem)
			}
			if diff := cmp.Diff(tt.want, users(matching(entries, tt.repo))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"auths":{"r.test":{"auth":"dTpw"}}}`, `{"auths":{"https://[::1]:5000/v1/a":{"username":"u","password":1}}}`, `{"auths":[]}`,
		`{"auths":{"":{"auth":"dTpw"},"/":{"auth":"="},"[":{"auth":"dTpw"}}}`, `null`, ``, `{"auths":{"a":null}}`,
	} {
		f.Add([]byte(seed))
	}
	known := map[string]bool{
		"": true, ".dockerconfigjson is no Docker config.json": true, ".dockercfg is no .dockercfg": true,
		"some of its entries cannot be read": true,
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for kind, key := range map[corev1.SecretType]string{
			corev1.SecretTypeDockerConfigJson: corev1.DockerConfigJsonKey, corev1.SecretTypeDockercfg: corev1.DockerConfigKey,
		} {
			entries, problem := parse(&corev1.Secret{Type: kind, Data: map[string][]byte{key: content}})
			if !known[problem] {
				t.Errorf("the problem may quote the secret: %q", problem)
			}
			matching(entries, imageref.Repository{Host: "r.test:5000", Path: "a/b"})
		}
	})
}
