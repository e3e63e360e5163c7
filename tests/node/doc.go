// Package node runs a whole Kubernetes cluster of one node on this machine: etcd, the control plane, kubelet, kube-proxy, containerd,
// a bridge for the pods and the cluster's DNS, each the real one (see package binary). Images are pulled and containers run.
//
//	n, err := node.Start(ctx, node.Options{})
//	if errors.Is(err, node.ErrCannotRun) { ... } // err says why
//	defer n.Stop(ctx)
//
//	o, err := origin.Start(origin.WithAddress(net.JoinHostPort(n.IP, "0")))
//	err = n.WriteHosts("reg.example", o.URL())
//	err = n.Apply(ctx, manifests)
//
// # What it touches
//
// It needs root, and is alone on a machine: a second Start fails while the first one's cluster runs. All its files lie under
// [Node.Dir]. Beside them it makes a bridge, cgroups and nft tables, and its parts set some sysctls; Stop takes back all of it, and
// Start begins with what a run that crashed has left. The processes end with the one that started them.
//
// The node's address is the bridge's: nothing listens on an address that other machines reach. Still, whoever is on this machine may
// do with the cluster what he likes.
//
// It knows nothing of Larder.
package node
