// Package rewrite says of manifests what the pod webhook would do, by the same rules. It reads files and asks no API server.
package rewrite

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/larder-dev/larder/internal/rewrite"
)

// Options are what larder rewrite runs with.
type Options struct {
	Files     []string // "-" is standard input
	Namespace string   // of objects that name none
	Rules     *rewrite.Rules
	In        io.Reader // standard input
	Out       io.Writer
	Remarks   io.Writer // what is not an answer
}

// Run says of each image of each pod and pod template in the files what becomes of it and why.
func Run(o Options) error {
	all := manifests{namespaces: map[string]map[string]string{}}
	for _, file := range o.Files {
		text, err := read(o.In, file)
		if err != nil {
			return err
		}
		if err := all.add(file, text); err != nil {
			return err
		}
	}
	for _, remark := range all.remarks {
		_, _ = fmt.Fprintf(o.Remarks, "larder: %s\n", remark)
	}
	if len(all.pods) == 0 {
		return errors.New("no pod and no workload in the files: write Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs or CronJobs, or a List of them")
	}
	unsure := false
	for i, p := range all.pods {
		if p.namespace == "" {
			p.namespace = o.Namespace
		}
		labels, known := all.namespaces[p.namespace]
		d := o.Rules.Decide(rewrite.Request{Pod: p.pod, Namespace: p.namespace, NamespaceLabels: labels})
		unsure = unsure || !known && rewrites(d)
		if i > 0 {
			_, _ = fmt.Fprintln(o.Out)
		}
		if err := show(o.Out, p, d); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	if unsure {
		_, _ = fmt.Fprintf(o.Remarks, "larder: what only a cluster knows was not looked at: a namespace's label %s=%s leaves its pods alone, and so does a "+
			"CachedImage that says that Larder could not get the image\n", rewrite.PolicyLabels[0], rewrite.PolicyIgnore)
	}
	return nil
}

func read(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the manifests: %w", err)
	}
	return text, nil
}

func rewrites(d rewrite.Decision) bool {
	for _, v := range d.Images {
		if v.Rewritten != "" {
			return true
		}
	}
	return false
}
