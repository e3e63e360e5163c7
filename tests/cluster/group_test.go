package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/larder-dev/larder/tests/s3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// groupName is what the headless Service of a group's replicas is called.
const groupName = "larder-registry.larder-system.svc"

// group are replicas of larder registry on one bucket, behind node proxies. Who its members are, all of them find by name: in a hosts file,
// which stands for DNS.
type group struct {
	*world
	origin   *origin.Origin
	bucket   string
	endpoint string // of the storage
	port     string
	hosts    string // the file
	config   []string
	replicas []*process.Larder
	proxies  []*process.Larder
	made     int
	members  []string // addresses
}

func newGroup(t *testing.T, o *origin.Origin, config ...string) *group {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("processes get a hosts file of their own: that takes root")
	}
	server := s3.Shared(t)
	g := &group{
		world: newWorld(t), origin: o, bucket: server.Bucket(t), endpoint: server.Endpoint, config: config,
		hosts: filepath.Join(t.TempDir(), "hosts"), port: freePort(t),
	}
	g.tell(t)
	return g
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// tell has the name resolve to the members. The file is written over in one step: its readers see the one list or the other.
func (g *group) tell(t *testing.T) {
	t.Helper()
	lines := "127.0.0.1 localhost\n"
	for _, member := range g.members {
		lines += member + " " + groupName + "\n"
	}
	file, err := os.OpenFile(g.hosts, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		_, err = file.WriteAt([]byte(lines+strings.Repeat("\n", 4<<10-len(lines))), 0)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// add starts a replica; name has it found.
func (g *group) add(t *testing.T) *process.Larder {
	t.Helper()
	g.made++
	address := fmt.Sprintf("127.0.7.%d", g.made)
	l := g.checked(t, process.NewRegistry(t, g.origin, "--kubeconfig", g.registryConfig, "--namespace", namespace,
		"--listen", net.JoinHostPort(address, g.port), "--peers", net.JoinHostPort(groupName, g.port), "--pod-ip", address))
	l.Hosts = g.hosts
	l.Write(t, "larder.yaml", strings.Join(append([]string{
		"registries: [{host: " + process.Host + ", endpoints: ['" + g.origin.URL() + "']}]", "checkTimeout: 20s",
		fmt.Sprintf("storage: {s3: {accesskey: %s, secretkey: %s, region: %s, regionendpoint: '%s', bucket: %s, forcepathstyle: true, secure: false}}",
			s3.AccessKey, s3.SecretKey, s3.Region, g.endpoint, g.bucket),
	}, g.config...), "\n"))
	l.Start(t)
	g.replicas = append(g.replicas, l)
	g.members = append(g.members, address)
	return l
}

// kill ends a replica as a node's death does, and has its address forgotten.
func (g *group) kill(t *testing.T, l *process.Larder) {
	t.Helper()
	l.Kill()
	i := slices.Index(g.replicas, l)
	g.replicas, g.members = slices.Delete(g.replicas, i, i+1), slices.Delete(g.members, i, i+1)
	g.tell(t)
}

// proxy starts node proxies. They never go to the origin themselves.
func (g *group) proxy(t *testing.T, n int) {
	t.Helper()
	for range n {
		l := process.NewProxy(t, "--registry", net.JoinHostPort(groupName, g.port), "--mirror-mode", "--log-level", "warn")
		l.Hosts = g.hosts
		l.Start(t)
		g.proxies = append(g.proxies, l)
	}
}

// known waits until every process knows how many replicas there are.
func (g *group) known(t *testing.T) {
	t.Helper()
	for _, l := range g.proxies {
		process.Eventually(t, "a proxy to know the replicas", func() bool {
			_, metrics := l.GetHealth(t, "/metrics")
			return strings.Contains(string(metrics), fmt.Sprintf("\nlarder_relay_replicas %d\n", len(g.members)))
		})
	}
	for _, l := range g.replicas {
		process.Eventually(t, "a replica to know the others", func() bool {
			said := l.Said()
			last := said[max(0, strings.LastIndex(said, "replicas of the registry")):]
			line, _, _ := strings.Cut(last, "\n")
			unknown := func(m string) bool { return !strings.Contains(line, net.JoinHostPort(m, g.port)) }
			return !slices.ContainsFunc(g.members, unknown) && strings.Count(line, ":"+g.port) == len(g.members)
		})
	}
}

// leaders are the replicas that hold the Lease.
func (g *group) leaders(t *testing.T) (leaders []*process.Larder) {
	t.Helper()
	for _, l := range g.replicas {
		if _, metrics := l.GetHealth(t, "/metrics"); strings.Contains(string(metrics), `leader_election_master_status{name="larder-registry"} 1`) {
			leaders = append(leaders, l)
		}
	}
	return leaders
}

// want creates a CachedImage.
func (g *group) want(t *testing.T, name, source string) {
	t.Helper()
	create(t, g, &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CachedImageSpec{SourceImage: process.Host + "/" + source},
	})
}

// pull gets an image whole through a proxy, and hashes all of it.
func pull(ctx context.Context, l *process.Larder, img origin.Image) error {
	base := "http://" + l.Addr + "/v2/" + process.Host + "/" + img.Repository
	if err := get(ctx, base+"/manifests/"+img.Tag, img.Digest); err != nil {
		return err
	}
	for _, blob := range img.Blobs {
		if err := get(ctx, base+"/blobs/"+blob.Digest.String(), blob.Digest); err != nil {
			return err
		}
	}
	return nil
}

// nodes do not share connections: each is another node's.
var nodes = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, url string, want digest.Digest) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := nodes.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	verifier := want.Verifier()
	n, err := io.Copy(verifier, resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK || !verifier.Verified() {
		return fmt.Errorf("%s: status %d and %d bytes that are not those of %s", url, resp.StatusCode, n, want)
	}
	return nil
}
