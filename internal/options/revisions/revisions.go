// Package revisions turns the flags of larder history, pin, unpin and rollback into validated options: in which data folder, or in which
// cluster, they look for an image. It opens no network connection.
package revisions

import (
	"errors"
	"fmt"
	"time"

	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	flagKubeconfig = "kubeconfig"
	flagContext    = "context"
	flagTimeout    = "timeout"

	defaultTimeout = 5 * time.Minute
)

// Options say where a command works.
type Options struct {
	serve.Cache              // the data folder, where there is no cluster
	Cluster     *rest.Config // nil: none
	Timeout     time.Duration
}

// Flags are the flags of the commands. Bind them before the command line is parsed.
type Flags struct {
	flags      *pflag.FlagSet
	cache      serve.CacheFlags
	kubeconfig string
	context    string
	timeout    time.Duration
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	f.cache.Bind(flags)
	flags.StringVar(&f.kubeconfig, flagKubeconfig, "", "kubeconfig file: work in a cluster, not on a data folder")
	flags.StringVar(&f.context, flagContext, "", "context of the kubeconfig file: work in that cluster")
	flags.DurationVar(&f.timeout, flagTimeout, defaultTimeout, "how long to wait until the tag is where it is to be")
}

// Options reads the configuration file, or the kubeconfig file, and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	o := Options{Timeout: f.timeout}
	var err error
	if f.flags.Changed(flagKubeconfig) || f.flags.Changed(flagContext) {
		o.Cluster, err = f.cluster()
		for _, name := range []string{"data", "config", "manifests"} {
			if f.flags.Changed(name) {
				err = errors.Join(err, fmt.Errorf("--%s: a cluster has none: leave it out, or --%s and --%s", name, flagKubeconfig, flagContext))
			}
		}
	} else {
		o.Cache, err = f.cache.Options()
	}
	if f.timeout <= 0 {
		err = errors.Join(err, fmt.Errorf("--%s: %v: write a duration above 0s, such as 5m", flagTimeout, f.timeout))
	}
	if err != nil {
		return Options{}, err
	}
	return o, nil
}

// cluster reads a kubeconfig file as kubectl does: the one that is named, else that of $KUBECONFIG or of the home folder.
func (f *Flags) cluster() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagKubeconfig, err)
	}
	return config, nil
}
