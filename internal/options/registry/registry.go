// Package registry turns the flags and the configuration file of larder registry into validated options. It opens no network connection.
package registry

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/internal/options/cluster"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/token"
	"github.com/spf13/pflag"
)

const (
	flagNamespaces = "pull-secret-namespaces"
	flagMirrors    = "mirrors"
	flagPeers      = "peers"
	flagPodIP      = "pod-ip"
	flagSink       = "events-sink"
)

// Options are what larder registry runs with.
type Options struct {
	serve.Cache          // without a folder of manifests
	Cluster              cluster.Options
	Listen               string   // host:port of the proxy face
	MetricsListen        string   // host:port of metrics and probes
	PullSecretNamespaces []string // in which pull secrets of pods may be read; none: in all
	Mirrors              int      // images brought in at a time

	Peers []string   // host:port of all replicas on one object storage, as node proxies are told them; none: this one is alone
	PodIP netip.Addr // under which Peers name this replica, with the port of Listen

	LeaderElect bool // whether a Lease says which replica on an object storage deletes from it; else none does

	Token       *token.File      // what larder-proxy has to show; nil: nothing
	Certificate *hop.Certificate // with which larder-proxy is answered; nil: in plain HTTP
}

// Flags are the flags of larder registry. Bind them before the command line is parsed.
type Flags struct {
	flags      *pflag.FlagSet
	store      serve.StoreFlags
	cluster    cluster.Flags
	listen     daemon.Listen
	namespaces []string
	mirrors    int
	token      daemon.Token
	hop        daemon.Certificate
	peers      []string
	podIP      string
	sink       string
	elect      bool
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	f.store.Bind(flags)
	f.cluster.Bind(flags)
	f.listen.Bind(flags, "")
	flags.StringSliceVar(&f.namespaces, flagNamespaces, nil,
		"namespace in which pull secrets of pods may be read; may be given more than once; default: all")
	flags.IntVar(&f.mirrors, flagMirrors, 8, "how many images are brought in at a time, of one host two at most")
	flags.StringSliceVar(&f.peers, flagPeers, nil,
		"host:port of the replicas that share an object storage, such as a headless Service's: each brings in its part; default: there are no others")
	flags.StringVar(&f.podIP, flagPodIP, "", "address of this replica among --peers, which has the port of --listen; default: $POD_IP")
	flags.StringVar(&f.sink, flagSink, "",
		"http:// or https:// URL to which changes of images are sent as CloudEvents; default: the configuration file's events.sink, else nowhere")
	flags.BoolVar(&f.elect, "leader-elect", true,
		"with object storage: sweep, evict and scrub while holding the Lease larder-registry in Larder's namespace; else nothing is")
	f.token.Bind(flags, "file with the tokens, one a line, of which every request must show one as larder-proxy does; default: none has to")
	f.hop.Bind(flags)
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	store, storeErr := f.store.Options()
	in, inErr := f.cluster.Options()
	shown, tokenErr := f.token.Open()
	certificate, certificateErr := f.hop.Open()
	podIP, peersErr := f.checkPeers()
	errs := []error{f.listen.Check(), storeErr, inErr, f.checkNamespaces(), tokenErr, certificateErr, peersErr}
	if f.mirrors < 1 {
		errs = append(errs, fmt.Errorf("--%s: %d: write a number from 1 on", flagMirrors, f.mirrors))
	}
	if f.sink != "" {
		sink, err := events.ParseSink(f.sink)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flagSink, err))
		}
		store.Events.Sink = sink
	}
	if err := errors.Join(errs...); err != nil {
		return Options{}, err
	}
	return Options{
		Cache: store, Cluster: in, Listen: f.listen.Listen, MetricsListen: f.listen.MetricsListen,
		PullSecretNamespaces: f.namespaces, Mirrors: f.mirrors, Peers: f.peers, PodIP: podIP, LeaderElect: f.elect,
		Token: shown, Certificate: certificate,
	}, nil
}

// checkNamespaces refuses a list that is given and empty: it would mean all of them to us, and hardly to who wrote it.
func (f *Flags) checkNamespaces() error {
	if len(f.namespaces) == 0 && f.flags.Changed(flagNamespaces) {
		return fmt.Errorf("--%s: empty: write a namespace, or leave the flag out for all of them", flagNamespaces)
	}
	var errs []error
	for _, namespace := range f.namespaces {
		errs = append(errs, cluster.CheckNamespace(flagNamespaces, namespace))
	}
	return errors.Join(errs...)
}

// checkPeers returns this replica's own address, where there are others.
func (f *Flags) checkPeers() (netip.Addr, error) {
	if len(f.peers) == 0 {
		return netip.Addr{}, nil
	}
	var errs []error
	for _, peer := range f.peers {
		if host, port, err := net.SplitHostPort(peer); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("--%s: %q: write host:port, such as larder-registry.larder.svc:7439", flagPeers, peer))
		}
	}
	own, err := netip.ParseAddr(cmp.Or(f.podIP, os.Getenv("POD_IP")))
	if err != nil || own.IsUnspecified() {
		errs = append(errs, fmt.Errorf("--%s: %q: write the address under which --%s has this replica, or set $POD_IP", flagPodIP, f.podIP, flagPeers))
	}
	return own.Unmap(), errors.Join(errs...)
}
