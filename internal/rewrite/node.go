package rewrite

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// onNode says whether a registry's host is the node that pulls from it, or known to that alone.
func onNode(host string) bool {
	name := host
	if at := strings.LastIndexByte(host, ':'); at > strings.LastIndexByte(host, ']') {
		name = host[:at]
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if err != nil {
		return name == "localhost" || strings.HasSuffix(name, ".localhost")
	}
	return addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast()
}

func onWindows(pod *corev1.Pod) bool {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return true
	}
	return demands(pod, corev1.LabelOSStable, string(corev1.Windows)) || demands(pod, "beta.kubernetes.io/os", string(corev1.Windows))
}

// selects says whether a pod runs only on nodes that have all of the labels.
func selects(pod *corev1.Pod, labels map[string]string) bool {
	for key, value := range labels {
		if !demands(pod, key, value) {
			return false
		}
	}
	return len(labels) > 0
}

// demands says whether a pod runs only on nodes with a label, by its node selector or by the node affinity that it requires.
func demands(pod *corev1.Pod, key, value string) bool {
	if have, ok := pod.Spec.NodeSelector[key]; ok && have == value {
		return true
	}
	affinity := pod.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	terms := affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms // one of them must hold
	for _, term := range terms {
		if !slices.ContainsFunc(term.MatchExpressions, func(e corev1.NodeSelectorRequirement) bool {
			return e.Key == key && e.Operator == corev1.NodeSelectorOpIn && len(e.Values) == 1 && e.Values[0] == value
		}) {
			return false
		}
	}
	return len(terms) > 0
}
