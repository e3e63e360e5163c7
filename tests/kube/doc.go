// Package kube runs a real etcd and kube-apiserver for tests, with Larder's kinds installed. There is no kubelet, no scheduler and no
// controller manager: a pod stays what a test makes it, and nothing is deleted because its owner was.
//
// The binaries are built once (see package binary). Where KUBEBUILDER_ASSETS names a folder with etcd, kube-apiserver and kubectl, those
// are used.
package kube
