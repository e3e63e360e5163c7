package serve

import (
	"github.com/larder-dev/larder/internal/options/configfile"
	"github.com/larder-dev/larder/internal/rewrite"
)

// ReadRules reads of the configuration file by which rules pods are rewritten; a file that is missing is empty, unless it is required.
// proxy is what rewrite.CheckProxy accepts; namespace is Larder's own, empty where it has none. The rest of the file is not looked at.
func ReadRules(path string, required bool, proxy, namespace string) (*rewrite.Rules, error) {
	text, err := configfile.Read(path, required)
	if err != nil {
		return nil, err
	}
	r := reader{configfile.New(path)}
	var c config
	r.Decode(text, &c)
	if err := r.Err(); err != nil {
		return nil, err
	}
	rules, problems := rewrite.NewRules(proxy, namespace, c.Webhook)
	for _, p := range problems {
		r.Report("webhook."+p.Field, "%s", p.Reason)
	}
	return rules, r.Err()
}
