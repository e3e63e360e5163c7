// Package controller turns the flags and the configuration file of larder controller into validated options. It opens no network
// connection.
package controller

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/options/cluster"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/webhook/certificate"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	flagConfig      = "config"
	flagExpiryDelay = "expiry-delay"
	flagExpiryGrace = "expiry-grace"
	flagTokenSecret = "token-secret"
	flagRegistryTLS = "registry-tls"
	flagTLSSettle   = "registry-tls-settle"
)

// Options are what larder controller runs with.
type Options struct {
	Cluster            cluster.Options
	Defaults           policy.Defaults // that Repositories inherit
	MetricsListen      string          // host:port of metrics and probes
	ExpiryDelay        time.Duration   // from the last use of an image to its expiry; 0: images never expire
	ExpiryGrace        time.Duration   // from there to its deletion; 0: as cachedimage.Options has it
	KeepWorkloadImages bool            // whether templates of workloads keep images
	Triggers           bool            // whether workloads are restarted whose images were superseded
	LeaderElect        bool
	TokenSecret        string                  // of what larder-proxy shows to the registry, made where it is absent; empty: somebody else makes it
	RegistryTLS        certificate.KeptOptions // of the registry's certificate; without a name none is made
	Webhook            *Webhook                // nil: there is none
	Hooks              *Hooks                  // the same
	LogLevel           string                  // debug, info, warn or error
	LogFormat          string                  // text or json
}

// Flags are the flags of larder controller. Bind them before the command line is parsed.
type Flags struct {
	flags         *pflag.FlagSet
	cluster       cluster.Flags
	log           daemon.Log
	webhook       webhookFlags
	hooks         hooksFlags
	config        string
	metricsListen string
	expiryDelay   string
	expiryGrace   time.Duration
	keepWorkloads bool
	triggers      bool
	leaderElect   bool
	tokenSecret   string
	registryTLS   string
	tlsSettle     time.Duration
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	f.cluster.Bind(flags)
	f.log.Bind(flags)
	f.webhook.bind(flags)
	f.hooks.bind(flags)
	daemon.BindMetrics(flags, &f.metricsListen, "")
	flags.StringVar(&f.config, flagConfig, "larder.yaml",
		"the registry's configuration file, for updateInterval, updateFilters and webhook alone; the default one may be missing")
	flags.StringVar(&f.expiryDelay, flagExpiryDelay, "720h", "how long after its last use an image expires, or never")
	flags.DurationVar(&f.expiryGrace, flagExpiryGrace, 0, "for tests: how long an expired image is kept in case a pod comes yet; 0: 5m")
	_ = flags.MarkHidden(flagExpiryGrace)
	flags.BoolVar(&f.keepWorkloads, "keep-workload-images", true,
		"templates of workloads keep images too, such as those of CronJobs and of Deployments scaled to zero")
	flags.BoolVar(&f.triggers, "triggers", false,
		"restart the workloads whose images were superseded, where they or their Repositories ask for it")
	flags.BoolVar(&f.leaderElect, "leader-elect", true, "work only while holding the Lease in Larder's namespace: for more than one replica")
	flags.StringVar(&f.tokenSecret, flagTokenSecret, "",
		"Secret in Larder's namespace, made where it is absent, whose key token larder-proxy shows to the registry; default: none is made")
	flags.StringVar(&f.registryTLS, flagRegistryTLS, "",
		"make the registry's certificate, in the Secret <this>-tls in Larder's namespace, and whom to trust for it in the ConfigMap <this>-ca; default: none is made")
	flags.DurationVar(&f.tlsSettle, flagTLSSettle, 0, "for tests: how long a certificate is trusted before it is served; 0: 1h")
	_ = flags.MarkHidden(flagTLSSettle)
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	in, inErr := f.cluster.Options()
	defaults, defaultsErr := f.defaults()
	delay, delayErr := parseDelay(f.expiryDelay)
	hooks, hooksErr := f.hooks.options()
	err := errors.Join(daemon.CheckMetrics(f.metricsListen), f.log.Check(), delayErr, defaultsErr, inErr, f.webhook.check(f.metricsListen),
		hooksErr, checkName(flagTokenSecret, f.tokenSecret), checkName(flagRegistryTLS, f.registryTLS))
	if err != nil {
		return Options{}, err
	}
	webhook, err := f.webhook.options(in, func() (*rewrite.Rules, error) {
		return serve.ReadRules(f.config, f.flags.Changed(flagConfig), in.Scope.Proxy, in.Namespace)
	})
	if err != nil {
		return Options{}, err
	}
	return Options{
		Cluster: in, Defaults: defaults, MetricsListen: f.metricsListen, ExpiryDelay: delay, ExpiryGrace: f.expiryGrace,
		KeepWorkloadImages: f.keepWorkloads, Triggers: f.triggers, LeaderElect: f.leaderElect, TokenSecret: f.tokenSecret, Webhook: webhook,
		RegistryTLS: certificate.KeptOptions{Namespace: in.Namespace, Name: f.registryTLS, Settle: f.tlsSettle},
		Hooks:       hooks, LogLevel: f.log.Level, LogFormat: f.log.Format,
	}, nil
}

func (f *Flags) defaults() (policy.Defaults, error) {
	if f.config == "" {
		return policy.Defaults{}, fmt.Errorf("--%s: empty: write the path of a file", flagConfig)
	}
	return serve.ReadDefaults(f.config, f.flags.Changed(flagConfig))
}

// checkName says what is wrong with the name of an object that a flag names, if it does.
func checkName(flag, name string) error {
	if wrong := validation.IsDNS1123Subdomain(name); name != "" && len(wrong) > 0 {
		return fmt.Errorf("--%s: %q: %s", flag, name, strings.Join(wrong, ", "))
	}
	return nil
}

func parseDelay(text string) (time.Duration, error) {
	value := v1alpha1.Interval(text)
	delay, ok, err := value.Duration()
	if err != nil || text == "" || ok && delay == 0 {
		return 0, fmt.Errorf("--%s: %q: write a duration above 0s, such as 720h, or never", flagExpiryDelay, text)
	}
	return delay, nil
}
