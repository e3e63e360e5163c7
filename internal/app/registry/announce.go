package registry

import (
	"fmt"
	"io"
	"strings"

	"github.com/larder-dev/larder/internal/version"
)

// announce says what the process does: in text format in a person's words, else to the log.
func (p *process) announce(out io.Writer) error {
	listen, metrics := p.server.Addresses()
	o := p.options
	if o.Token == nil {
		p.log.Info("private images are served to everybody who reaches this process: without --token-file nobody can be told from another",
			"listen", listen)
	}
	if o.LogFormat != "text" {
		p.log.Info("listening", "version", version.Version(), "listen", listen, "metricsListen", metrics, "storage", p.server.Storage(),
			"apiServer", o.Cluster.Config.Host, "namespace", o.Cluster.Namespace, "proxy", o.Cluster.Scope.Proxy,
			"mirrorMode", o.Cluster.Scope.All, "pullSecretNamespaces", o.PullSecretNamespaces, "token", o.Token != nil, "tls", o.Certificate != nil)
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Larder listens on %s (metrics and health on %s).\n", listen, metrics)
	fmt.Fprintf(&b, "This is larder registry %s; images are kept in %s.\n", version.Version(), p.server.Storage())
	fmt.Fprintf(&b, "Policies come from the API server at %s; Larder's namespace is %s.\n", o.Cluster.Config.Host, o.Cluster.Namespace)
	fmt.Fprintf(&b, "Images of pods are Larder's %s.\n", o.Cluster.Images())
	fmt.Fprintf(&b, "Pull secrets of pods are read %s.\n", secretsFrom(o.PullSecretNamespaces))
	fmt.Fprintf(&b, "It answers %s, %s.\n", whom(o.Token != nil), how(o.Certificate != nil))
	_, err := io.WriteString(out, b.String())
	return err
}

func secretsFrom(namespaces []string) string {
	if len(namespaces) == 0 {
		return "in all namespaces"
	}
	return "in " + strings.Join(namespaces, ", ") + " alone"
}

func how(tls bool) string {
	if tls {
		return "by TLS"
	}
	return "in plain HTTP"
}

func whom(token bool) string {
	if token {
		return "who shows the token, as larder-proxy does; private images go to the nodes whose pods may have them"
	}
	return "everybody who reaches it, with private images too: there is no --token-file"
}
