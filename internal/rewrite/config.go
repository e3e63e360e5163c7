package rewrite

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/strictyaml"
)

// Config is the section "webhook" of the configuration file: what a person may decide of the rules.
type Config struct {
	IgnorePullPolicyAlways *bool               `json:"ignorePullPolicyAlways,omitempty"` // unset: true
	IgnoredImages          []string            `json:"ignoredImages,omitempty"`          // RE2, unanchored, on the full reference
	AcceptedImages         []string            `json:"acceptedImages,omitempty"`         // the same; none: every image
	IgnoredNamespaces      []string            `json:"ignoredNamespaces,omitempty"`      // beside kube-system and Larder's own
	NoProxyNodeSelectors   []map[string]string `json:"noProxyNodeSelectors,omitempty"`   // labels of nodes, all of one
	ComparingOwners        []string            `json:"comparingOwners,omitempty"`        // Kind.group; unset: DefaultComparingOwners
}

// DefaultComparingOwners are the owners that are known to compare the images of their pods with those that they asked for, and to make
// the pods anew where they differ: CloudNativePG's.
var DefaultComparingOwners = []string{"Cluster.postgresql.cnpg.io"}

// NewRules makes rules of a configuration, to be used only where there are no problems. Their fields are Config's; lines are the caller's
// to add. proxy is what CheckProxy accepts; namespace is Larder's own, empty where it has none.
func NewRules(proxy, namespace string, c Config) (*Rules, []strictyaml.Problem) {
	var p problems
	rules := &Rules{
		Proxy:                proxy,
		RewriteAlways:        c.IgnorePullPolicyAlways != nil && !*c.IgnorePullPolicyAlways,
		IgnoredImages:        p.filters("ignoredImages", c.IgnoredImages),
		AcceptedImages:       p.filters("acceptedImages", c.AcceptedImages),
		IgnoredNamespaces:    p.namespaces(namespace, c.IgnoredNamespaces),
		NoProxyNodeSelectors: p.nodeSelectors(c.NoProxyNodeSelectors),
		ComparingOwners:      p.owners(c.ComparingOwners),
	}
	return rules, p
}

// CheckProxy says what is wrong with the address of the nodes' proxy, which becomes the host of images.
func CheckProxy(address string) error {
	host, err := imageref.ParseHost(address)
	if err != nil || host != address || !strings.Contains(address[strings.LastIndexByte(address, ']')+1:], ":") {
		return fmt.Errorf("%q: write host:port in lower case, such as localhost:7439", address)
	}
	return nil
}

type problems []strictyaml.Problem

func (p *problems) report(list string, i int, format string, args ...any) {
	*p = append(*p, strictyaml.Problem{Field: fmt.Sprintf("%s[%d]", list, i), Reason: fmt.Sprintf(format, args...)})
}

func (p *problems) filters(list string, texts []string) []*regexp.Regexp {
	const advice = `write a regular expression such as ^ghcr\.io/org/`
	var filters []*regexp.Regexp
	for i, text := range texts {
		filter, err := regexp.Compile(text)
		switch {
		case text == "":
			p.report(list, i, "empty, which matches every image: %s", advice)
		case err != nil:
			p.report(list, i, "%q: %s: %s", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "), advice)
		default:
			filters = append(filters, filter)
		}
	}
	return filters
}

// namespaces adds those whose pods must start also where Larder does not.
func (p *problems) namespaces(own string, more []string) []string {
	for i, name := range more {
		if name == "" {
			p.report("ignoredNamespaces", i, "empty: write the name of a namespace")
		}
	}
	names := slices.Concat([]string{metav1.NamespaceSystem, own}, more)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

func (p *problems) nodeSelectors(selectors []map[string]string) []map[string]string {
	for i, labels := range selectors {
		if len(labels) == 0 {
			p.report("noProxyNodeSelectors", i, "empty: write labels of nodes without a proxy, such as {type: virtual-kubelet}")
		}
	}
	return selectors
}

func (p *problems) owners(owners []string) []string {
	if owners == nil {
		return slices.Clone(DefaultComparingOwners)
	}
	for i, owner := range owners {
		if kind, group, ok := strings.Cut(owner, "."); !ok || kind == "" || group == "" || kind == strings.ToLower(kind) {
			p.report("comparingOwners", i, "%q: write kind and group, such as %s", owner, DefaultComparingOwners[0])
		}
	}
	return owners
}
