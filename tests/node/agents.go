package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kubeletConfig lets the kubelet run where cgroups are of version 1, and lets a disk that others fill evict no pod.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ${IP}
port: ${KUBELET_PORT}
healthzPort: ${HEALTH_PORT}
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /${CGROUP}
containerRuntimeEndpoint: unix://${DIR}/containerd/containerd.sock
podLogsDir: ${DIR}/pod-logs
volumePluginDir: ${DIR}/kubelet/volumeplugins
resolvConf: /etc/resolv.conf
clusterDNS: [${IP}]
clusterDomain: cluster.local
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
serializeImagePulls: false
nodeStatusUpdateFrequency: 4s
syncFrequency: 10s
`

// proxyConfig leaves the machine's connection tracking alone.
const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: ${PODS}
hostnameOverride: ${NAME}
bindAddress: ${IP}
healthzBindAddress: ${IP}:${HEALTHZ_PORT}
metricsBindAddress: ${IP}:${METRICS_PORT}
clientConnection: {kubeconfig: ${KUBECONFIG}}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {masqueradeAll: true}
`

const dnsConfig = `.:53 {
    bind ${IP}
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig ${KUBECONFIG}
    }
    forward . /etc/resolv.conf
}
`

// startAgents starts what each node of a cluster has, and its DNS.
func (n *Node) startAgents(context.Context) error {
	fill := n.filler(map[string]string{
		"KUBELET_PORT": strconv.Itoa(n.ports.kubelet), "HEALTH_PORT": strconv.Itoa(n.ports.kubeletHealth),
		"HEALTHZ_PORT": strconv.Itoa(n.ports.proxyHealth), "METRICS_PORT": strconv.Itoa(n.ports.proxyMetrics),
	})
	for name, content := range map[string]string{"kubelet.yaml": kubeletConfig, "kube-proxy.yaml": proxyConfig, "Corefile": dnsConfig} {
		if err := n.write(name, os.Expand(content, fill)); err != nil {
			return err
		}
	}
	return errors.Join(
		n.run(n.tools.cluster, "kubelet", "--config", n.path("kubelet.yaml"), "--kubeconfig", n.Kubeconfig, "--root-dir", n.path("kubelet"),
			"--cert-dir", n.path("pki/kubelet"), "--hostname-override", Name, "--node-ip", IP, "--v=2"),
		n.run(n.tools.cluster, "kube-proxy", "--config", n.path("kube-proxy.yaml")),
		n.run(n.tools.runtime, "coredns", "-conf", n.path("Corefile")),
	)
}

// awaitReady waits for the node, for the account that every pod has, and for names.
func (n *Node) awaitReady(ctx context.Context) error {
	return errors.Join(
		n.await(ctx, "the node to be ready", func(ctx context.Context) error {
			node := &corev1.Node{}
			if err := n.Get(ctx, client.ObjectKey{Name: Name}, node); err != nil {
				return err
			}
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					return nil
				}
			}
			return fmt.Errorf("the node's conditions are %v", node.Status.Conditions)
		}),
		n.await(ctx, "the default service account", func(ctx context.Context) error {
			return n.Get(ctx, client.ObjectKey{Namespace: "default", Name: "default"}, &corev1.ServiceAccount{})
		}),
		n.await(ctx, "the cluster's DNS", func(ctx context.Context) error {
			_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
			return err
		}),
	)
}

// resolver asks the cluster's DNS.
var resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(IP, "53"))
}}
