package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// startControlPlane starts etcd and Kubernetes' own processes, and returns when the API server answers.
func (n *Node) startControlPlane(ctx context.Context) error {
	if err := errors.Join(n.writeSecrets(), n.connect()); err != nil {
		return err
	}
	clients, peers := "http://"+n.address(n.ports.etcd), "http://"+n.address(n.ports.etcdPeer)
	err := n.run(n.tools.cluster, "etcd", "--data-dir", n.path("etcd"), "--unsafe-no-fsync", "--listen-client-urls", clients, "--advertise-client-urls", clients,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	if err != nil {
		return err
	}
	if err := n.StartAPIServer(ctx); err != nil {
		return err
	}
	common := []string{"--kubeconfig", n.Kubeconfig, "--leader-elect=false", "--secure-port=0"}
	err = n.run(n.tools.cluster, "kube-controller-manager", append(common, "--use-service-account-credentials",
		"--service-account-private-key-file", n.path("pki/accounts.key"), "--root-ca-file", n.path("pki/api.crt"))...)
	if err != nil {
		return err
	}
	return n.run(n.tools.cluster, "kube-scheduler", common...)
}

// StartAPIServer starts the API server, and returns when it is ready.
func (n *Node) StartAPIServer(ctx context.Context) error {
	err := n.run(n.tools.cluster, "kube-apiserver", "--etcd-servers", "http://"+n.address(n.ports.etcd),
		"--bind-address", IP, "--advertise-address", IP, "--secure-port", strconv.Itoa(n.ports.api),
		"--tls-cert-file", n.path("pki/api.crt"), "--tls-private-key-file", n.path("pki/api.key"), "--token-auth-file", n.path("pki/tokens.csv"),
		"--authorization-mode", "Node,RBAC", "--allow-privileged", "--service-cluster-ip-range", serviceIPs,
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", n.path("pki/accounts.key"), "--service-account-signing-key-file", n.path("pki/accounts.key"),
		"--kubelet-preferred-address-types", "InternalIP") // the node's name does not resolve
	if err != nil {
		return err
	}
	return n.await(ctx, "the API server", func(ctx context.Context) error { return ask(ctx, n.web, "https://"+n.address(n.ports.api)+"/readyz") })
}

// connect makes the clients. Nothing needs to answer them yet.
func (n *Node) connect() error {
	config, err := n.Config()
	if err != nil {
		return err
	}
	if n.web, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	n.Client, err = client.New(config, client.Options{HTTPClient: n.web, Scheme: clientgoscheme.Scheme})
	return err
}

// StopAPIServer ends the API server: an outage, until StartAPIServer.
func (n *Node) StopAPIServer() { n.stop("kube-apiserver") }

// Config is an administrator's.
func (n *Node) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", n.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = -1, -1
	return config, nil
}

func (n *Node) address(port int) string { return net.JoinHostPort(IP, strconv.Itoa(port)) }

// writeSecrets makes the keys of the API server and of service accounts, and an administrator's token.
func (n *Node) writeSecrets() error {
	token := rand.Text()
	crt, key, err := cert.GenerateSelfSignedCertKey(IP, []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(apiService)},
		[]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"})
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	accounts, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	for name, content := range map[string]string{
		"pki/api.crt": string(crt), "pki/api.key": string(key), "pki/accounts.key": string(accounts), "pki/tokens.csv": token + ",admin,admin,system:masters\n",
	} {
		if err := n.write(name, content); err != nil {
			return err
		}
	}
	return clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "larder",
		Contexts:       map[string]*clientcmdapi.Context{"larder": {Cluster: "larder", AuthInfo: "admin"}},
		Clusters:       map[string]*clientcmdapi.Cluster{"larder": {Server: "https://" + n.address(n.ports.api), CertificateAuthorityData: crt}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"admin": {Token: token}},
	}, n.Kubeconfig)
}

func ask(ctx context.Context, web *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: %s", url, resp.Status)
	}
	return nil
}
