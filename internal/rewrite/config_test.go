package rewrite

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/internal/strictyaml"
)

func TestNewRules_SaysWhatToWrite(t *testing.T) {
	t.Parallel()
	documents, _ := strictyaml.Parse([]byte(`
ignorePullPolicyAlways: false
ignoredImages: [ok, '(', '']
acceptedImages: ['*']
ignoredNamespaces: ['', a]
noProxyNodeSelectors: [{a: b}, {}]
comparingOwners: [Cluster, Cluster.postgresql.cnpg.io, postgresql.cnpg.io, '']
`))
	var config Config
	if problems := documents[0].Decode(&config); len(problems) > 0 {
		t.Fatal(problems)
	}
	const filter = `write a regular expression such as ^ghcr\.io/org/`
	const owner = "write kind and group, such as Cluster.postgresql.cnpg.io"
	want := []strictyaml.Problem{
		{Field: "ignoredImages[1]", Reason: "\"(\": missing closing ): `(`: " + filter},
		{Field: "ignoredImages[2]", Reason: "empty, which matches every image: " + filter},
		{Field: "acceptedImages[0]", Reason: "\"*\": missing argument to repetition operator: `*`: " + filter},
		{Field: "ignoredNamespaces[0]", Reason: "empty: write the name of a namespace"},
		{Field: "noProxyNodeSelectors[1]", Reason: "empty: write labels of nodes without a proxy, such as {type: virtual-kubelet}"},
		{Field: "comparingOwners[0]", Reason: `"Cluster": ` + owner},
		{Field: "comparingOwners[2]", Reason: `"postgresql.cnpg.io": ` + owner},
		{Field: "comparingOwners[3]", Reason: `"": ` + owner},
	}
	_, got := NewRules(proxy, "larder", config)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestNewRules_Defaults(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, Config{IgnoredNamespaces: []string{"b", "larder", "a"}})
	if want := []string{"a", "b", "kube-system", "larder"}; !slices.Equal(rules.IgnoredNamespaces, want) {
		t.Errorf("ignored namespaces %q, want %q", rules.IgnoredNamespaces, want)
	}
	if rules.RewriteAlways || !slices.Equal(rules.ComparingOwners, DefaultComparingOwners) {
		t.Errorf("rules are %+v", rules)
	}
	outside, _ := NewRules(proxy, "", Config{ComparingOwners: []string{}})
	if want := []string{"kube-system"}; !slices.Equal(outside.IgnoredNamespaces, want) || len(outside.ComparingOwners) > 0 {
		t.Errorf("without a namespace of its own: %+v", outside)
	}
}

func TestCheckProxy(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"localhost:7439": true, "127.0.0.1:7439": true, "[::1]:7439": true, "larder.example:443": true, "larder:80": true,
		"": false, "localhost": false, "[::1]": false, "Localhost:7439": false, ":7439": false, "localhost:0": false,
		"http://localhost:7439": false, "localhost:7439/x": false, "larder": false,
	} {
		if err := CheckProxy(address); (err == nil) != want {
			t.Errorf("CheckProxy(%q) = %v", address, err)
		}
	}
}

func TestReason_Explain(t *testing.T) {
	t.Parallel()
	for _, reason := range []Reason{
		MirrorPod, TooLarge, OptOutPod, OptOutNamespace, IgnoredNamespace, WindowsPod, NoProxyOnNode, OperatorCompares, AlreadyRewritten,
		PullPolicyNever, PullPolicyAlways, IgnoredImage, NotAcceptedImage, InvalidImage, LocalRegistry, TooLong, Unavailable, Empty,
	} {
		if reason.Explain() == "" {
			t.Errorf("%s is not explained", reason)
		}
	}
}
