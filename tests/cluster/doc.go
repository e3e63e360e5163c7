// Package cluster runs larder controller and larder registry as processes of their own, each under its real roles (helm/larder/files/rbac)
// against a real API server, with a real registry as the origin.
package cluster
