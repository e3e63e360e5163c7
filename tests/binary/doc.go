// Package binary builds the programs that tests run beside Larder: etcd, Kubernetes, containerd and their like, at the versions that
// the Go modules under hack/devcluster pin. Each set is built once and kept in the user's cache folder, under a name that changes with
// all that it is made from; processes that build at the same time wait for the first. It never downloads a binary.
package binary
