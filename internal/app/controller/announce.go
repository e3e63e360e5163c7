package controller

import (
	"fmt"
	"io"
	"strings"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/options/controller"
	"github.com/larder-dev/larder/internal/version"
)

// announce says what the process does: in text format in a person's words, else to the log.
func announce(out io.Writer, o controller.Options, metrics, webhook, hooks string, log logr.Logger) error {
	if o.LogFormat != "text" {
		log.Info("started", "version", version.Version(), "metricsListen", metrics, "apiServer", o.Cluster.Config.Host,
			"namespace", o.Cluster.Namespace, "proxy", o.Cluster.Scope.Proxy, "mirrorMode", o.Cluster.Scope.All,
			"expiryDelay", o.ExpiryDelay.String(), "keepWorkloadImages", o.KeepWorkloadImages, "triggers", o.Triggers, "leaderElect", o.LeaderElect,
			"webhookListen", webhook, "hooksListen", hooks)
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "This is larder controller %s (metrics and health on %s).\n", version.Version(), metrics)
	fmt.Fprintf(&b, "It works for the API server at %s; Larder's namespace is %s.\n", o.Cluster.Config.Host, o.Cluster.Namespace)
	fmt.Fprintf(&b, "Images of pods are Larder's %s.\n", o.Cluster.Images())
	fmt.Fprintf(&b, "They expire %s.\n", expiry(o))
	if o.Triggers {
		b.WriteString("Workloads that ask for it are restarted when an image of theirs was superseded.\n")
	}
	if o.LeaderElect {
		fmt.Fprintf(&b, "It works while it holds the Lease %s/%s.\n", o.Cluster.Namespace, name)
	}
	if webhook != "" {
		fmt.Fprintf(&b, "Its pod webhook listens on %s, for the MutatingWebhookConfiguration %s.\n", webhook, o.Webhook.Name)
	}
	if hooks != "" {
		fmt.Fprintf(&b, "Registries tell it of pushes on %s, by POST /hooks/<registry>.\n", hooks)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func expiry(o controller.Options) string {
	users := "pods"
	if o.KeepWorkloadImages {
		users = "pods or workloads"
	}
	if o.ExpiryDelay == 0 {
		return "never"
	}
	return fmt.Sprintf("when no %s have used them for %s", users, o.ExpiryDelay)
}
