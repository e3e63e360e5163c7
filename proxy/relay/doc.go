// Package relay is the node's way to the cache: it hands each request to the registry replica that owns the repository, goes on with the
// next where one fails, also in the middle of a blob, and asks the origin itself where none answers. It stores nothing, knows no
// Kubernetes and no storage, and never shows a client's credentials to anybody.
package relay
