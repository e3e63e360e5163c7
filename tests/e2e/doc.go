// Package e2e tests Larder on a real node: real kubelet pulls and running containers (see package node). It takes minutes, root and
// Linux, so LARDER_E2E=1 (make e2e) runs it, and a machine that cannot says why. What a failed run leaves to read is written into the
// folder that LARDER_E2E_DUMP names, by default e2e-dump in this one.
package e2e
